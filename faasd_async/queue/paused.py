"""Which functions and queues are paused, as every kind of queue keeps it in mind."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from faasd_async.queue.interface import OfFunction, OfQueue, Source


class Paused:
    """What is paused, in this process's memory; see :class:`~.interface.Pauses`."""

    def __init__(self) -> None:
        self.when_changed: Callable[[], None] = lambda: None
        self._functions: set[str] = set()
        self._queues: set[str] = set()

    def __contains__(self, source: Source) -> bool:
        if isinstance(source, OfFunction):
            return source.function in self._functions
        return source.queue in self._queues

    def hold(self, function: str, queue: str) -> bool:
        """Asked for every call."""
        return function in self._functions or queue in self._queues

    @property
    def sources(self) -> frozenset[Source]:
        return frozenset((*map(OfFunction, self._functions), *map(OfQueue, self._queues)))

    def become(self, sources: Iterable[Source]) -> None:
        """These are paused now, and no others."""
        functions, queues = set(), set()
        for source in sources:
            if isinstance(source, OfFunction):
                functions.add(source.function)
            else:
                queues.add(source.queue)
        if (functions, queues) != (self._functions, self._queues):
            self._functions, self._queues = functions, queues
            self.when_changed()
