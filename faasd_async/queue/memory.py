"""A queue in this process's memory: for tests, and for trying things out.

Nothing survives the process, so a 202 promises little. Everything else, leases included, is as
with the durable queues.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import Body
from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, Kind, Letter, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.once import Repeatable, repeatable
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, CallbackRequest, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.interface import (
    Accepted,
    Delivery,
    Depth,
    Filed,
    OfFunction,
    Page,
    Selection,
    Source,
    Subscription,
    Tick,
    Waiting,
    is_of,
)
from faasd_async.queue.kept import why_withheld
from faasd_async.queue.memory_find import Memories, MemoryLookup, MemoryPeers
from faasd_async.queue.memory_listing import MemoryListing
from faasd_async.queue.paused import Paused
from faasd_async.queue.pigeonhole import Entry, Pigeonhole
from faasd_async.settings import ResultSettings

Record = TypeVar("Record")


class MemoryQueue:
    """Calls and callbacks, each in a list.

    :param lease_seconds: how long a delivery may go without a sign of life.
    """

    ready = True
    why_full = None
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


class MemoryKeyedCalls:
    """See :class:`~faasd_async.queue.interface.KeyedCalls`."""

    def __init__(self, put: Callable[[QueueRequest, float], Deferred[None]]) -> None:
        self._put = put
        self._secret = secrets.token_bytes(32)
        self._accepted: dict[tuple[str, str], Accepted] = {}

    def name(self, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
        return repeatable(self._secret, function, key, target, body)

    def put(self, request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Accepted | None]:
        about = request.function, request.key.accept
        if about in self._accepted:
            return succeed(self._accepted[about])
        self._accepted[about] = Accepted(request.key, request.start_time_ns, request.digest)
        return self._put(request, delay_seconds).addCallback(lambda _: None)


class MemoryPauses(Paused):
    """See :class:`~faasd_async.queue.interface.Pauses`."""

    def pause(self, source: Source) -> Deferred[None]:
        self.become({*self.sources, source})
        return succeed(None)

    def resume(self, source: Source) -> Deferred[None]:
        self.become(self.sources - {source})
        return succeed(None)


class MemorySchedules:
    """See :class:`~faasd_async.queue.interface.Schedules`."""

    def __init__(self) -> None:
        self._last: dict[str, Tick] = {}
        self._removed: dict[str, str] = {}

    def last(self, function: str) -> Deferred[Tick | None]:
        return succeed(self._last.get(function))

    def note(self, function: str, tick: Tick) -> Deferred[None]:
        self._last[function] = tick
        return succeed(None)

    def removed(self, function: str) -> Deferred[str]:
        return succeed(self._removed.get(function, ""))

    def remove(self, function: str, schedule: str) -> Deferred[None]:
        self._removed[function] = schedule
        return succeed(None)


class MemoryBacklog:
    """See :class:`~faasd_async.queue.interface.Backlog`."""

    def __init__(self, calls: Pigeonhole[QueueRequest]) -> None:
        self._calls = calls

    def _of(self, source: Source) -> list[Entry[QueueRequest]]:
        return [entry for entry in self._calls if is_of(entry.parcel, source)]

    def look_through(
        self, source: Source, after: int, limit: int
    ) -> Deferred[tuple[Sequence[Waiting], int]]:
        here = [entry for entry in self._of(source) if not entry.put_off]
        found = [Waiting(each.parcel, each.delivered > 0) for each in here[after : after + limit]]
        return succeed((found, after + limit if len(here) > after + limit else 0))

    def depths(self, sources: Sequence[Source]) -> Deferred[Sequence[Depth]]:
        return succeed([self._depth(source) for source in sources])

    def _depth(self, source: Source) -> Depth:
        here = [entry for entry in self._of(source) if not entry.put_off]
        in_flight = sum(entry.delivered > 0 for entry in here)
        return Depth(len(here) - in_flight, in_flight)

    def scheduled(self) -> Deferred[Mapping[tuple[str, str], int] | None]:
        put_off = [entry.parcel for entry in self._calls if entry.put_off]
        return succeed(Counter((request.queue, request.function) for request in put_off))

    def oldest_ns(self, sources: Sequence[Source]) -> Deferred[Sequence[int | None]]:
        return succeed([self._oldest_ns(source) for source in sources])

    def deserted(self, taken: Collection[Source]) -> Deferred[Sequence[Source]]:
        left = [
            entry.parcel.function
            for entry in self._calls
            if not any(is_of(entry.parcel, source) for source in taken)
        ]
        return succeed([OfFunction(each) for each in dict.fromkeys(left)])

    def _oldest_ns(self, source: Source) -> int | None:
        here = [entry.parcel.start_time_ns for entry in self._of(source) if not entry.put_off]
        return min(here, default=None)

    def holds(self, request: QueueRequest) -> Deferred[bool]:
        about = request.function, request.key
        return succeed(
            any(about == (each.parcel.function, each.parcel.key) for each in self._calls)
        )

    def remove(self, request: QueueRequest) -> Deferred[None]:
        about = request.function, request.key
        for entry in self._calls:
            if about == (entry.parcel.function, entry.parcel.key):
                self._calls.remove(entry)
        return succeed(None)

    def purge(self, source: Source) -> Deferred[int]:
        meant = self._of(source)
        for entry in meant:
            self._calls.remove(entry)
        return succeed(len(meant))


class MemoryRecords:
    """See :class:`~faasd_async.queue.interface.Records`."""

    def __init__(self) -> None:
        self.endings: dict[tuple[str, CallKey], tuple[QueueRequest, Ending]] = {}
        self.histories: dict[tuple[str, CallKey], tuple[int, History]] = {}
        self.postings: dict[CallbackName, Posting] = {}

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        return succeed(self._record(request, ending, keep))

    def record_ending_then(
        self,
        request: QueueRequest,
        ending: Ending,
        keep: ResultSettings,
        recorded: Callable[[bool | QueueError], None],
    ) -> None:
        recorded(self._record(request, ending, keep))

    def _record(self, request: QueueRequest, ending: Ending, keep: ResultSettings) -> bool:
        about = request.function, request.key
        if self._ending(*about, request.generation) is not None:
            return False
        withheld = why_withheld(keep, len(ending.outcome.body))
        if withheld is not None and callback_url_of(request, ending) is None:
            ending = replace(ending, outcome=replace(ending.outcome, headers=(), body=b""))
        self.endings[about] = request, replace(ending, withheld=withheld)
        return True

    def find_ending(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[Ending | None]:
        return succeed(self._ending(function, key, generation))

    def _ending(self, function: str, key: CallKey, generation: int) -> Ending | None:
        ended, ending = self.endings.get((function, key), (None, None))
        return None if ended is None or ended.generation < generation else ending

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        self.histories[request.function, request.key] = request.generation, history
        return succeed(None)

    def find_history(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[History | None]:
        return succeed(_in_generation(self.histories.get((function, key)), generation))

    def note_posting(self, name: CallbackName, posting: Posting) -> Deferred[None]:
        self.postings[name] = posting
        return succeed(None)

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        return succeed(self.postings.get(name))

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        self.endings.pop((function, key), None)
        self.histories.pop((function, key), None)
        return succeed(None)


def _in_generation(record: tuple[int, Record] | None, generation: int) -> Record | None:
    """A record, unless its call was replayed since it was written."""
    return None if record is None or record[0] < generation else record[1]


class MemoryDeadLetters:
    """See :class:`~faasd_async.queue.interface.DeadLetters`."""

    def __init__(self) -> None:
        self._letters: dict[tuple[Kind, str, CallKey], Filed] = {}
        self._newest = 0

    def all(self) -> Iterator[Letter]:
        """Every one of them, oldest first."""
        return (filed.letter for filed in list(self._letters.values()))

    def put(self, letter: DeadLetter) -> Deferred[None]:
        return self._put(letter, "call", letter.request)

    def put_callback(self, letter: DeadCallback) -> Deferred[None]:
        return self._put(letter, "callback", letter.callback)

    def _put(
        self, letter: Letter, kind: Kind, parcel: QueueRequest | CallbackRequest
    ) -> Deferred[None]:
        self._newest += 1
        about = kind, parcel.function, parcel.key
        self._letters.pop(about, None)
        self._letters[about] = Filed(self._newest, letter)
        return succeed(None)

    def look_through(self, selection: Selection, after: int, limit: int) -> Deferred[Page]:
        found = [each for each in self._meant(selection) if each.place > after]
        page = found[:limit]
        return succeed(Page(page, page[-1].place if len(found) > limit else None))

    def _meant(self, selection: Selection) -> list[Filed]:
        return [
            filed
            for (kind, function, key), filed in self._letters.items()
            if selection.kind in (None, kind)
            and selection.function in (None, function)
            and selection.call_id in (None, key.call_id)
            and selection.accept in (None, key.accept)
            and selection.reason in (None, getattr(filed.letter, "reason", None))
        ]

    def newest(self) -> Deferred[int]:
        return succeed(self._newest)

    def remove(self, place: int) -> Deferred[bool]:
        for about, filed in self._letters.items():
            if filed.place == place:
                del self._letters[about]
                return succeed(True)
        return succeed(False)

    def purge(self, selection: Selection) -> Deferred[int]:
        meant = self._meant(selection)
        for filed in meant:
            self.remove(filed.place)
        return succeed(len(meant))
