"""The queue: puts parcels into streams, and keeps everything in place across reconnections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.call.body import is_stored
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import NOT_TRIED, CallbackRequest, QueueRequest
from faasd_async.errors import QueueError, StartError
from faasd_async.nats import NatsClient
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import ConsumerConfig, JetStream, JetStreamMessage
from faasd_async.queue.interface import Delivery, Source, Subscription, told
from faasd_async.queue.jetstream.answering import Answering
from faasd_async.queue.jetstream.asking import Round
from faasd_async.queue.jetstream.backlog import JetStreamBacklog
from faasd_async.queue.jetstream.bodies import PIECE_BYTES, JetStreamBodies
from faasd_async.queue.jetstream.body_sweep import BodySweep
from faasd_async.queue.jetstream.burial import Burial
from faasd_async.queue.jetstream.callbacks import Callbacks
from faasd_async.queue.jetstream.clocks import Clocks, WhenBelieved, at_once
from faasd_async.queue.jetstream.dead_letters import JetStreamDeadLetters
from faasd_async.queue.jetstream.delivery import CountedDelivery, JetStreamDelivery, Settlements
from faasd_async.queue.jetstream.durability import Durability
from faasd_async.queue.jetstream.filling import Filling
from faasd_async.queue.jetstream.find import JetStreamLookup
from faasd_async.queue.jetstream.later import Later
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.listing import JetStreamListing
from faasd_async.queue.jetstream.once import JetStreamKeyedCalls
from faasd_async.queue.jetstream.pauses import JetStreamPauses
from faasd_async.queue.jetstream.peers import JetStreamPeers
from faasd_async.queue.jetstream.records import JetStreamRecords
from faasd_async.queue.jetstream.recovery import (
    all_returned,
    consumers_of,
    make_available,
    remove_settled,
)
from faasd_async.queue.jetstream.schedules import JetStreamSchedules
from faasd_async.queue.jetstream.store import Store
from faasd_async.queue.jetstream.stored.callbacks import read_fresh_callback
from faasd_async.queue.jetstream.stored.calls import (
    first_written,
    plain_header_block,
    read_request,
    read_waiting,
    write_request,
)
from faasd_async.queue.jetstream.streams import StoreDisk, Streams
from faasd_async.queue.jetstream.subjects import (
    CALLBACKS,
    CALLS,
    LATER,
    belongs_to_mode,
    drawn_subject,
    queued_subject,
)
from faasd_async.queue.jetstream.subscription import JetStreamSubscription

Parcel = TypeVar("Parcel")

#: What a message's headers and the stored head may take of the broker's largest payload.
_HEAD_BYTES = 64 * 1024

#: When bringing things up failed.
_AGAIN_SECONDS = 1.0

#: How long the figures wait for what the broker has to be asked.
_REPORT_SECONDS = 1.0


class JetStreamQueue:
    """Calls in ``FAAS_CALLS``, callbacks in ``FAAS_CALLBACKS``, and what is known of them.

    :param client: started and stopped by this queue.
    :param disk: what the quotas have to fit on; ``None``: another machine's.
    :param static: consumers are per queue, not per function.
    :param alone: nobody else takes from this queue: whatever it has handed out when it is reached
        was in the hands of a daemon that is gone, or on its way when the connection broke off, and
        need not wait for its lease to run out.
    :param now_seconds: the wall clock.
    :param largest_payload_bytes: the broker's ``max_payload``, until it has told us.
    :param when_believed: waits for that clock to be set.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        client: NatsClient,
        layout: Layout,
        durability: Durability,
        *,
        static: bool,
        alone: bool,
        largest_payload_bytes: int,
        now_seconds: Callable[[], float],
        disk: StoreDisk | None = None,
        when_believed: WhenBelieved = at_once,
    ) -> None:
        self._clock = clock
        self._client = client
        self._jetstream = JetStream(client)
        self._streams = Streams(self._jetstream, layout, disk)
        self._clocks = Clocks(self._jetstream, now_seconds, when_believed)
        self._durability = durability
        self._static = static
        self._alone = alone
        self._largest_payload_bytes = largest_payload_bytes
        self._answering = Answering(clock, client.flush)
        self._store = Store(self._jetstream, durability, lambda: self._answering.why_not)
        self.bodies = JetStreamBodies(clock, self._store)
        self._sweep = BodySweep(
            clock, self._store, self.bodies, alone=alone, now_seconds=now_seconds
        )

        def now_ns() -> int:
            return round(now_seconds() * 1e9)

        self.records = JetStreamRecords(
            self._store,
            lease_seconds=layout.ack_wait_seconds,
            now_ns=now_ns,
            bodies=self.bodies,
            orphaned=self._sweep.soon,
        )
        self.dead_letters = JetStreamDeadLetters(self._store, self.bodies, self._sweep.soon)
        self._burial = Burial(self.records, self.dead_letters, self.when_durable, now_ns)
        self.keyed = JetStreamKeyedCalls(self._store)
        self.pauses = JetStreamPauses(self._store, client)
        self.backlog = JetStreamBacklog(self._store, self.bodies, self._sweep.soon)
        self.schedules = JetStreamSchedules(self._store)
        self.lookup = JetStreamLookup(self._store, self.records)
        self.listing = JetStreamListing(self._store, self.records)
        self.peers = JetStreamPeers(clock, client, alone=alone)
        self._later = self.keyed.later = Later(
            self._store,
            layout.later_bytes,
            layout.waiting_messages,
            self.put_call,
            self.keyed.put_only,
            now_seconds,
        )
        self._calls = Filling(clock, self._jetstream, CALLS, self._streams.calls_share)
        self._store.when_full = self._calls.refused
        filling = Filling(clock, self._jetstream, CALLBACKS, self._streams.callbacks_share)
        self._callbacks = Callbacks(
            self._store, self.bodies, filling, lambda: self.largest_call_bytes
        )
        self.put_callback_then = self._callbacks.put_then
        self._settlements = Settlements(self.bodies.discard, client.flush)
        self._asking = Round(clock)
        self._subscriptions: list[JetStreamSubscription[Any]] = []
        self._inherited: dict[str, int] = {}
        self._left_behind: dict[str, int] = {}
        self._in_flight: Mapping[str, int] = {}
        self._may_be_lost = alone
        self._bringing_up: Deferred[None] | None = None
        self._started: Deferred[None] | None = None
        self.ready = False

    @property
    def largest_call_bytes(self) -> int:
        return self._largest_payload_bytes - _HEAD_BYTES

    @property
    def why_refused(self) -> str | None:
        if not self._calls.is_full:
            return self._answering.why_not
        return "the queue is full: waiting calls take up [queue] max_bytes or max_messages"

    # -- coming and going

    def start(self) -> Deferred[None]:
        self._started = Deferred()
        self._client.on_connected(self._connected)
        self._client.on_disconnected(self._disconnected)
        due = self._take(
            LATER,
            self._streams.layout.due_consumer,
            read_request,
            self._later.take_due,
            self._later.room,
        )
        self._later.when_room = due.top_up
        self._client.start()
        return self._started

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.stop()
        self._forget_bringing_up()
        self._sweep.stop()
        await self._client.stop()
        self._durability.stop()
        self.ready = False

    def _connected(self) -> None:
        self._largest_payload_bytes = self._client.max_payload_bytes
        self.bodies.piece_bytes = min(PIECE_BYTES, max(self.largest_call_bytes, 1))
        self._settlements.send_unsent()
        self._may_be_lost = self._alone
        self._answering.connected()
        self._bring_up()

    def _disconnected(self) -> None:
        self.ready = False
        self._answering.disconnected()
        self._forget_bringing_up()
        for subscription in self._subscriptions:
            subscription.unbind()

    def _bring_up(self, after_seconds: float = 0.0) -> None:
        """Have every stream and consumer in place; what is there already stays as it is."""
        self._forget_bringing_up()
        self._bringing_up = Deferred.fromCoroutine(self._try_to_bring_up(after_seconds))
        self._bringing_up.addErrback(self._not_brought_up)

    def _forget_bringing_up(self) -> None:
        bringing_up, self._bringing_up = self._bringing_up, None
        if bringing_up is not None:
            bringing_up.cancel()

    async def _try_to_bring_up(self, after_seconds: float) -> None:
        if after_seconds:
            await deferLater(self._clock, after_seconds)
        while True:
            try:
                for name, last_sequence in (await self._streams.bring_up()).items():
                    # A server that was killed may have forgotten what it gave out, and to whom.
                    self._inherited[name] = last_sequence
                    self._left_behind.setdefault(name, last_sequence)
                await self._clocks.agree(CALLS, patient=self._started is not None)
                self._later.limit_bytes = self._streams.layout.later_bytes
                self._later.possible = self._streams.keeps_schedules
                await self.keyed.agree()
                await self.pauses.read()
                await self._remove_other_mode()
                if self._may_be_lost:
                    await self._take_back()
                await self._bind()
            except (NatsError, QueueError) as reason:
                self.ready = False
                self._log.warn("the queue cannot be brought up: {reason}", reason=reason)
                await deferLater(self._clock, _AGAIN_SECONDS)
            else:
                break
        self.ready = True
        self._callbacks.filling.look()
        if self._started is not None:
            self._durability.start()
            self._sweep.start()
            started, self._started = self._started, None
            started.callback(None)

    async def _bind(self) -> None:
        """Have everybody ask; for what was in flight when the daemon went away first, so that it
        finds the places free that it had, and not taken by fresh calls."""
        in_flight = [each for each in self._subscriptions if each.name in self._in_flight]
        for each in in_flight:
            await self._bind_one(each, self._in_flight[each.name])
        if in_flight:
            await all_returned([each.when_returned for each in in_flight], self._clock)
            self._in_flight = {}
        for each in list(self._subscriptions):
            if each in in_flight:
                each.ask_for_all()
            else:
                await self._bind_one(each)

    async def _bind_one(
        self, subscription: JetStreamSubscription[Any], returning: int | None = None
    ) -> None:
        stream = subscription.stream
        await subscription.bind(
            self._inherited[stream], self._left_behind[stream], returning=returning
        )

    async def _take_back(self) -> None:
        """Have what was handed out handed out again. What is in hand comes twice then, and whoever
        has it knows."""
        consumers = await consumers_of(self._jetstream, (CALLS, CALLBACKS, LATER))
        left = await remove_settled(self._jetstream, consumers)
        lenders = await make_available(self._jetstream, consumers, self._clock)
        self._may_be_lost = False
        if left:
            self._log.info("{count} messages were settled before, and are removed", count=left)
        in_flight = {
            lender.name: lender.num_ack_pending for lender in lenders if lender.stream_name == CALLS
        }
        if in_flight and self._started is not None:
            self._in_flight = in_flight
            self._log.warn(
                "{count} calls had been handed out when the daemon ended; they are taken up again",
                count=sum(in_flight.values()),
            )

    def _not_brought_up(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        started, self._started = self._started, None
        if started is not None:
            started.errback(failure)
        elif failure.check(StartError):
            self._log.critical("no call is accepted: {reason}", reason=failure.getErrorMessage())
        else:
            self._log.failure("the queue cannot be brought up", failure=failure)

    async def _remove_other_mode(self) -> None:
        """Consumers of the other queue mode want the same calls and would be in the way."""
        for name in await self._jetstream.consumer_names(CALLS):
            if not belongs_to_mode(name, self._static):
                await self._jetstream.delete_consumer(CALLS, name)

    # -- putting

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        header_block, payload = first_written(request)
        subject = queued_subject("call", request.queue, request.function, request.key)
        self._store.put_durably_then(subject.encode(), header_block, payload, stored)

    def put_plain_then(self, call: PlainCall, stored: Callable[[QueueError | None], None]) -> None:
        subject = drawn_subject(call.queue, call.function, call.key)
        header_block = plain_header_block(call)
        self._store.put_durably_then(subject, header_block, call.written, stored)

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        if is_stored(request.body):
            return Deferred.fromCoroutine(self._put_with_body(request))
        return self._put_call(request)

    async def _put_with_body(self, request: QueueRequest) -> None:
        """Put a call whose body lies elsewhere: beside a dead letter, perhaps."""
        prepared = await self.bodies.prepare_call(request)
        try:
            await self._put_call(prepared)
        except QueueError as reason:
            if prepared.body != request.body:
                self.bodies.put(prepared.body, reason)
            raise
        self.bodies.keep(prepared.body)

    def _put_call(self, request: QueueRequest) -> Deferred[None]:
        fields, payload = write_request(request)
        subject = queued_subject("call", request.queue, request.function, request.key)
        if request.history is not NOT_TRIED or request.generation:
            # Written by the daemon itself, which may have to write it twice.
            attempts = len(request.history.attempts)
            message_id = f"{subject}/{request.generation}/{attempts}"
            fields.append((b"Nats-Msg-Id", message_id.encode()))
        return self._store.put_durably(subject, fields, payload)

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._later.put(request, delay_seconds))

    @property
    def callbacks_crowded(self) -> bool:
        return self._callbacks.are_crowded

    @property
    def callbacks_full(self) -> bool:
        return self._callbacks.are_full

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        return told(lambda stored: self.put_callback_then(callback, stored))

    def when_durable(self) -> Deferred[None]:
        return self._store.when_durable()

    def when_durable_then(self, durable: Callable[[QueueError | None], None]) -> None:
        self._store.when_durable_then(durable)

    def report(self, tell: Callable[[str, int, int, int], None]) -> Deferred[None]:
        """Tell of each stream what it holds, in bytes and messages, and its quota in bytes.

        :return: fires when they are told, or when it has become clear that they cannot be.
        """
        if not self.ready:
            return succeed(None)
        told = Deferred.fromCoroutine(self._streams.report(tell))
        told.addTimeout(_REPORT_SECONDS, self._clock)
        return told.addErrback(lambda failure: failure.trap(NatsError, TimeoutError) and None)

    # -- taking

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        return self._take(
            CALLS, self._streams.layout.consumer(source), read_waiting, on_delivery, room
        )

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        consumer = self._streams.layout.callback_consumer
        # Not of a certain parcel: to say so costs more than to make one.
        deliver: Any = partial(CountedDelivery, filling=self._callbacks.filling)
        return self._take(CALLBACKS, consumer, _read_callback, on_delivery, room, deliver)

    def _take(
        self,
        stream: str,
        consumer: ConsumerConfig,
        read: Callable[[JetStreamMessage], Parcel],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
        deliver: Callable[
            [Parcel, JetStreamMessage, Settlements, bool, bool], Delivery[Parcel]
        ] = JetStreamDelivery,
    ) -> Subscription:
        subscription = JetStreamSubscription(
            self._jetstream,
            stream,
            consumer,
            read=read,
            on_delivery=on_delivery,
            room=room,
            asking=self._asking,
            settlements=self._settlements,
            lost=self._lost,
            stopped=self._subscriptions.remove,
            bury=self._burial.bury,
            deliver=deliver,
        )
        self._subscriptions.append(subscription)
        if self.ready:
            self._bring_up()
        return subscription

    def _lost(self) -> None:
        """A consumer is gone, though the connection is not."""
        if self._client.connected:
            self.ready = False
            self._bring_up(_AGAIN_SECONDS)


def _read_callback(message: JetStreamMessage) -> CallbackRequest:
    return read_fresh_callback(message, message.timestamp_ns)
