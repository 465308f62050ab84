"""Calls of functions that are not deployed any more.

Nobody asks for them: they wait in the queue, for a function may come back. Every so often it is
looked whether there are some that have waited for longer than ``orphan_ttl``; these are taken, the
oldest first, and come to their end in the worker's hands. The first that may still wait ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery, Queue, Source
from faasd_async.worker.expiry import is_past, is_too_old
from faasd_async.worker.lane import Lane
from faasd_async.worker.looking import Looking

#: Between two looks, at most and at least; else a tenth of the time that orphans have.
LOOK_SECONDS, _SHORTEST_LOOK_SECONDS = 60.0, 1.0


class Orphans:
    """Has calls taken that nobody else takes and that are too old to wait.

    :param take: is given what arrives.
    :param taken: what the worker takes from.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        *,
        take: Callable[[Delivery[QueueRequest], Lane], None],
        taken: Callable[[], Collection[Source]],
        ttl_seconds: float,
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._take = take
        self._taken = taken
        self._ttl_seconds = ttl_seconds
        self._now_ns = now_ns
        self._lanes: dict[Source, Lane] = {}
        self._looking = Looking(clock, "orphans", self._look_through, self._seconds)

    def start(self) -> None:
        """Look from time to time."""
        self._looking.start()

    def stop(self) -> None:
        """Take no more."""
        self._looking.stop()
        for source in list(self._lanes):
            self._close(source)

    def fit(self) -> None:
        """Leave alone what the worker takes from now."""
        for source in self._lanes.keys() & set(self._taken()):
            self._close(source)

    def _seconds(self) -> float:
        return min(LOOK_SECONDS, max(_SHORTEST_LOOK_SECONDS, self._ttl_seconds / 10))

    async def _look_through(self) -> None:
        backlog = self._queue.backlog
        found = await backlog.deserted(self._taken())
        sources = list({*found, *self._lanes})
        for source, since_ns in zip(sources, await backlog.oldest_ns(sources), strict=True):
            late = since_ns is not None and is_past(since_ns, self._ttl_seconds, self._now_ns())
            if not late:
                self._close(source)
            elif source not in self._lanes and source not in self._taken():
                self._open(source)

    def _open(self, source: Source) -> None:
        lane = self._lanes[source] = Lane(source, self._take_one, self._room)
        lane.open(self._queue)
        if source not in self._lanes:
            # The first call came at once, and may still wait.
            lane.stop()

    def _room(self, source: Source) -> int:
        return 1 if source in self._lanes else 0

    def _take_one(self, delivery: Delivery[QueueRequest], lane: Lane) -> None:
        if not is_too_old(delivery.parcel, self._ttl_seconds, self._now_ns()):
            self._close(lane.source)
        self._take(delivery, lane)

    def _close(self, source: Source) -> None:
        lane = self._lanes.pop(source, None)
        if lane is not None:
            lane.stop()
