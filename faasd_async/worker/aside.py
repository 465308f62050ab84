"""Paused calls that stand aside, while others of their lane go past them.

That is so where a lane is a queue and one function of it is paused. They are held without their
bodies, their leases are extended, and they go back to the queue when they need not stand there any
more.
"""

from __future__ import annotations

from twisted.logger import Logger

from faasd_async.call.ids import CallKey
from faasd_async.queue.interface import Source, is_of
from faasd_async.queue.leases import Leases
from faasd_async.worker.lane import MOST_ASIDE, Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.run import Run
from faasd_async.worker.way_back import WayBack


class Aside:
    """What stands aside of all lanes."""

    _log = Logger()

    def __init__(self, lanes: Lanes, leases: Leases, way_back: WayBack) -> None:
        self._lanes = lanes
        self._leases = leases
        self._way_back = way_back

    async def step(self, run: Run, lane: Lane) -> None:
        """Hold a paused call, without its body, while others of its lane go past it."""
        await self._way_back.note(run)
        run.delivery.lighten()
        if not self._lanes.steps_aside(run.request, lane):
            run.delivery.give_back()
            return
        before = lane.aside.pop(run.request.key, None)
        if before is not None:
            self._leases.drop(before)
        lane.aside[run.request.key] = run.delivery
        if len(lane.aside) == MOST_ASIDE:
            self._log.warn(
                "{source} stands still: {count} calls of what is paused are in the way; resume or "
                "purge them",
                source=lane.source,
                count=MOST_ASIDE,
            )

    def call_in(self, lane: Lane) -> None:
        """What stood aside and need not any more goes back to the queue, and comes again."""
        for key, delivery in list(lane.aside.items()):
            if not self._lanes.steps_aside(delivery.parcel, lane):
                del lane.aside[key]
                self._leases.drop(delivery)
                delivery.give_back()

    def settle(self, key: CallKey) -> None:
        """A call that may stand aside has its end written."""
        for lane in self._lanes:
            aside = lane.aside.pop(key, None)
            if aside is not None:
                self._leases.drop(aside)
                aside.settle()
                lane.top_up()

    def forget(self, source: Source) -> None:
        """Let go of what is being purged. If it is there still, it comes again when its lease is
        over."""
        for lane in self._lanes:
            for key, delivery in list(lane.aside.items()):
                if is_of(delivery.parcel, source):
                    self._leases.drop(lane.aside.pop(key))
            lane.top_up()
