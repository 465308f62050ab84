"""What can go wrong between us and a NATS server.

The division that callers act on: :class:`NotSent` says that nothing left this process, so trying
again is safe; :class:`ConnectionDropped` and :class:`RequestTimedOut` say that the server may
have received it.
"""

from faasd_async.nats.wire.errors import BadHeader, BadSubject, NatsError, ProtocolError

__all__ = [
    "AuthorizationFailed",
    "BadCredentials",
    "BadHeader",
    "BadServerAddress",
    "BadSubject",
    "ConnectionDropped",
    "HandshakeFailed",
    "MaxPayloadExceeded",
    "NatsError",
    "NoResponders",
    "NotConnected",
    "NotSent",
    "PendingBytesExceeded",
    "ProtocolError",
    "RequestTimedOut",
    "ServerComplained",
    "StaleConnection",
    "TlsMissing",
]


class BadServerAddress(NatsError):
    """A server URL that cannot be used; the text says why."""


class NotSent(NatsError):
    """Refused on this side: certainly not received by anybody."""


class NotConnected(NotSent):
    """There is no connection to a server at the moment."""


class PendingBytesExceeded(NotSent):
    """The server takes what we publish more slowly than we publish it.

    :ivar pending_bytes: what is waiting to leave.
    :ivar limit_bytes: what may wait.
    """

    def __init__(self, pending_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{pending_bytes} bytes are waiting for the NATS server; {limit_bytes} may"
        )
        self.pending_bytes = pending_bytes
        self.limit_bytes = limit_bytes


class MaxPayloadExceeded(NotSent):
    """A message larger than the server takes (its ``max_payload``).

    :ivar size_bytes: headers and payload together.
    :ivar limit_bytes: the server's limit.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"a message of {size_bytes} bytes is over the NATS server's max_payload, {limit_bytes}"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class ConnectionDropped(NatsError):
    """The connection ended; what was under way on it may or may not have been received."""


class StaleConnection(ConnectionDropped):
    """The server left our PINGs unanswered, so we hung up."""


class RequestTimedOut(NatsError):
    """No answer within the time; the request may or may not have been received."""


class NoResponders(NatsError):
    """Nobody is subscribed to the subject of a request."""


class ServerComplained(NatsError):
    """The server said -ERR."""


class HandshakeFailed(NatsError):
    """A server was reached but did not let us in."""


class AuthorizationFailed(HandshakeFailed):
    """The server refused our credentials."""


class TlsMissing(HandshakeFailed):
    """We are to speak TLS, and the server does not."""


class BadCredentials(NatsError):
    """A key, a certificate or a file of them that cannot be used; the text says why."""
