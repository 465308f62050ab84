"""The pipework: NATS, which knows nothing of functions.

:class:`NatsClient` is the connection; :mod:`.jetstream` are streams and consumers over it;
:mod:`.wire` is the protocol as bytes and values.
"""

from faasd_async.nats.address import ServerAddress, ServerSource
from faasd_async.nats.client import HeadersLike, NatsClient
from faasd_async.nats.errors import (
    AuthorizationFailed,
    BadCredentials,
    BadHeader,
    BadServerAddress,
    BadSubject,
    ConnectionDropped,
    HandshakeFailed,
    MaxPayloadExceeded,
    NatsError,
    NoResponders,
    NotConnected,
    NotSent,
    PendingBytesExceeded,
    ProtocolError,
    RequestTimedOut,
    ServerComplained,
    StaleConnection,
    TlsMissing,
)
from faasd_async.nats.limits import Limits
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.statistics import Statistics
from faasd_async.nats.subscriptions import Subscription
from faasd_async.nats.tls import Tls
from faasd_async.nats.wire import (
    HeaderPairs,
    Headers,
    Message,
    ServerInfo,
    decode_headers,
    encode_headers,
)

__all__ = [
    "AuthorizationFailed",
    "BadCredentials",
    "BadHeader",
    "BadServerAddress",
    "BadSubject",
    "ConnectionDropped",
    "HandshakeFailed",
    "HeaderPairs",
    "Headers",
    "HeadersLike",
    "Limits",
    "MaxPayloadExceeded",
    "Message",
    "NatsClient",
    "NatsError",
    "NoResponders",
    "NotConnected",
    "NotSent",
    "PendingBytesExceeded",
    "ProtocolError",
    "RequestTimedOut",
    "ServerAddress",
    "ServerComplained",
    "ServerInfo",
    "ServerSource",
    "StaleConnection",
    "Statistics",
    "Subscription",
    "Tls",
    "TlsMissing",
    "decode_headers",
    "encode_headers",
    "new_inbox",
]
