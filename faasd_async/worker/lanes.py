"""The lanes: which there are, and how many calls each may ask for.

A lane's room is what its tokens leave, nothing while it is paused, and in ``function`` mode no
more than the function's ceiling, which adapts itself to what the function can take. All of this
bounds what is *asked for*. What was asked for before and arrives all the same is looked at again
before it begins (:meth:`Lanes.has_room`), and goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery, OfFunction, OfQueue, Queue, Source
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.settings import FunctionSettings
from faasd_async.worker.ceilings import Ceilings, NoTrial, Trial
from faasd_async.worker.lane import Lane
from faasd_async.worker.run import Run


class Lanes:
    """All lanes of a worker.

    :param tokens: the daemon's.
    :param static: one lane for each queue rather than one for each function.
    :param take: is given what arrives.
    :ivar returning: calls that a crash found under way, that have come again and not begun yet. The
        daemon's tokens that they had are theirs: nothing is asked for in their place.
    """

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        deployments: Deployments,
        tokens: DeferredSemaphore,
        *,
        static: bool,
        take: Callable[[Delivery[QueueRequest], Lane], None],
    ) -> None:
        self._queue = queue
        self._deployments = deployments
        self._tokens = tokens
        self._static = static
        self._take = take
        self._lanes: dict[Source, Lane] = {}
        self._ceilings = Ceilings(clock, self._narrow, self._top_up)
        self.returning: set[Run] = set()

    def fit(self) -> list[Lane]:
        """Have a lane for whatever is deployed now.

        :return: those that are not needed any more; they are stopped.
        """
        wanted = {self._source(each.settings) for each in self._deployments.values()}
        gone = [self._lanes.pop(source) for source in self._lanes.keys() - wanted]
        for lane in gone:
            lane.stop()
        for source in wanted - self._lanes.keys():
            self._lanes[source] = Lane(source, self._take, self.room)
            self._lanes[source].open(self._queue)
        for deployment in self._deployments.values():
            deployment.when_freed = self._lanes[self._source(deployment.settings)].top_up
        if not self._static:
            self._ceilings.fit(each.settings for each in self._deployments.values())
        self.top_up()
        return gone

    def _source(self, function: FunctionSettings) -> Source:
        return OfQueue(function.queue) if self._static else OfFunction(function.name)

    def stop(self) -> list[Lane]:
        """Ask for no more; :return: the lanes that there were."""
        self._ceilings.stop()
        gone = list(self._lanes.values())
        self._lanes.clear()
        for lane in gone:
            lane.stop()
        return gone

    def top_up(self) -> None:
        """There may be more room than before."""
        for lane in self._lanes.values():
            lane.top_up()

    def narrow(self) -> None:
        """There may be less room than before."""
        for lane in self._lanes.values():
            if self.room(lane.source):
                lane.top_up()
            else:
                lane.narrow()

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def has_returned(self, run: Run) -> None:
        """A call that came again begins, or is not to begin now."""
        if run in self.returning:
            self.returning.discard(run)
            self.top_up()

    # -- room

    def room(self, source: Source) -> int:
        """How many of a source's calls could begin to run at this moment."""
        free = self._tokens.tokens - len(self.returning)
        pauses = self._queue.pauses
        if isinstance(source, OfQueue):
            return 0 if source in pauses else free
        deployment = self._deployments.get(source.function)
        if deployment is None or pauses.hold(source.function, deployment.settings.queue):
            return 0
        return self._ceilings.room(deployment, min(free, deployment.free))

    def standing(self) -> list[Source]:
        """The sources of which some calls cannot begin at this moment."""
        return [
            lane.source for lane in self if lane.aside or lane.waiting or not self.room(lane.source)
        ]

    def steps_aside(self, request: QueueRequest, lane: Lane) -> bool:
        """Whether a call is paused while its lane goes on, and must not be in the way."""
        return (
            self._queue.pauses.hold(request.function, request.queue)
            and self._lanes.get(lane.source) is lane
            and not self._is_paused(lane.source)
        )

    def _is_paused(self, source: Source) -> bool:
        pauses = self._queue.pauses
        if isinstance(source, OfQueue):
            return source in pauses
        deployment = self._deployments.get(source.function)
        queue = "" if deployment is None else deployment.settings.queue
        return pauses.hold(source.function, queue)

    def has_room(self, request: QueueRequest, deployment: Deployment) -> bool:
        """Whether a call that has its tokens may begin."""
        paused = self._queue.pauses.hold(request.function, request.queue)
        return not paused and self._ceilings.may_begin(deployment)

    def could_begin(self, request: QueueRequest, deployment: Deployment) -> bool:
        """Whether a call that has no token yet may begin with the next."""
        paused = self._queue.pauses.hold(request.function, request.queue)
        return not paused and self._ceilings.room(deployment, 1) > 0

    # -- what functions can take

    def begin(self, deployment: Deployment) -> Trial | NoTrial:
        """A call begins."""
        return self._ceilings.begin(deployment)

    def widths(self) -> dict[str, int]:
        """How many calls of each function may run at a time, where that is found by trying."""
        return self._ceilings.widths()

    def _narrow(self, function: str) -> None:
        lane = self._lanes.get(OfFunction(function))
        if lane is not None:
            lane.narrow()

    def _top_up(self, function: str) -> None:
        lane = self._lanes.get(OfFunction(function))
        if lane is not None:
            lane.top_up()
