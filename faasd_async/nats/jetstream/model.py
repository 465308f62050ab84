"""Streams and consumers as JetStream's API writes them.

The names are the API's own. Durations are in nanoseconds, as the API has them; fields at their
default are left to the server, whose defaults these are. Fields that are not listed are ignored
when the server sends them.
Source: https://docs.nats.io/nats-concepts/jetstream/streams
"""

from datetime import datetime
from typing import Literal

import msgspec

from faasd_async.nats.wire import Headers, decode_headers

SECOND_NS = 1_000_000_000


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stream is to be.

    A :class:`msgspec.Struct`; an unlimited size or count is -1.
    """

    name: str
    subjects: tuple[str, ...] = ()
    description: str = ""
    retention: Literal["limits", "interest", "workqueue"] = "limits"
    storage: Literal["file", "memory"] = "file"
    discard: Literal["old", "new"] = "old"
    discard_new_per_subject: bool = False
    max_consumers: int = -1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age: int = 0
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    num_replicas: int = 1
    duplicate_window: int = 120 * SECOND_NS
    compression: Literal["none", "s2"] = "none"
    allow_direct: bool = False
    allow_rollup_hdrs: bool = False
    allow_msg_ttl: bool = False
    allow_msg_schedules: bool = False
    allow_atomic: bool = False
    persist_mode: Literal["default", "async"] = "default"
    metadata: dict[str, str] = {}


class StreamState(msgspec.Struct, frozen=True):
    """What a stream holds.

    :ivar subjects: how many messages each subject has; only when they were asked for.
    """

    messages: int
    bytes: int
    first_seq: int
    last_seq: int
    consumer_count: int
    num_subjects: int = 0
    num_deleted: int = 0
    subjects: dict[str, int] | None = None


class StreamInfo(msgspec.Struct, frozen=True):
    """A stream.

    :ivar ts: what the server's clock shows; ``None`` from a server that does not say.
    """

    config: StreamConfig
    created: datetime
    state: StreamState
    ts: datetime | None = None


class ConsumerConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a consumer is to be.

    ``ack_policy`` has no default here, because the server's is not to acknowledge at all.
    """

    name: str
    ack_policy: Literal["none", "all", "explicit"]
    durable_name: str = ""
    description: str = ""
    deliver_policy: Literal[
        "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject"
    ] = "all"
    opt_start_seq: int = 0
    ack_wait: int = 30 * SECOND_NS
    max_deliver: int = -1
    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()
    max_ack_pending: int = 1000
    max_waiting: int = 512
    inactive_threshold: int = 0
    headers_only: bool = False
    mem_storage: bool = False
    num_replicas: int = 0
    pause_until: datetime | None = None
    metadata: dict[str, str] = {}


class SequencePair(msgspec.Struct, frozen=True):
    """A place in a consumer's deliveries and in its stream."""

    consumer_seq: int
    stream_seq: int


class ConsumerInfo(msgspec.Struct, frozen=True):
    """A consumer.

    :ivar num_pending: messages it has not handed out yet.
    :ivar num_ack_pending: messages handed out and not settled.
    :ivar num_waiting: requests for messages that wait.
    """

    stream_name: str
    name: str
    created: datetime
    config: ConsumerConfig
    delivered: SequencePair
    ack_floor: SequencePair
    num_ack_pending: int
    num_redelivered: int
    num_waiting: int
    num_pending: int
    paused: bool = False


class StoredMessage(msgspec.Struct, frozen=True):
    """A message as a stream holds it.

    :ivar header_block: its headers as they travelled, or nothing.
    :ivar time: when it was stored.
    """

    subject: str
    sequence: int = msgspec.field(name="seq")
    time: datetime
    header_block: bytes = msgspec.field(name="hdrs", default=b"")
    payload: bytes = msgspec.field(name="data", default=b"")

    @property
    def headers(self) -> Headers:
        """The headers, read anew each time.

        :raises BadHeader: they do not follow the grammar.
        """
        return decode_headers(self.header_block)


class PubAck(msgspec.Struct, frozen=True, gc=False):
    """JetStream's word that a message is stored.

    :ivar duplicate: it was stored before, under the same message id.
    """

    stream: str
    sequence: int = msgspec.field(name="seq")
    duplicate: bool = False
    domain: str = ""
