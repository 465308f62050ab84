"""JetStream: streams, consumers, messages.

What travels is ``bytes`` (subjects of messages, headers, payloads); what JetStream's API
describes in JSON is ``str`` (names, filters, the subjects of a configuration).
"""

from faasd_async.nats.jetstream.context import JetStream
from faasd_async.nats.jetstream.errors import (
    AlreadySettled,
    ConsumerDeleted,
    ConsumerNotFound,
    ConsumersOverlap,
    ConsumerUnreachable,
    JetStreamApiError,
    JetStreamError,
    JetStreamNotEnabled,
    LeadershipChanged,
    MessageNotFound,
    NoStream,
    PullError,
    PullerStopped,
    PullRefused,
    ResourcesExceeded,
    StoreFailed,
    StreamExists,
    StreamFull,
    StreamMessageTooLarge,
    StreamNotFound,
    WrongLastSequence,
)
from faasd_async.nats.jetstream.message import JetStreamMessage
from faasd_async.nats.jetstream.model import (
    SECOND_NS,
    ConsumerConfig,
    ConsumerInfo,
    PubAck,
    StoredMessage,
    StreamConfig,
    StreamInfo,
    StreamState,
)
from faasd_async.nats.jetstream.puller import Puller
from faasd_async.nats.jetstream.snapshots import Snapshots

__all__ = [
    "SECOND_NS",
    "AlreadySettled",
    "ConsumerConfig",
    "ConsumerDeleted",
    "ConsumerInfo",
    "ConsumerNotFound",
    "ConsumerUnreachable",
    "ConsumersOverlap",
    "JetStream",
    "JetStreamApiError",
    "JetStreamError",
    "JetStreamMessage",
    "JetStreamNotEnabled",
    "LeadershipChanged",
    "MessageNotFound",
    "NoStream",
    "PubAck",
    "PullError",
    "PullRefused",
    "Puller",
    "PullerStopped",
    "ResourcesExceeded",
    "Snapshots",
    "StoreFailed",
    "StoredMessage",
    "StreamConfig",
    "StreamExists",
    "StreamFull",
    "StreamInfo",
    "StreamMessageTooLarge",
    "StreamNotFound",
    "StreamState",
    "WrongLastSequence",
]
