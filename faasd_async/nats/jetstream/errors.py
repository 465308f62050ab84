"""JetStream's refusals, by their numbers.

The server's ``err_code`` says what happened; ``code`` only resembles an HTTP status. Those a
caller acts on have a class of their own; all others are plain :class:`JetStreamApiError`.
Source: ``server/errors.json`` in nats-server.
"""

from typing import Final

import msgspec

from faasd_async.nats.errors import NatsError, NoResponders


class ApiError(msgspec.Struct, frozen=True):
    """The error as it stands in a reply."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class JetStreamError(NatsError):
    """The base of what JetStream adds to the pipework's errors."""


class JetStreamApiError(JetStreamError):
    """JetStream refused a request.

    :ivar code: a number like an HTTP status.
    :ivar err_code: what exactly happened.
    :ivar description: the server's words.
    """

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"JetStream: {description} ({err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


class StreamNotFound(JetStreamApiError):
    """There is no such stream."""


class ConsumerNotFound(JetStreamApiError):
    """There is no such consumer."""


class MessageNotFound(JetStreamApiError):
    """There is no message with that sequence, or none on that subject."""


class StreamExists(JetStreamApiError):
    """A stream of this name exists with another configuration."""


class WrongLastSequence(JetStreamApiError):
    """Somebody else wrote to the subject first."""


class StoreFailed(JetStreamApiError):
    """The stream could not store the message, for a reason that its description tells."""


class StreamFull(StoreFailed):
    """A limit of a stream with ``discard: new`` is reached: the message was not stored."""


class StreamMessageTooLarge(JetStreamApiError):
    """The message is over the stream's ``max_msg_size``."""


class ResourcesExceeded(JetStreamApiError):
    """The server or account has no more room, in memory or on disk, for what was asked."""


class JetStreamNotEnabled(JetStreamApiError):
    """The server runs without JetStream, for everybody or for this account."""


class ConsumersOverlap(JetStreamApiError):
    """On a work queue no two consumers may want the same message."""


class NoStream(NoResponders, JetStreamError):
    """No stream listens to the subject: nothing was stored."""


class AlreadySettled(JetStreamError):
    """A message is acknowledged, refused or terminated once."""


class PullError(JetStreamError):
    """Asking for messages went wrong."""


class PullRefused(PullError):
    """The server refused to hand out messages.

    :ivar status: the number in its answer.
    """

    def __init__(self, status: int, description: str) -> None:
        super().__init__(f"JetStream hands out no messages: {status} {description}")
        self.status = status


class ConsumerUnreachable(PullError):
    """Nobody answers for the consumer: it does not exist, or JetStream is down."""


class ConsumerDeleted(PullError):
    """The consumer, or its stream, was deleted while we waited for messages."""


class LeadershipChanged(PullError):
    """Another server of the cluster took over the consumer; ask again."""


class PullerStopped(PullError):
    """A stopped puller asks for nothing."""


_CLASSES: Final[dict[int, type[JetStreamApiError]]] = {
    10002: ResourcesExceeded,  # of the account
    10014: ConsumerNotFound,
    10023: ResourcesExceeded,
    10028: ResourcesExceeded,  # memory
    10037: MessageNotFound,
    10039: JetStreamNotEnabled,  # for the account
    10043: MessageNotFound,  # to be deleted
    10047: ResourcesExceeded,  # storage
    10054: StreamMessageTooLarge,
    10058: StreamExists,
    10059: StreamNotFound,
    10071: WrongLastSequence,
    10076: JetStreamNotEnabled,
    10077: StoreFailed,
    10099: ConsumersOverlap,  # a second one without a filter
    10100: ConsumersOverlap,  # filters that overlap
}
_FULL: Final = frozenset(
    {
        "maximum messages exceeded",
        "maximum bytes exceeded",
        "maximum messages per subject exceeded",
    }
)
#: A message to be deleted that is not there; any other description is a failure.
_DELETE_FAILED: Final = 10057
_GONE: Final = frozenset({"no message found", "stream store EOF"})


def error_of(error: ApiError) -> JetStreamApiError:
    """Return the exception that stands for it."""
    kind = _CLASSES.get(error.err_code, JetStreamApiError)
    if kind is StoreFailed and error.description in _FULL:
        kind = StreamFull
    if error.err_code == _DELETE_FAILED and error.description in _GONE:
        kind = MessageNotFound
    return kind(error.code, error.err_code, error.description)
