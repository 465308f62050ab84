"""What this process knows of schedules."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from faasd_async.queue.interface import Tick


class MemorySchedules:
    """See :class:`~faasd_async.queue.interface.Schedules`."""

    def __init__(self) -> None:
        self._last: dict[str, Tick] = {}
        self._removed: dict[str, str] = {}

    def last(self, function: str) -> Deferred[Tick | None]:
        return succeed(self._last.get(function))

    def note(self, function: str, tick: Tick) -> Deferred[None]:
        self._last[function] = tick
        return succeed(None)

    def removed(self, function: str) -> Deferred[str]:
        return succeed(self._removed.get(function, ""))

    def remove(self, function: str, schedule: str) -> Deferred[None]:
        self._removed[function] = schedule
        return succeed(None)
