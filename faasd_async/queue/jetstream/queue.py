"""The queue: puts parcels into streams, and keeps everything in place across reconnections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.errors import CallTooLarge, MaybeStored, QueueError, QueueFull, QueueUnavailable
from faasd_async.nats import NatsClient
from faasd_async.nats.errors import (
    ConnectionDropped,
    MaxPayloadExceeded,
    NatsError,
    RequestTimedOut,
)
from faasd_async.nats.jetstream import (
    ConsumerConfig,
    JetStream,
    JetStreamMessage,
    PubAck,
    ResourcesExceeded,
    StreamFull,
)
from faasd_async.nats.wire import encode_headers
from faasd_async.queue.interface import Delivery, Source, Subscription
from faasd_async.queue.jetstream.delivery import Settlements
from faasd_async.queue.jetstream.durability import Durability
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.stored import (
    Fields,
    read_call,
    read_callback,
    write_call,
    write_callback,
)
from faasd_async.queue.jetstream.subjects import CALLBACKS, CALLS, belongs_to_mode
from faasd_async.queue.jetstream.subscription import JetStreamSubscription

Parcel = TypeVar("Parcel")

#: What a message's headers and the stored head may take of the broker's largest payload.
_HEAD_BYTES = 64 * 1024

#: When bringing things up failed.
_AGAIN_SECONDS = 1.0


class JetStreamQueue:
    """Calls in ``FAAS_CALLS``, callbacks in ``FAAS_CALLBACKS``.

    :param client: started and stopped by this queue.
    :param static: consumers are per queue, not per function.
    :param largest_payload_bytes: the broker's ``max_payload``, until it has told us.
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
        largest_payload_bytes: int,
    ) -> None:
        self._clock = clock
        self._client = client
        self._jetstream = JetStream(client)
        self._layout = layout
        self._durability = durability
        self._static = static
        self._largest_payload_bytes = largest_payload_bytes
        self._settlements = Settlements()
        self._subscriptions: list[JetStreamSubscription[Any]] = []
        self._bringing_up: Deferred[None] | None = None
        self._started: Deferred[None] | None = None
        self.ready = False

    @property
    def largest_call_bytes(self) -> int:
        return self._largest_payload_bytes - _HEAD_BYTES

    # -- coming and going

    def start(self) -> Deferred[None]:
        self._started = Deferred()
        self._client.on_connected(self._connected)
        self._client.on_disconnected(self._disconnected)
        self._client.start()
        return self._started

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.stop()
        self._forget_bringing_up()
        await self._client.stop()
        self._durability.stop()
        self.ready = False

    def _connected(self) -> None:
        self._largest_payload_bytes = self._client.max_payload_bytes
        self._settlements.send_unsent()
        self._bring_up()

    def _disconnected(self) -> None:
        self.ready = False
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
                for stream in self._layout.streams:
                    await self._jetstream.ensure_stream(stream)
                await self._remove_other_mode()
                for subscription in list(self._subscriptions):
                    await subscription.bind()
            except NatsError as reason:
                self._log.warn("the queue cannot be brought up: {reason}", reason=reason)
                await deferLater(self._clock, _AGAIN_SECONDS)
            else:
                break
        self.ready = True
        if self._started is not None:
            self._durability.start()
            started, self._started = self._started, None
            started.callback(None)

    def _not_brought_up(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the queue cannot be brought up", failure=failure)
            started, self._started = self._started, None
            if started is not None:
                started.errback(failure)

    async def _remove_other_mode(self) -> None:
        """Consumers of the other queue mode want the same calls and would be in the way."""
        for name in await self._jetstream.consumer_names(CALLS):
            if not belongs_to_mode(name, self._static):
                await self._jetstream.delete_consumer(CALLS, name)

    # -- putting

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        return self._put(*write_call(request))

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        subject, fields, payload = write_callback(callback)
        fields.append((b"Nats-Msg-Id", subject.encode()))
        return self._put(subject, fields, payload)

    def _put(self, subject: str, fields: Fields, payload: bytes) -> Deferred[None]:
        stored: Deferred[None] = Deferred()

        def promise(reason: QueueError | None) -> None:
            if reason is None:
                stored.callback(None)
            else:
                stored.errback(reason)

        def acknowledged(ack: PubAck | NatsError) -> None:
            if isinstance(ack, NatsError):
                promise(_queue_error(ack))
                return
            try:
                self._durability.when_durable(promise)
            except QueueUnavailable as reason:
                promise(reason)

        try:
            self._jetstream.publish_then(
                subject.encode(), payload, encode_headers(fields), acknowledged
            )
        except NatsError as reason:
            promise(_queue_error(reason))
        return stored

    # -- taking

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        return self._take(CALLS, self._layout.consumer(source), read_call, on_delivery, room)

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        consumer = self._layout.callback_consumer
        return self._take(CALLBACKS, consumer, read_callback, on_delivery, room)

    def _take(
        self,
        stream: str,
        consumer: ConsumerConfig,
        read: Callable[[JetStreamMessage], Parcel],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
    ) -> Subscription:
        subscription = JetStreamSubscription(
            self._jetstream,
            stream,
            consumer,
            read=read,
            on_delivery=on_delivery,
            room=room,
            settlements=self._settlements,
            lost=self._lost,
            stopped=self._subscriptions.remove,
        )
        self._subscriptions.append(subscription)
        if self.ready:
            self._bring_up()
        return subscription

    def _lost(self) -> None:
        """A consumer is gone, though the connection is not."""
        if self._client.connected:
            self._bring_up(_AGAIN_SECONDS)


def _queue_error(error: NatsError) -> QueueError:
    """What a failed publish means to the one who wanted something stored."""
    if isinstance(error, MaxPayloadExceeded):
        return CallTooLarge(error.size_bytes, error.limit_bytes)
    if isinstance(error, (ConnectionDropped, RequestTimedOut)):
        return MaybeStored(str(error))
    if isinstance(error, (StreamFull, ResourcesExceeded)):
        return QueueFull(str(error))
    return QueueUnavailable(str(error))
