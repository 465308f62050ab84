"""The queue for those who come from OpenFaaS: calls go in, and come out, through NATS Streaming.

What NATS Streaming cannot do, JetStream does beside it. A call that was accepted is published into
a channel in OpenFaaS' own form, and the 202 says that NATS Streaming has stored it. Whoever is a
member of the channel's group may take it: OpenFaaS' queue-worker, or this daemon (:mod:`.inlet`),
which writes it into JetStream, and there it is a call like any other. Retries, dead letters,
records, callbacks, pauses: all of that is
:class:`~faasd_async.queue.jetstream.JetStreamQueue`'s, and this is one, with another entrance.

Some calls never see NATS Streaming, for its messages cannot hold what they are: those that are put
off, that may be repeated, that expire, that have somewhere else to tell of their failure, that were
tried or replayed, and those that are too large for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.openfaas.request import Place, read_request, write_request
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import NOT_TRIED, QueueRequest
from faasd_async.errors import (
    AlreadyStored,
    MaybeStored,
    QueueError,
    StartError,
)
from faasd_async.nats import NatsClient
from faasd_async.nats.errors import MaxPayloadExceeded, NatsError
from faasd_async.nats.stan import SessionRefused, StanClient, StanMessage, Unintelligible
from faasd_async.queue.interface import Delivery, Lookup, OfQueue, Source, Subscription
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.store import queue_error
from faasd_async.queue.jetstream.stored.calls import write_request as write_stored
from faasd_async.queue.jetstream.subjects import queued_subject
from faasd_async.queue.streaming.inlet import Inlet, NotNew
from faasd_async.queue.streaming.published import Published, StreamingLookup

#: The queue of functions that name none.
_USUAL_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class Channels:
    """Where calls lie in NATS Streaming.

    :ivar channel: the channel of the queue ``default``; every other has one of its own name.
    :ivar group: whose members share the messages.
    :ivar namespace: the one that may stand behind a function's name in a message.
    :ivar ack_wait_seconds: how long a message is lent.
    :ivar ahead: how many calls may wait in JetStream that were taken from a channel.
    :ivar refuse_callback: why a callback may not go to a URL, or ``None``: OpenFaaS' gateway, which
        may have accepted the call, does not ask.
    """

    channel: str
    group: str
    namespace: str
    ack_wait_seconds: int
    ahead: int
    refuse_callback: Callable[[CallbackUrl], str | None]

    def of(self, queue: str) -> str:
        """A queue's channel."""
        return self.channel if queue == _USUAL_QUEUE else queue


