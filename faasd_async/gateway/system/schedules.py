"""The schedules of functions, for an operator: shown, removed and restored.

What an operator removes stays removed, for all daemons and across restarts, until the settings name
another schedule or it is restored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from faasd_async.call.moments import rfc3339
from faasd_async.call.route import without_namespace
from faasd_async.errors import QueueError
from faasd_async.gateway.refusal import RETRY_SOON, Refusal
from faasd_async.queue.interface import Schedules, Tick
from faasd_async.runtime.deployments import Deployment
from faasd_async.settings import FunctionSettings
from faasd_async.settings.cron import Cron

Sheet = dict[str, object]


class Timetable:
    """Shows and changes them.

    :param now_ns: the wall clock, Unix nanoseconds.
    :param namespace: the one that may stand behind a function's name.
    """

    _log = Logger()

    def __init__(
        self,
        schedules: Schedules,
        deployments: Mapping[str, Deployment],
        *,
        now_ns: Callable[[], int],
        namespace: str,
    ) -> None:
        self._schedules = schedules
        self._deployments = deployments
        self._now_ns = now_ns
        self._namespace = namespace

    async def sheet(self) -> Sheet:
        """All of them.

        :raises Refusal: 503, the queue did not answer as it should.
        """
        functions = sorted(self._deployments.values(), key=lambda each: each.name)
        return {
            "schedules": [
                await self._line(each.settings) for each in functions if each.settings.schedule.cron
            ]
        }

    async def remove(self, name: str) -> Sheet:
        """Have a function not be called any more; as :meth:`restore`."""
        function = self._scheduled(name)
        await self._change(function, function.schedule.name)
        self._log.info("an operator has removed the schedule of {name}", name=function.name)
        return await self._line(function)

    async def restore(self, name: str) -> Sheet:
        """Have a function be called again, from now on.

        :raises Refusal: 404, it has no schedule; 503, the queue did not answer as it should.
        """
        function = self._scheduled(name)
        await self._change(function, "")
        self._log.info("an operator has restored the schedule of {name}", name=function.name)
        return await self._line(function)

    def _scheduled(self, name: str) -> FunctionSettings:
        deployment = self._deployments.get(without_namespace(name, self._namespace))
        if deployment is None or not deployment.settings.schedule.cron:
            raise Refusal(404, f"no function that has a schedule is called {name}")
        return deployment.settings

    async def _change(self, function: FunctionSettings, removed: str) -> None:
        try:
            # What came while it was removed was not missed.
            tick = Tick(function.schedule.name, self._now_ns())
            await self._schedules.note(function.name, tick)
            await self._schedules.remove(function.name, removed)
        except QueueError as reason:
            raise _not_now(reason) from reason

    async def _line(self, function: FunctionSettings) -> Sheet:
        schedule, name = function.schedule, function.schedule.name
        try:
            removed = await self._schedules.removed(function.name) == name
            last = await self._schedules.last(function.name)
        except QueueError as reason:
            raise _not_now(reason) from reason
        following = Cron(schedule.cron, schedule.timezone).next_after(self._now_ns())
        return {
            "function": function.name,
            "schedule": schedule.cron,
            "timezone": schedule.timezone,
            "missed": schedule.missed,
            "removed": removed,
            "next": None if removed or following is None else rfc3339(following),
            "seen_to": rfc3339(last.at_ns) if last is not None and last.schedule == name else None,
        }


def _not_now(reason: QueueError) -> Refusal:
    return Refusal(503, f"the queue cannot do it now: {reason}", RETRY_SOON)
