"""What a call that is delivered has behind it.

Most have nothing behind them, and begin at once. Of the others it is found out before they begin:
their end may be written already, somebody may have crashed over them, and the wait before the next
attempt may not be over.
"""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.once import is_keyed
from faasd_async.call.retry_after import LONGEST_ASKED_SECONDS
from faasd_async.queue.interface import Queue
from faasd_async.runtime.deployments import Deployments
from faasd_async.worker.asking import Asking
from faasd_async.worker.ends import Ends
from faasd_async.worker.run import Run
from faasd_async.worker.way_back import WayBack


def may_have_been_here(run: Run) -> bool:
    """Whether a call may have been worked on before."""
    delivery = run.delivery
    if delivery.delivered > 1 or delivery.inherited or run.history.attempts:
        return True
    # One that was put off may have been cancelled on its way back into the queue.
    return is_keyed(run.request.key) or bool(run.request.not_before_ns)


class Past:
    """Finds out what is known of calls that may have been worked on before.

    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        queue: Queue,
        deployments: Deployments,
        asking: Asking,
        way_back: WayBack,
        ends: Ends,
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._deployments = deployments
        self._asking = asking
        self._way_back = way_back
        self._ends = ends
        self._now_ns = now_ns

    async def settles(self, run: Run) -> bool:
        """Look at what is known of a call.

        :return: whether there is nothing left to do now.
        """
        request, records = run.request, self._queue.records
        if await self._ends.complete(run):
            return True
        if await self._asking.insist(lambda: self._way_back.recollect(run)):
            await self._asking.insist(lambda: records.note_history(request, run.history))
        if await self._ends.end_crashed(run):
            return True
        if self._is_early(run):
            # The broker forgets its delays when it is restarted.
            await self._way_back.give_back(run)
            return True
        return False

    def _is_early(self, run: Run) -> bool:
        """Whether the wait before its next attempt is not over. One that seems to last longer than
        any wait can is over, and so is one that seems not to have begun: the clock was set back."""
        now_ns, attempts = self._now_ns(), run.history.attempts
        if attempts and now_ns < attempts[-1].at_ns:
            return False
        early_seconds = (run.history.not_before_ns - now_ns) / 1e9
        deployment = self._deployments.get(run.request.function)
        longest_seconds = LONGEST_ASKED_SECONDS
        if deployment is not None:
            longest_seconds = max(longest_seconds, deployment.settings.retry.max_wait_seconds)
        return 0 < early_seconds <= longest_seconds
