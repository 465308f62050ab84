"""The calls on their way, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from faasd_async.errors import QueueError
from faasd_async.queue.interface import Depth, OfFunction, OfQueue, Queue, Source
from faasd_async.runtime.deployments import Deployment

Sheet = dict[str, object]

#: Told how many calls wait by queue and function (empty where they are counted by queue), how long
#: the oldest of them has, and the widths.
Told = Callable[
    [Mapping[tuple[str, str], int], Mapping[tuple[str, str], float], Mapping[str, int]], None
]

#: Who asks for figures is not kept waiting longer.
_REPORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the queue knows.

    :ivar ages: of each source's oldest call, in seconds.
    :ivar scheduled: by queue and function; ``None`` if they are too many.
    """

    depths: Mapping[Source, Depth]
    ages: Mapping[Source, float | None]
    scheduled: Mapping[tuple[str, str], int] | None

    def of(self, sources: list[Source]) -> Sheet:
        """Of several sources together."""
        known = [age for age in map(self.ages.get, sources) if age is not None]
        return {
            "waiting": sum(self.depths[each].waiting for each in sources),
            "in_flight": sum(self.depths[each].in_flight for each in sources),
            "oldest_seconds": max(known, default=None),
        }

    def scheduled_for(self, wanted: Callable[[str, str], bool]) -> int | None:
        if self.scheduled is None:
            return None
        return sum(count for about, count in self.scheduled.items() if wanted(*about))


class FlowSheet:
    """Writes it.

    :param widths: how many calls of each function may run at a time, where that is found by
        trying.
    :param static: calls are taken by queue, and not counted by function.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        queue: Queue,
        deployments: Mapping[str, Deployment],
        widths: Callable[[], Mapping[str, int]],
        *,
        static: bool,
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._deployments = deployments
        self._widths = widths
        self._static = static
        self._now_ns = now_ns

    async def read(self) -> Sheet:
        """Every queue, with its functions.

        :raises QueueError: it cannot be known now.
        """
        numbers = await self._numbers()
        queues = sorted({each.settings.queue for each in self._deployments.values()})
        return {"queues": [self._queue_sheet(name, numbers) for name in queues]}

    async def waiting(self) -> int:
        """How many calls wait for their first attempt, all in all.

        :raises QueueError: it cannot be known now.
        """
        return sum(depth.waiting for depth in await self._queue.backlog.depths(self._sources()))

    def report(self, tell: Told, clock: IReactorTime) -> Deferred[None]:
        """Tell how many calls wait, and how many may run at a time.

        :return: fires when it is told, or when it has become clear that it cannot be.
        """
        told = Deferred.fromCoroutine(self._report(tell))
        told.addTimeout(_REPORT_SECONDS, clock)
        return told.addErrback(lambda failure: failure.trap(QueueError, TimeoutError) and None)

    async def _report(self, tell: Told) -> None:
        sources, backlog = self._sources(), self._queue.backlog
        depths = dict(zip(sources, await backlog.depths(sources), strict=True))
        waiting = {self._labels(source): depth.waiting for source, depth in depths.items()}
        busy = [source for source, depth in depths.items() if depth.waiting or depth.in_flight]
        ages = await self._ages(busy)
        known = {self._labels(source): age for source, age in ages.items() if age is not None}
        tell(waiting, known, self._widths())

    def _labels(self, source: Source) -> tuple[str, str]:
        if isinstance(source, OfQueue):
            return source.queue, ""
        deployment = self._deployments.get(source.function)
        return deployment.settings.queue if deployment else "", source.function

    def _sources(self) -> list[Source]:
        deployed = self._deployments.values()
        if self._static:
            return [OfQueue(name) for name in {each.settings.queue for each in deployed}]
        return [OfFunction(each.name) for each in deployed]

    async def _numbers(self) -> _Numbers:
        sources, backlog = self._sources(), self._queue.backlog
        depths = await backlog.depths(sources)
        return _Numbers(
            dict(zip(sources, depths, strict=True)),
            await self._ages(sources),
            await backlog.scheduled(),
        )

    async def _ages(self, sources: list[Source]) -> dict[Source, float | None]:
        """Of each source's oldest call, in seconds."""
        stored = await self._queue.backlog.oldest_ns(sources)
        now_ns = self._now_ns()
        ages = [None if at is None else round(max(now_ns - at, 0) / 1e9, 3) for at in stored]
        return dict(zip(sources, ages, strict=True))

    def _queue_sheet(self, name: str, numbers: _Numbers) -> Sheet:
        functions = [each for each in self._deployments.values() if each.settings.queue == name]
        functions.sort(key=lambda each: each.name)
        taken_by: list[Source] = [OfFunction(each.name) for each in functions]
        if self._static:
            taken_by = [OfQueue(name)]
        return {
            "queue": name,
            "paused": OfQueue(name) in self._queue.pauses,
            **numbers.of(taken_by),
            "scheduled": numbers.scheduled_for(lambda queue, _: queue == name),
            "functions": [self._function_sheet(each, numbers) for each in functions],
        }

    def _function_sheet(self, deployment: Deployment, numbers: _Numbers) -> Sheet:
        name, most = deployment.name, deployment.settings.max_inflight
        source = OfFunction(name)
        unknown = {"waiting": None, "in_flight": None, "oldest_seconds": None}
        return {
            "function": name,
            "paused": source in self._queue.pauses,
            "running": deployment.running,
            "concurrency": self._widths().get(name, most),
            "max_inflight": most,
            **(unknown if self._static else numbers.of([source])),
            "scheduled": numbers.scheduled_for(lambda _, function: function == name),
        }
