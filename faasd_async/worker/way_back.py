"""The way back to the queue: what was tried of a call is noted, then it is let go of.

Somebody may cancel that on the way, for the daemon stops and has no time left. Then the note has
been sent off or it has not, and the call goes back all the same, to wait for as long as it had to.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from faasd_async.errors import CallTooLarge, NoSchedules, QueueError, QueueFull
from faasd_async.queue.interface import Queue
from faasd_async.worker.asking import Asking
from faasd_async.worker.run import Run

#: By these the queue says that a call cannot be put off, now or ever.
_CANNOT_WAIT = (QueueFull, CallTooLarge, NoSchedules)


class WayBack:
    """Notes what was tried of calls, and gives them back.

    :param lease_seconds: the longest that a call may be given back to the queue for; a longer
        wait is put off.
    :param may_have_crashed: as for :class:`~faasd_async.worker.worker.Worker`.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        asking: Asking,
        *,
        lease_seconds: float,
        may_have_crashed: Callable[[bool], bool],
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._asking = asking
        self._lease_seconds = lease_seconds
        self._may_have_crashed = may_have_crashed
        self._now_ns = now_ns

    async def recollect(self, run: Run) -> bool:
        """Have what was noted of a call before, and count the crash of whoever had it last.

        :return: whether there was one.
        :raises QueueError: it cannot be found out now.
        """
        request = run.request
        noted = await self._queue.records.find_history(
            request.function, request.key, request.generation
        )
        if noted is not None and len(noted.attempts) >= len(run.history.attempts):
            run.history = noted
        run.is_recollected = True
        before = run.delivery.delivered - 1
        crashed = before > run.history.deliveries and self._may_have_crashed(
            run.delivery.left_behind
        )
        if crashed:
            run.history = run.history.with_crashes(1).accounting_for(before)
        return crashed

    async def note(self, run: Run) -> None:
        """Have it remembered that a call's deliveries came to no harm, and what was tried of it.

        :raises QueueError: it cannot be written now.
        """
        if not run.is_recollected:
            # What the call knows of itself must not stand over what was noted since.
            await self.recollect(run)
        deliveries = -1
        while deliveries != run.delivery.delivered:
            deliveries = run.delivery.delivered
            history = replace(run.history, deliveries=deliveries)
            await self._queue.records.note_history(run.request, history)

    async def put_off(self, run: Run, seconds: float) -> None:
        """Let the next attempt wait."""
        run.goes_back = True
        not_before_ns = self._now_ns() + round(seconds * 1e9)
        run.history = replace(run.history, not_before_ns=not_before_ns)
        if seconds > self._lease_seconds:
            later = replace(run.request, history=run.history.accounting_for(0))
            try:
                await self._asking.insist(
                    lambda: self._queue.put_later(later, seconds), but=_CANNOT_WAIT
                )
            except _CANNOT_WAIT:
                pass  # Then it waits where it is, a lease at a time.
            else:
                run.delivery.settle_moved()
                return
        await self.give_back(run, insistent=True)

    async def give_back(
        self, run: Run, delay_seconds: float = 0.0, *, insistent: bool = False
    ) -> None:
        """Hand a call back to the queue.

        :param insistent: not before it is noted what was tried of it, or this is cancelled.
        """
        run.goes_back = True
        try:
            if insistent:
                await self._asking.insist(lambda: self.note(run))
            else:
                await self.note(run)
        except CancelledError:
            pass
        except QueueError as reason:
            self._log.warn(
                "cannot note what was tried of {call_id}: {reason}",
                call_id=run.request.key.call_id,
                reason=reason,
            )
        if run.cancelled:
            run.delivery.settle()
            return
        left_seconds = (run.history.not_before_ns - self._now_ns()) / 1e9
        run.delivery.give_back(max(delay_seconds, min(left_seconds, self._lease_seconds)))
