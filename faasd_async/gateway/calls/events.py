"""A call's states as they change: server-sent events, until its end.

Each event is named for a state and holds the whole status. Its id says how far the call is, and is
the same from whatever daemon it comes: a client that comes back with ``Last-Event-ID`` is not told
what it knows, and one that knows the end is told by 204 not to come again.

What is told is what is the case when it is looked, not all that was the case in between.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from faasd_async.gateway.calls.asked import Asked
from faasd_async.gateway.calls.status import Status, Step
from faasd_async.gateway.calls.waiting import Waiter, Waiting
from faasd_async.gateway.refusal import Refusal

#: After so long without an event something is sent, lest what is in between takes it for dead.
KEEP_ALIVE_SECONDS = 15.0

#: When a client whose connection broke is to come back.
_AGAIN_MILLISECONDS = 1000


class _Gone(Exception):
    """A call was purged."""


class Events:
    """Tells clients of calls."""

    _log = Logger()

    def __init__(self, status: Status, waiting: Waiting) -> None:
        self._status = status
        self._waiting = waiting

    async def follow(
        self, asked: Asked, last_id: str, begin: Callable[[], None], write: Callable[[bytes], None]
    ) -> bool:
        """Tell of a call until its end, or until the daemon stops.

        :param last_id: of the event that the client knows.
        :param begin: called once, before anything is written.
        :return: whether there was anything to be told.
        :raises Refusal: before it has begun: 404, 410; 503, too many want to be told.
        """
        known = await self._status.find(asked)
        waiter = self._waiting.join(known.name, every_step=True)
        try:
            step = await self._status.step(known, asked)
            if step.is_last and step.id == last_id:
                return False
            begin()
            write(b"retry: %d\n\n" % _AGAIN_MILLISECONDS)
            if known.others:
                # One that is accepted meanwhile is not meant.
                asked = Asked(asked.call_id, known.name.key.accept)
            await self._tell(known.name.key.accept, asked, last_id, waiter, write)
        finally:
            waiter.leave()
        return True

    async def _tell(
        self,
        accept: str,
        asked: Asked,
        last_id: str,
        waiter: Waiter,
        write: Callable[[bytes], None],
    ) -> None:
        while not waiter.is_over:
            try:
                step = await self._look(accept, asked)
            except _Gone:
                return
            if step is not None and step.id != last_id:
                write(step.written())
                last_id = step.id
            if step is not None and step.is_last:
                return
            if not await waiter.when_rung(KEEP_ALIVE_SECONDS):
                write(b":\n\n")

    async def _look(self, accept: str, asked: Asked) -> Step | None:
        """How the call is that was accepted so: another one may be, of the same id, meanwhile.

        :return: ``None`` if it cannot be found out just now.
        :raises _Gone: it is not known any more; whoever comes back is told so.
        """
        try:
            known = await self._status.find(Asked(asked.call_id, accept))
            return await self._status.step(known, asked)
        except Refusal as refusal:
            if refusal.status in (404, 410):
                raise _Gone from refusal
            self._log.debug("no news of {call_id}: {why}", call_id=asked.call_id, why=refusal.text)
            return None
