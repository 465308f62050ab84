"""Why there is no backup, or none was restored."""

from faasd_async.errors import FaasdAsyncError


class BackupError(FaasdAsyncError):
    """The text says what is the case, and what to do."""
