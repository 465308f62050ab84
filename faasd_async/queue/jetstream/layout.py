"""The streams and consumers that hold the queue."""

from __future__ import annotations

from dataclasses import dataclass

from faasd_async.nats.jetstream import ConsumerConfig, StreamConfig
from faasd_async.queue.interface import Source
from faasd_async.queue.jetstream.subjects import (
    ALL_CALLBACKS,
    ALL_CALLS,
    CALLBACK_CONSUMER,
    CALLBACKS,
    CALLS,
    consumer_of,
    filter_of,
)

_NS = 1_000_000_000

#: For a publish that is repeated because its acknowledgement did not come.
_DUPLICATE_WINDOW_SECONDS = 120

#: Calls handed out and not settled, per consumer: those that run and those given back, which
#: count until their delay is over.
_ACK_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class Layout:
    """What the streams may hold, and how long a delivery is lent.

    :ivar calls_bytes: the quota of waiting calls; one more is refused.
    :ivar callbacks_bytes: the quota of waiting callbacks.
    """

    calls_bytes: int
    callbacks_bytes: int
    replicas: int
    ack_wait_seconds: float

    @property
    def reserved_bytes(self) -> int:
        """What the streams may take up on a disk, all together."""
        return self.calls_bytes + self.callbacks_bytes

    @property
    def streams(self) -> tuple[StreamConfig, ...]:
        return (
            self._work_queue(CALLS, ALL_CALLS, self.calls_bytes),
            self._work_queue(CALLBACKS, ALL_CALLBACKS, self.callbacks_bytes),
        )

    def consumer(self, source: Source) -> ConsumerConfig:
        return self._consumer(consumer_of(source), filter_of(source))

    @property
    def callback_consumer(self) -> ConsumerConfig:
        return self._consumer(CALLBACK_CONSUMER, "")

    def _work_queue(self, name: str, subjects: str, limit_bytes: int) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=(subjects,),
            retention="workqueue",
            storage="file",
            discard="new",
            max_bytes=limit_bytes,
            num_replicas=self.replicas,
            duplicate_window=_DUPLICATE_WINDOW_SECONDS * _NS,
            allow_direct=True,
        )

    def _consumer(self, name: str, filter_subject: str) -> ConsumerConfig:
        return ConsumerConfig(
            name=name,
            durable_name=name,
            ack_policy="explicit",
            ack_wait=round(self.ack_wait_seconds * _NS),
            max_ack_pending=_ACK_PENDING,
            filter_subject=filter_subject,
        )
