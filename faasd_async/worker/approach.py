"""The way of a call to the beginning of its walk, where something has to be seen or waited for."""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.runtime.deployments import Deployment
from faasd_async.worker.admission import Admission
from faasd_async.worker.aside import Aside
from faasd_async.worker.ends import Ends
from faasd_async.worker.lane import Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.past import Past
from faasd_async.worker.run import Run


class NotNow(Exception):
    """A call was delivered that may not begin."""


class Approach:
    """Leads calls there, or to their end.

    :param is_taking: whether calls may begin.
    """

    def __init__(
        self,
        past: Past,
        ends: Ends,
        lanes: Lanes,
        aside: Aside,
        admission: Admission,
        *,
        is_taking: Callable[[], bool],
    ) -> None:
        self._past = past
        self._ends = ends
        self._lanes = lanes
        self._aside = aside
        self._admission = admission
        self._is_taking = is_taking

    async def lead(self, run: Run, lane: Lane) -> Deployment | None:
        """Bring a call to the beginning of its walk.

        :raises NotHandedOver: its function is not deployed.
        :raises CancelledError, NotNow: it is to go back to the queue.
        """
        if not run.is_recollected and await self._past.settles(run):
            return None
        if await self._ends.end_unbegun(run):
            return None
        if self._lanes.steps_aside(run.request, lane):
            await self._aside.step(run, lane)
            return None
        deployment, begins = await self._admission.wait(run, lane), False
        try:
            if run.recalled or not self._is_taking():
                raise NotNow
            if not self._lanes.has_room(run.request, deployment):
                raise NotNow
            begins = not await self._ends.end_unbegun(run)
        finally:
            if not begins:
                self._admission.release(deployment)
        return deployment if begins else None
