"""NATS Streaming: durable channels on top of plain NATS, spoken as protocol buffers.

:class:`StanClient` keeps a session with the server, publishes into channels, and shares a channel's
messages with the other members of a group. Needs the package ``protobuf``.
"""

from faasd_async.nats.stan.client import StanClient
from faasd_async.nats.stan.errors import (
    ClientIdTaken,
    NoSession,
    PublishRefused,
    SessionRefused,
    StanError,
    TooManyUnanswered,
    Unintelligible,
)
from faasd_async.nats.stan.limits import StanLimits
from faasd_async.nats.stan.subscription import StanMessage, StanSubscription

__all__ = [
    "ClientIdTaken",
    "NoSession",
    "PublishRefused",
    "SessionRefused",
    "StanClient",
    "StanError",
    "StanLimits",
    "StanMessage",
    "StanSubscription",
    "TooManyUnanswered",
    "Unintelligible",
]