class StreamingQueue(JetStreamQueue):
    """Calls come through NATS Streaming; see above.

    :param client: the connection to where JetStream is.
    :param stan: the connection to where NATS Streaming is; started and stopped by this queue.
    :param beside: what a JetStream queue is made of besides.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        client: NatsClient,
        *beside: Any,
        stan: StanClient,
        channels: Channels,
        **more: Any,
    ) -> None:
        self._ready = False
        self._stan = stan
        self._channels = channels
        self._inlets: list[Inlet] = []
        self._published = Published()
        super().__init__(clock, client, *beside, **more)
        self._known: Lookup = self.lookup
        self.lookup = StreamingLookup(self._known, self._published)  # type: ignore[assignment]

    @property
    def ready(self) -> bool:
        """Whether both are."""
        return self._ready and self._stan.open

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._ready = ready

    # -- coming and going

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await super().start()
        try:
            await self._stan.start()
        except SessionRefused as reason:
            raise StartError(f"{reason}: look at [nats.streaming]") from reason

    def _connected(self) -> None:
        info = self._client.server_info
        if self._started is not None and info is not None and not info.jetstream:
            started, self._started = self._started, None
            started.errback(
                StartError(
                    "the NATS server in [nats] urls has no JetStream, in which what NATS Streaming"
                    " cannot hold is kept: retries, dead letters, results, callbacks. Set [nats]"
                    " embedded = true, and [nats.streaming] urls to where NATS Streaming is"
                )
            )
            return
        super()._connected()

    async def _stop(self) -> None:
        await gatherResults([inlet.stop() for inlet in list(self._inlets)])
        await self._stan.stop()
        await super()._stop()

    # -- putting

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        if not _is_plain(request):
            super().put_call_then(request, stored)
            return

        def acknowledged(error: NatsError | None) -> None:
            if error is None:
                stored(None)
            else:
                self._published.discard(request.key)
                stored(_queue_error(error))

        channel = self._channels.of(request.queue)
        name = "" if request.queue == _USUAL_QUEUE else request.queue
        self._published.add(request)
        try:
            self._stan.publish_then(channel, write_request(request, name), acknowledged)
        except MaxPayloadExceeded:
            self._published.discard(request.key)
            super().put_call_then(request, stored)
        except NatsError as reason:
            acknowledged(reason)

    def put_plain_then(self, call: PlainCall, stored: Callable[[QueueError | None], None]) -> None:
        self.put_call_then(call.request(), stored)

    # -- taking

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        if not isinstance(source, OfQueue):
            return super().take_calls(source, on_delivery, room)
        inlet = self._open_inlet(source)

        def delivered(delivery: Delivery[QueueRequest]) -> None:
            inlet.taken(delivery.parcel.key)
            on_delivery(delivery)

        beside = super().take_calls(source, delivered, room)
        return _Both(beside, lambda: self._close_inlet(inlet))

    def _open_inlet(self, source: OfQueue) -> Inlet:
        inlet = Inlet(
            self._clock,
            self._stan,
            self._channels.of(source.queue),
            self._channels.group,
            ahead=self._channels.ahead,
            ack_wait_seconds=self._channels.ack_wait_seconds,
            read=lambda message: self._read(message, source.queue),
            bring_in=self._bring_in,
            count_waiting=lambda: self._count_waiting(source),
        )
        self._inlets.append(inlet)
        return inlet

    def _close_inlet(self, inlet: Inlet) -> None:
        inlet.stop().addCallback(lambda _: self._inlets.remove(inlet))

    def _read(self, message: StanMessage, queue: str) -> QueueRequest:
        place = Place(message.channel, message.sequence, message.timestamp_ns)
        request, trouble = read_request(
            message.data,
            place,
            queue=queue,
            namespace=self._channels.namespace,
            refuse_callback=self._channels.refuse_callback,
        )
        if trouble is not None:
            self._log.warn(
                "call {call_id} of {function} has no callback: {trouble}",
                call_id=request.key.call_id,
                function=request.function,
                trouble=trouble,
            )
        return request

    async def _bring_in(self, request: QueueRequest, again: bool) -> None:
        """Write a call into JetStream.

        :param again: its message may have been delivered before.
        :raises NotNew: it has been there before, or was cancelled before it came.
        """
        key = request.key
        try:
            if await self.records.find_ending(request.function, key) is not None:
                raise NotNew
            if again and await self._known.find(key.call_id, key.accept) is not None:
                raise NotNew
            await self._store_once(request)
        except (AlreadyStored, NotNew):
            self._published.discard(key)
            raise NotNew from None
        self._published.discard(key)

    def _store_once(self, request: QueueRequest) -> Deferred[None]:
        """Fails with :class:`~faasd_async.errors.AlreadyStored` if it lies there."""
        fields, payload = write_stored(request)
        fields.append((b"Nats-Expected-Last-Subject-Sequence", b"0"))
        subject = queued_subject("call", request.queue, request.function, request.key)
        return self._store.put_durably(subject, fields, payload)

    async def _count_waiting(self, source: OfQueue) -> int:
        (depth,) = await self.backlog.depths([source])
        return depth.waiting


class _Both:
    """A subscription to a queue's calls in JetStream, and the inlet that they come through."""

    def __init__(self, beside: Subscription, close_inlet: Callable[[], None]) -> None:
        self._beside = beside
        self._close_inlet = close_inlet

    def top_up(self) -> None:
        self._beside.top_up()

    def withdraw(self) -> None:
        self._beside.withdraw()

    def stop(self) -> None:
        self._close_inlet()
        self._beside.stop()


def client_id(host: str, state_dir: str) -> str:
    """What NATS Streaming is to call a daemon: the same at each start, for then the one before it
    is known to be gone, and no other's on its host."""
    name = re.sub(r"[^-A-Za-z0-9_]", "-", host)[:64]
    return f"faas-worker-{name}-{hashlib.sha256(state_dir.encode()).hexdigest()[:6]}"


def _is_plain(request: QueueRequest) -> bool:
    """Whether OpenFaaS' form can hold all that a call is."""
    return (
        request.history is NOT_TRIED
        and request.on_failure is None
        and not request.generation
        and not request.digest
        and type(request.body) is bytes
        and not request.not_before_ns
        and not request.expires_ns
        and not request.max_attempts
    )


def _queue_error(error: NatsError) -> QueueError:
    """What a publish that failed means to the one who wanted a call stored."""
    if isinstance(error, Unintelligible):
        return MaybeStored(str(error))
    return queue_error(error)
