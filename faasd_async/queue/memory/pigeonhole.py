"""A pigeonhole: one kind of parcel in this process's memory, on leases as everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from msgspec.structs import replace
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from faasd_async.queue.interface import Delivery

Parcel = TypeVar("Parcel")


@dataclass(eq=False, slots=True)
class Entry(Generic[Parcel]):
    """A parcel that was put in and is not done with.

    :ivar delivered: how often it was handed out.
    :ivar waits: it can be taken now.
    :ivar put_off: it has to wait for its time, and was never handed out since.
    :ivar holder: who was handed it last.
    """

    parcel: Parcel
    delivered: int = 0
    waits: bool = False
    put_off: bool = False
    holder: object = None


class Pigeonhole(Generic[Parcel]):
    """Those that wait, and who wants them.

    :ivar when_gone: told of each parcel that is done with.
    """

    def __init__(self, clock: IReactorTime, lease_seconds: float) -> None:
        self.clock = clock
        self.lease_seconds = lease_seconds
        self.subscriptions: list[MemorySubscription[Parcel]] = []
        self.when_gone: Callable[[Parcel], None] = lambda _: None
        # In the order in which they would be taken: what comes back goes to the end.
        self._entries: dict[Entry[Parcel], None] = {}
        self._timers: set[IDelayedCall] = set()

    def __iter__(self) -> Iterator[Entry[Parcel]]:
        return iter(list(self._entries))

    def put(self, parcel: Parcel) -> None:
        self.let_wait(Entry(parcel))

    def put_later(self, parcel: Parcel, delay_seconds: float) -> None:
        entry = Entry(parcel, put_off=True)
        self._entries[entry] = None
        self.later(delay_seconds, lambda: self.come_back(entry, None))

    def let_wait(self, entry: Entry[Parcel]) -> None:
        """It can be taken from now on, after those that wait already."""
        self._entries.pop(entry, None)
        self._entries[entry] = None
        entry.waits, entry.put_off = True, False
        for subscription in list(self.subscriptions):
            subscription.top_up()

    def come_back(self, entry: Entry[Parcel], holder: object) -> None:
        """Whoever was handed it has it no longer, unless it is done with or somebody else's."""
        if entry in self._entries and entry.holder is holder:
            self.let_wait(entry)

    def done(self, entry: Entry[Parcel], holder: object) -> None:
        """The same, but for good."""
        if entry.holder is holder and not entry.waits and self.remove(entry):
            self.when_gone(entry.parcel)

    def remove(self, entry: Entry[Parcel]) -> bool:
        """:return: whether it was there."""
        if entry not in self._entries:
            return False
        del self._entries[entry]
        return True

    def take(
        self,
        wanted: Callable[[Parcel], bool],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
    ) -> MemorySubscription[Parcel]:
        subscription = MemorySubscription(self, wanted, on_delivery, room)
        self.subscriptions.append(subscription)
        subscription.top_up()
        return subscription

    def find(self, wanted: Callable[[Parcel], bool]) -> Entry[Parcel] | None:
        """The oldest wanted parcel that can be taken."""
        for entry in self._entries:
            if entry.waits and wanted(entry.parcel):
                return entry
        return None

    def later(self, delay_seconds: float, action: Callable[[], object]) -> IDelayedCall:
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


class MemorySubscription(Generic[Parcel]):
    """See :class:`~faasd_async.queue.interface.Subscription`."""

    def __init__(
        self,
        hole: Pigeonhole[Parcel],
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
            entry = self._hole.find(self._wanted)
            if entry is None:
                return
            self._on_delivery(MemoryDelivery(self._hole, entry))

    def withdraw(self) -> None:
        """Nothing is ever on its way."""

    def stop(self) -> None:
        if self in self._hole.subscriptions:
            self._hole.subscriptions.remove(self)


class MemoryDelivery(Generic[Parcel]):
    """See :class:`~faasd_async.queue.interface.Delivery`."""

    inherited = left_behind = False

    def __init__(self, hole: Pigeonhole[Parcel], entry: Entry[Parcel]) -> None:
        entry.waits = False
        entry.delivered += 1
        entry.holder = self
        self.parcel = entry.parcel
        self.delivered = entry.delivered
        self._entry = entry
        self._hole = hole
        self._lease = self._begin_lease()

    def _begin_lease(self) -> IDelayedCall:
        return self._hole.later(self._hole.lease_seconds, self._back)

    def _back(self) -> None:
        self._hole.come_back(self._entry, self)

    def extend(self) -> None:
        if self._lease.active():
            self._hole.forget(self._lease)
            self._lease = self._begin_lease()

    def lighten(self) -> None:
        self.parcel = replace(cast(Any, self.parcel), body=b"")

    def settle_moved(self) -> None:
        self.settle()

    def settle(self) -> None:
        self._hole.forget(self._lease)
        self._hole.done(self._entry, self)

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self._hole.forget(self._lease)
        self._hole.later(delay_seconds, self._back)

    def reject(self, reason: str) -> None:
        self.settle()
