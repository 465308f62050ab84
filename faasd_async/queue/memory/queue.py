"""What is put into this process's memory, and taken out of it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.plain import PlainCall
from faasd_async.call.request import CallbackName, CallbackRequest, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.interface import Delivery, Source, Subscription, is_of
from faasd_async.queue.memory.backlog import MemoryBacklog
from faasd_async.queue.memory.dead_letters import MemoryDeadLetters
from faasd_async.queue.memory.find import Memories, MemoryLookup, MemoryPeers
from faasd_async.queue.memory.keyed import MemoryKeyedCalls
from faasd_async.queue.memory.listing import MemoryListing
from faasd_async.queue.memory.pauses import MemoryPauses
from faasd_async.queue.memory.pigeonhole import Pigeonhole
from faasd_async.queue.memory.records import MemoryRecords
from faasd_async.queue.memory.schedules import MemorySchedules


class MemoryQueue:
    """Calls and callbacks, each in a list.

    :param lease_seconds: how long a delivery may go without a sign of life.
    """

    ready = True
    why_refused = None
    callbacks_crowded = callbacks_full = False
    largest_call_bytes = 1 << 62
    #: None is too large to be put as it is.
    bodies: Bodies | None = None

    def __init__(self, clock: IReactorTime, lease_seconds: float) -> None:
        self._calls: Pigeonhole[QueueRequest] = Pigeonhole(clock, lease_seconds)
        self._callbacks: Pigeonhole[CallbackRequest] = Pigeonhole(clock, lease_seconds)
        self._callbacks.when_gone = lambda callback: self._stored.discard(callback.name)
        self._stored: set[CallbackName] = set()
        self.records = MemoryRecords()
        self.dead_letters = MemoryDeadLetters()
        self.keyed = MemoryKeyedCalls(self._put_in_time)
        self.pauses = MemoryPauses()
        self.schedules = MemorySchedules()
        self.backlog = MemoryBacklog(self._calls)
        memories = Memories(
            calls=self._calls,
            callbacks=self._callbacks,
            endings=self.records.endings,
            histories=self.records.histories,
            postings=self.records.postings,
            letters=self.dead_letters.all,
        )
        self.lookup = MemoryLookup(memories)
        self.listing = MemoryListing(memories)
        self.peers = MemoryPeers()

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self._calls.close()
        self._callbacks.close()
        return succeed(None)

    def when_durable(self) -> Deferred[None]:
        return succeed(None)

    def when_durable_then(self, durable: Callable[[QueueError | None], None]) -> None:
        durable(None)

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        self._calls.put(request)
        stored(None)

    def put_plain_then(self, call: PlainCall, stored: Callable[[QueueError | None], None]) -> None:
        self.put_call_then(call.request(), stored)

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        self._calls.put(request)
        return succeed(None)

    def _put_in_time(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        return self.put_later(request, delay_seconds) if delay_seconds else self.put_call(request)

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        self._calls.put_later(request, delay_seconds)
        return succeed(None)

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        return self._calls.take(lambda request: is_of(request, source), on_delivery, room)

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        if callback.name not in self._stored:
            self._stored.add(callback.name)
            self._callbacks.put(callback)
        return succeed(None)

    def put_callback_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        self.put_callback(callback)
        stored(None)

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        return self._callbacks.take(lambda _: True, on_delivery, room)
