"""What can go wrong between us and a NATS Streaming server, over what can with NATS itself."""

from faasd_async.nats.errors import NatsError, NotSent

#: In the server's refusal of a client whose id another one has that is alive.
_TAKEN = "clientID already registered"


class StanError(NatsError):
    """The base of what NATS Streaming adds to the pipework's errors."""


class Unintelligible(StanError):
    """What came is no message of the kind that was due."""


class NoSession(StanError, NotSent):
    """There is no session at the moment."""


class TooManyUnanswered(StanError, NotSent):
    """The server acknowledges more slowly than we publish."""


class PublishRefused(StanError):
    """The server did not store a message; the text is its reason."""


class SessionRefused(StanError):
    """The server refused a session, a subscription or their end; the text is its reason."""


class ClientIdTaken(SessionRefused):
    """Another client is connected under our id, and is alive."""


class SessionUnknown(StanError):
    """The server does not know our session, or not any more."""


def refusal(text: str) -> SessionRefused:
    """The exception that stands for a server's reason."""
    kind = ClientIdTaken if _TAKEN in text else SessionRefused
    return kind(f"NATS Streaming: {text}")
