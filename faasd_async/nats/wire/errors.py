"""What can be wrong with bytes."""

from faasd_async.errors import FaasdAsyncError


class NatsError(FaasdAsyncError):
    """The base of everything the pipework raises on purpose."""


class ProtocolError(NatsError):
    """The server sent what no NATS server sends; the connection cannot be trusted any more."""


class BadHeader(NatsError):
    """A header block that cannot be written or read."""


class BadSubject(NatsError):
    """A subject that cannot be written: empty, too long, or with white space in it."""
