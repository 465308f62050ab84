"""The streams and consumers that hold the queue."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faasd_async.nats.jetstream import ConsumerConfig, StreamConfig
from faasd_async.queue.interface import Source
from faasd_async.queue.jetstream.quotas import Quotas
from faasd_async.queue.jetstream.subjects import (
    CALLBACK_CONSUMER,
    CALLBACKS,
    CALLS,
    CONTROL,
    DEAD,
    DUE_CONSUMER,
    LATER,
    OUTCOMES,
    bodies_beside,
    consumer_of,
    filter_of,
)

_NS = 1_000_000_000

#: For a publish that is repeated because its acknowledgement did not come.
_DUPLICATE_WINDOW_SECONDS = 120

#: Calls handed out and not settled, per consumer: those that run and those given back, which
#: count until their delay is over.
_ACK_PENDING = 10_000

#: Callbacks that wait for their next try count too, and must not keep others from theirs.
#: (Measured with 100,000 of them: 30 MiB of the broker's memory; under 1 % of a core at rest, 13 %
#: with 200 messages a second. With 10,000: 8 MiB, 6 %.)
_CALLBACKS_PENDING = -1

#: Asks for deliveries that may wait at the broker: past it they are dropped without a word.
_WAITING_ASKS = 10_000

_DEAD_LETTER_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Layout:
    """What the streams may hold, and how long a delivery is lent.

    :ivar calls_bytes: the quota of waiting calls; one more is refused.
    :ivar callbacks_bytes: the quota of waiting callbacks.
    :ivar later_bytes: the quota of calls that wait for their time; see :meth:`_later`.
    :ivar outcomes_bytes: of terminal records and results, the oldest of which go first.
    :ivar dead_bytes: of dead letters, likewise.
    :ivar waiting_messages: how many calls may wait, and how many callbacks.
    :ivar outcomes_messages: how many calls' ends are kept.
    """

    calls_bytes: int
    callbacks_bytes: int
    later_bytes: int
    outcomes_bytes: int
    dead_bytes: int
    replicas: int
    ack_wait_seconds: float
    waiting_messages: int = 1_000_000
    outcomes_messages: int = 100_000
    dead_messages: int = 10_000

    @property
    def quotas(self) -> Quotas:
        """What the streams may hold."""
        return Quotas(
            calls=self.calls_bytes,
            later=self.later_bytes,
            callbacks=self.callbacks_bytes,
            outcomes=self.outcomes_bytes,
            dead=self.dead_bytes,
        )

    def within(self, quotas: Quotas) -> Layout:
        """The same, with other quotas."""
        return replace(
            self,
            calls_bytes=quotas.calls,
            later_bytes=quotas.later,
            callbacks_bytes=quotas.callbacks,
            outcomes_bytes=quotas.outcomes,
            dead_bytes=quotas.dead,
        )

    @property
    def streams(self) -> tuple[StreamConfig, ...]:
        return (
            self._work_queue(CALLS, "call", self.calls_bytes),
            self._work_queue(CALLBACKS, "callback", self.callbacks_bytes),
            self._later,
            StreamConfig(
                name=OUTCOMES,
                subjects=(
                    "faas.outcome.>",
                    "faas.attempt.>",
                    "faas.posting.>",
                    *bodies_beside("outcome"),
                ),
                max_bytes=self.outcomes_bytes,
                # Of each call there is its end, and what was tried of its callback.
                max_msgs=2 * self.outcomes_messages,
                num_replicas=self.replicas,
                allow_direct=True,
                allow_msg_ttl=True,
                allow_rollup_hdrs=True,
            ),
            StreamConfig(
                name=DEAD,
                subjects=("faas.dead.>", "faas.dead-callback.>", *bodies_beside("dead")),
                max_bytes=self.dead_bytes,
                max_msgs=self.dead_messages,
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
        return self._consumer(CALLBACK_CONSUMER, "faas.callback.>", _CALLBACKS_PENDING)

    @property
    def due_consumer(self) -> ConsumerConfig:
        return self._consumer(DUE_CONSUMER, "faas.due.>")

    def _work_queue(self, name: str, kind: str, limit_bytes: int) -> StreamConfig:
        return StreamConfig(
            name=name,
            subjects=(f"faas.{kind}.>", *bodies_beside(kind)),
            retention="workqueue",
            storage="file",
            discard="new",
            max_bytes=limit_bytes,
            max_msgs=self.waiting_messages,
            num_replicas=self.replicas,
            duplicate_window=_DUPLICATE_WINDOW_SECONDS * _NS,
            allow_direct=True,
        )

    def _consumer(
        self, name: str, filter_subject: str, most_pending: int = _ACK_PENDING
    ) -> ConsumerConfig:
        return ConsumerConfig(
            name=name,
            durable_name=name,
            ack_policy="explicit",
            ack_wait=round(self.ack_wait_seconds * _NS),
            max_ack_pending=most_pending,
            max_waiting=_WAITING_ASKS,
            filter_subject=filter_subject,
        )
