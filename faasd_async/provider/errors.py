"""Why another provider does not do what it is asked for."""

from faasd_async.errors import FaasdAsyncError


class ProviderError(FaasdAsyncError):
    """It did not.

    :ivar status: the HTTP status that says so.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class ProviderAway(ProviderError):
    """It cannot be asked, or says nothing that could be understood: try again later (HTTP 503)."""

    def __init__(self, why: str) -> None:
        super().__init__(503, why)


class ProviderRefused(ProviderError):
    """It has said no, and the text is what it said."""
