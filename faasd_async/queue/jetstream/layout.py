"""The streams and consumers that hold the queue."""

from __future__ import annotations

from dataclasses import dataclass

from faasd_async.nats.jetstream import ConsumerConfig, StreamConfig
from faasd_async.queue.interface import Source
from faasd_async.queue.jetstream.subjects import (
    CALLBACK_CONSUMER,
    CALLBACKS,
    CALLS,
    CONTROL,
    DEAD,
    DUE_CONSUMER,
    LATER,
    OUTCOMES,
    consumer_of,
    filter_of,
)

_NS = 1_000_000_000

#: For a publish that is repeated because its acknowledgement did not come.
_DUPLICATE_WINDOW_SECONDS = 120

#: Calls handed out and not settled, per consumer: those that run and those given back, which
#: count until their delay is over.
_ACK_PENDING = 10_000

#: Asks for deliveries that may wait at the broker: past it they are dropped without a word.
_WAITING_ASKS = 10_000

_OUTCOMES = 100_000
_DEAD_LETTERS = 10_000
_DEAD_LETTER_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Layout:
    """What the streams may hold, and how long a delivery is lent.

    :ivar calls_bytes: the quota of waiting calls; one more is refused.
    :ivar callbacks_bytes: the quota of waiting callbacks.
    :ivar later_bytes: the quota of calls that wait for their time; see :meth:`_later`.
    :ivar outcomes_bytes: of terminal records and results, the oldest of which go first.
    :ivar dead_bytes: of dead letters, likewise.
    """

    calls_bytes: int
    callbacks_bytes: int
    later_bytes: int
    outcomes_bytes: int
    dead_bytes: int
    replicas: int
    ack_wait_seconds: float

    @property
    def reserved_bytes(self) -> int:
        """What the streams may take up on a disk, all together."""
        return (
            self.calls_bytes
            + self.callbacks_bytes
            + self.later_bytes
            + self.outcomes_bytes
            + self.dead_bytes
        )

    @property
    def streams(self) -> tuple[StreamConfig, ...]:
        return (
            self._work_queue(CALLS, "faas.call.>", self.calls_bytes),
            self._work_queue(CALLBACKS, "faas.callback.>", self.callbacks_bytes),
            self._later,
            StreamConfig(
                name=OUTCOMES,
                subjects=("faas.outcome.>", "faas.attempt.>"),
                max_bytes=self.outcomes_bytes,
                max_msgs=_OUTCOMES,
                num_replicas=self.replicas,
                allow_direct=True,
                allow_msg_ttl=True,
                allow_rollup_hdrs=True,
            ),
            StreamConfig(
                name=DEAD,
                subjects=("faas.dead.>",),
                max_bytes=self.dead_bytes,
                max_msgs=_DEAD_LETTERS,
                max_age=_DEAD_LETTER_SECONDS * _NS,
                max_msgs_per_subject=1,
                num_replicas=self.replicas,
                allow_direct=True,
            ),
            StreamConfig(
                name=CONTROL,
                subjects=("faas.control.>",),
                max_msgs_per_subject=1,
                num_replicas=self.replicas,
                allow_direct=True,
            ),
        )

    @property
    def _later(self) -> StreamConfig:
        """Schedules exclude ``discard: new``, and any limit would drop the oldest call in
        silence: so there is none, and the daemon looks before it writes."""
        return StreamConfig(
            name=LATER,
            subjects=("faas.later.>", "faas.due.>"),
            retention="workqueue",
            num_replicas=self.replicas,
            allow_direct=True,
            allow_msg_schedules=True,
            allow_msg_ttl=True,
            allow_rollup_hdrs=True,
        )

    def consumer(self, source: Source) -> ConsumerConfig:
        return self._consumer(consumer_of(source), filter_of(source))

    @property
    def callback_consumer(self) -> ConsumerConfig:
        return self._consumer(CALLBACK_CONSUMER, "")

    @property
    def due_consumer(self) -> ConsumerConfig:
        return self._consumer(DUE_CONSUMER, "faas.due.>")

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
            max_waiting=_WAITING_ASKS,
            filter_subject=filter_subject,
        )
