"""Ends that calls come to beside their walk.

One that was too old to begin, one over which daemons crash or fail each time, and one whose end
could not be written when its function had answered.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError

from faasd_async.call.ending import Ending
from faasd_async.call.history import CRASHED, FAILED_INSIDE
from faasd_async.call.ids import CallKey
from faasd_async.call.request import Outcome
from faasd_async.errors import QueueError
from faasd_async.runtime.deployments import Deployments
from faasd_async.worker.asking import Asking
from faasd_async.worker.expiry import expired, is_too_old, orphaned
from faasd_async.worker.run import Run
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.way_back import WayBack

#: A call that so many runs of the daemon did not survive, or failed over, is not run again.
MOST_CRASHES = 3


class Ends:
    """Ends calls that are in hand, as often as the queue has to be asked for it.

    :param orphan_ttl_seconds: how long calls wait for a function that is not deployed.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param ended: told of each call whose end is written down.
    """

    def __init__(
        self,
        deployments: Deployments,
        asking: Asking,
        settlement: Settlement,
        way_back: WayBack,
        *,
        orphan_ttl_seconds: float,
        now_ns: Callable[[], int],
        ended: Callable[[CallKey], None],
    ) -> None:
        self._deployments = deployments
        self._asking = asking
        self._settlement = settlement
        self._way_back = way_back
        self._orphan_ttl_seconds = orphan_ttl_seconds
        self._now_ns = now_ns
        self._ended = ended

    async def end(self, run: Run, ending: Ending, failed: QueueError | None = None) -> None:
        """Write a call's end down.

        :param failed: why it could not be written just now.
        """
        await self._asking.insist(lambda: self._settlement.end(run.request, ending), failed=failed)
        run.delivery.settle()
        self._ended(run.request.key)

    async def complete(self, run: Run) -> bool:
        """Take what steps may be missing after the end that was written down before.

        :return: whether there is one.
        """
        if not await self._asking.insist(lambda: self._settlement.complete(run.request)):
            return False
        run.delivery.settle()
        self._ended(run.request.key)
        return True

    async def end_unbegun(self, run: Run) -> bool:
        """Look whether a call's time is over before it has begun.

        :return: whether that was its end.
        """
        deployment, now_ns = self._deployments.get(run.request.function), self._now_ns()
        if deployment is None:
            most_seconds, write = self._orphan_ttl_seconds, orphaned
        elif run.history.attempts:
            return False
        else:
            most_seconds, write = deployment.settings.expires_seconds, expired
        if not is_too_old(run.request, most_seconds, now_ns):
            return False
        await self.end(run, write(run.request, run.history, most_seconds, now_ns))
        return True

    async def end_crashed(self, run: Run) -> bool:
        """Look whether too many have crashed or failed over a call.

        :return: whether that was its end.
        """
        if run.history.crashes < MOST_CRASHES:
            return False
        await self.end(run, _crashed(run, self._now_ns()))
        return True

    async def end_failed(self, run: Run) -> bool:
        """Count that the worker failed over a call: it may do so each time.

        :return: whether that was its end.
        """
        try:
            if not run.is_recollected:
                await self._asking.insist(lambda: self._way_back.recollect(run))
            run.history = run.history.with_crashes(1, FAILED_INSIDE)
            return await self.end_crashed(run)
        except CancelledError:
            return False


def _crashed(run: Run, ended_ns: int) -> Ending:
    attempts = run.history.attempts
    why = attempts[-1].error if attempts else CRASHED
    outcome = Outcome(502, (), b"", 0.0, why or CRASHED)
    return Ending("dead", outcome, run.history, ended_ns, "crashed")
