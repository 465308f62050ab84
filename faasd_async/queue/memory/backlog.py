"""The calls that have not ended, in this process's memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from twisted.internet.defer import Deferred, succeed

from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Depth, OfFunction, Source, Waiting, is_of
from faasd_async.queue.memory.pigeonhole import Entry, Pigeonhole


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
