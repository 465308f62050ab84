"""A queue in this process's memory: for tests, and for trying things out.

Nothing survives the process, so a 202 promises little. Everything else, leases included, is as
with the durable queues.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from faasd_async.call.ending import DeadLetter, Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.once import Repeatable, repeatable
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.queue.interface import Accepted, Delivery, OfFunction, Source, Subscription
from faasd_async.settings import ResultSettings

Parcel = TypeVar("Parcel")


class MemoryQueue:
    """Calls and callbacks, each in a list.

    :param lease_seconds: how long a delivery may go without a sign of life.
    """

    ready = True
    largest_call_bytes = 1 << 62

    def __init__(self, clock: IReactorTime, lease_seconds: float) -> None:
        self._calls: _Pigeonhole[QueueRequest] = _Pigeonhole(clock, lease_seconds)
        self._callbacks: _Pigeonhole[CallbackRequest] = _Pigeonhole(clock, lease_seconds)
        self.records = MemoryRecords()
        self.dead_letters = MemoryDeadLetters()
        self.keyed = MemoryKeyedCalls(self.put_call)

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self._calls.close()
        self._callbacks.close()
        return succeed(None)

    def when_durable(self) -> Deferred[None]:
        return succeed(None)

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        self._calls.put(request)
        return succeed(None)

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        self._calls.later(delay_seconds, lambda: self._calls.put(request))
        return succeed(None)

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        def wanted(request: QueueRequest) -> bool:
            if isinstance(source, OfFunction):
                return request.function == source.function
            return request.queue == source.queue

        return self._calls.take(wanted, on_delivery, room)

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        self._callbacks.put(callback)
        return succeed(None)

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        return self._callbacks.take(lambda _: True, on_delivery, room)


class MemoryKeyedCalls:
    """See :class:`~faasd_async.queue.interface.KeyedCalls`."""

    def __init__(self, put_call: Callable[[QueueRequest], Deferred[None]]) -> None:
        self._put_call = put_call
        self._secret = secrets.token_bytes(32)
        self._accepted: dict[tuple[str, str], Accepted] = {}

    def name(self, function: str, key: bytes, target: bytes, body: bytes) -> Repeatable:
        return repeatable(self._secret, function, key, target, body)

    def put(self, request: QueueRequest) -> Deferred[Accepted | None]:
        about = request.function, request.key.accept
        if about in self._accepted:
            return succeed(self._accepted[about])
        self._accepted[about] = Accepted(request.key, request.start_time_ns, request.digest)
        return self._put_call(request).addCallback(lambda _: None)


class MemoryRecords:
    """See :class:`~faasd_async.queue.interface.Records`."""

    def __init__(self) -> None:
        self._endings: dict[tuple[str, CallKey], Ending] = {}
        self._histories: dict[tuple[str, CallKey], History] = {}

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        about = request.function, request.key
        return succeed(self._endings.setdefault(about, ending) is ending)

    def find_ending(self, function: str, key: CallKey) -> Deferred[Ending | None]:
        return succeed(self._endings.get((function, key)))

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        self._histories[request.function, request.key] = history
        return succeed(None)

    def find_history(self, function: str, key: CallKey) -> Deferred[History | None]:
        return succeed(self._histories.get((function, key)))


class MemoryDeadLetters:
    """See :class:`~faasd_async.queue.interface.DeadLetters`."""

    def __init__(self) -> None:
        self._letters: dict[tuple[str, CallKey], tuple[int, DeadLetter]] = {}
        self._places = itertools.count(1)

    def put(self, letter: DeadLetter) -> Deferred[None]:
        about = letter.request.function, letter.request.key
        self._letters[about] = next(self._places), letter
        return succeed(None)

    def find(self, call_id: str) -> Deferred[Sequence[DeadLetter]]:
        letters = [letter for _, letter in self._letters.values()]
        return succeed([each for each in letters if each.request.key.call_id == call_id])

    def look_through(
        self, function: str | None, after: int, limit: int
    ) -> Deferred[Sequence[tuple[int, DeadLetter]]]:
        found = [
            (place, letter)
            for place, letter in sorted(self._letters.values(), key=lambda entry: entry[0])
            if place > after and function in (None, letter.request.function)
        ]
        return succeed(found[:limit])

    def remove(self, letter: DeadLetter) -> Deferred[None]:
        self._letters.pop((letter.request.function, letter.request.key), None)
        return succeed(None)


class _Pigeonhole(Generic[Parcel]):
    """One kind of parcel: those waiting, and who wants them."""

    def __init__(self, clock: IReactorTime, lease_seconds: float) -> None:
        self.clock = clock
        self.lease_seconds = lease_seconds
        self.subscriptions: list[_MemorySubscription[Parcel]] = []
        self._waiting: deque[tuple[Parcel, int]] = deque()
        self._timers: set[IDelayedCall] = set()

    def put(self, parcel: Parcel, delivered: int = 0) -> None:
        self._waiting.append((parcel, delivered))
        for subscription in list(self.subscriptions):
            subscription.top_up()

    def take(
        self,
        wanted: Callable[[Parcel], bool],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
    ) -> _MemorySubscription[Parcel]:
        subscription = _MemorySubscription(self, wanted, on_delivery, room)
        self.subscriptions.append(subscription)
        subscription.top_up()
        return subscription

    def find(self, wanted: Callable[[Parcel], bool]) -> tuple[Parcel, int] | None:
        """Take the oldest wanted parcel out, with the number of its earlier deliveries."""
        for index, entry in enumerate(self._waiting):
            if wanted(entry[0]):
                del self._waiting[index]
                return entry
        return None

    def later(self, delay_seconds: float, action: Callable[[], None]) -> IDelayedCall:
        def ring() -> None:
            self._timers.discard(timer)
            action()

        timer = self.clock.callLater(delay_seconds, ring)
        self._timers.add(timer)
        return timer

    def forget(self, timer: IDelayedCall) -> None:
        if timer.active():
            timer.cancel()
        self._timers.discard(timer)

    def close(self) -> None:
        for subscription in list(self.subscriptions):
            subscription.stop()
        for timer in list(self._timers):
            self.forget(timer)


class _MemorySubscription(Generic[Parcel]):
    def __init__(
        self,
        hole: _Pigeonhole[Parcel],
        wanted: Callable[[Parcel], bool],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
    ) -> None:
        self._hole = hole
        self._wanted = wanted
        self._on_delivery = on_delivery
        self._room = room

    def top_up(self) -> None:
        while self in self._hole.subscriptions and self._room() > 0:
            found = self._hole.find(self._wanted)
            if found is None:
                return
            parcel, delivered = found
            self._on_delivery(_MemoryDelivery(self._hole, parcel, delivered + 1))

    def stop(self) -> None:
        if self in self._hole.subscriptions:
            self._hole.subscriptions.remove(self)


class _MemoryDelivery(Generic[Parcel]):
    inherited = False

    def __init__(self, hole: _Pigeonhole[Parcel], parcel: Parcel, delivered: int) -> None:
        self.parcel = parcel
        self.delivered = delivered
        self._hole = hole
        self._lease = self._begin_lease()

    def _begin_lease(self) -> IDelayedCall:
        return self._hole.later(self._hole.lease_seconds, self._back)

    def _back(self) -> None:
        self._hole.put(self.parcel, self.delivered)

    def extend(self) -> None:
        if self._lease.active():
            self._hole.forget(self._lease)
            self._lease = self._begin_lease()

    def settle(self) -> None:
        self._hole.forget(self._lease)

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self._hole.forget(self._lease)
        self._hole.later(delay_seconds, self._back)

    def reject(self, reason: str) -> None:
        self._hole.forget(self._lease)
