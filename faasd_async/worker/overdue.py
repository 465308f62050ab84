"""Calls whose time is over while nobody asks for them.

A call is looked at before it begins, and where its function is paused, or has no room, that is
long after its time, and its caller is told as late. So what waits behind such a function is looked
through from time to time, some of it at a time, and what is too old comes to its end: as if it had
been cancelled, the end first, then the message, and last whoever has it in hand lets go of it.

A call that has begun is left alone, whatever became of that. One that was never handed out has not
begun; of another, whoever has it knows, or what was noted as it came back. If nobody does, its
holder is gone, and it waits for its turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Queue, Source, Waiting
from faasd_async.worker.expiry import expired, is_too_old, seconds_left
from faasd_async.worker.looking import Looking

#: Between two looks where a call's time is over soon, or any was named by its caller; and else.
OFTEN_SECONDS, SELDOM_SECONDS = 1.0, 2.0

#: How many calls of a source are looked at in one go.
MOST_CALLS = 256

#: How many of them come to their end at a time.
_AT_A_TIME = 64


class Overdue:
    """Ends calls that have not begun in time, although it is not their turn.

    :param standing: the sources whose calls wait.
    :param expires_seconds: a function's; ``None`` if it is not deployed.
    :param end: writes a call's end down; raises :class:`~faasd_async.errors.QueueError`.
    :param ended: told of each.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        *,
        standing: Callable[[], Collection[Source]],
        expires_seconds: Callable[[str], float | None],
        end: Callable[[QueueRequest, Ending], Awaitable[object]],
        ended: Callable[[CallKey], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._standing = standing
        self._expires_seconds = expires_seconds
        self._end = end
        self._ended = ended
        self._now_ns = now_ns
        self._places: dict[Source, int] = {}
        self._soon: set[Source] = set()
        what = "calls whose time is over"
        self._looking = Looking(clock, what, self._look_through, self._seconds)

    def start(self) -> None:
        """Look from time to time."""
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._looking.stop()

    def _seconds(self) -> float:
        return OFTEN_SECONDS if self._soon else SELDOM_SECONDS

    async def _look_through(self) -> None:
        standing = set(self._standing())
        self._places = {each: at for each, at in self._places.items() if each in standing}
        self._soon &= standing
        for source in standing:
            place = self._places.get(source, 0)
            calls, self._places[source] = await self._queue.backlog.look_through(
                source, place, MOST_CALLS
            )
            if not place:
                self._soon.discard(source)
            await self._see_to_all(calls, source)

    async def _see_to_all(self, calls: Sequence[Waiting], source: Source) -> None:
        """Those that end at the same time share a flush of the disk."""
        slots = DeferredSemaphore(_AT_A_TIME)
        ending = [slots.run(self._ending, call, source) for call in calls]
        try:
            await gatherResults(ending, consumeErrors=True)
        except FirstError as reason:
            raise (reason.subFailure.value or reason) from reason

    def _ending(self, call: Waiting, source: Source) -> Deferred[None]:
        return Deferred.fromCoroutine(self._see_to(call, source))

    async def _see_to(self, call: Waiting, source: Source) -> None:
        request, now_ns = call.request, self._now_ns()
        most_seconds = self._expires_seconds(request.function)
        if most_seconds is None or request.history.attempts:
            return
        if request.expires_ns or seconds_left(request, most_seconds, now_ns) < SELDOM_SECONDS:
            self._soon.add(source)
        if not is_too_old(request, most_seconds, now_ns):
            return
        history = await self._history(call)
        if history is None or history.attempts:
            return
        await self._end(request, expired(request, history, most_seconds, now_ns))
        await self._queue.backlog.remove(request)
        self._queue.peers.abort(request.key)
        self._ended(request.key)

    async def _history(self, call: Waiting) -> History | None:
        """What is known of a call that has not begun; ``None`` if it has, or may have."""
        request = call.request
        if not call.handed_out:
            return request.history
        grip = await self._queue.peers.ask(request.key)
        if grip is not None:
            return None if grip.begun_ns else grip.history
        return await self._queue.records.find_history(
            request.function, request.key, request.generation
        )
