"""What the processes of functions use, as the kernel counts it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from faasd_async.runtime.process.notes import Note


class Usage(NamedTuple):
    """What is used at this moment.

    :ivar cpu_millicores: thousandths of a CPU, on average since the processes were started.
    :ivar memory_bytes: what is resident of them.
    """

    cpu_millicores: float
    memory_bytes: int


class _Process(NamedTuple):
    session: int
    cpu_seconds: float
    started_seconds: float
    memory_bytes: int


class RunningProcesses:
    """Knows which processes are whose.

    :param uptime: seconds since the machine was started.
    """

    def __init__(self, uptime: Callable[[], float] | None = None) -> None:
        self._leaders: dict[str, set[int]] = {}
        self._uptime = uptime or _uptime_seconds

    def noting(self, function: str, note: Note) -> Note:
        """As *note*, and it is known that the process is *function*'s."""

        def began(pid: int) -> Callable[[], None]:
            forget = note(pid)
            leaders = self._leaders.setdefault(function, set())
            leaders.add(pid)

            def ended() -> None:
                leaders.discard(pid)
                if not leaders and self._leaders.get(function) is leaders:
                    del self._leaders[function]
                forget()

            return ended

        return began

    def usage(self, function: str) -> Usage:
        """Of all that *function* has started."""
        leaders = self._leaders.get(function)
        if not leaders:
            return Usage(0.0, 0)
        now_seconds, cpu, memory = self._uptime(), 0.0, 0
        for process in _processes():
            # Each leads a session of its own.
            if process.session in leaders:
                age_seconds = max(now_seconds - process.started_seconds, 0.01)
                cpu += process.cpu_seconds / age_seconds * 1000
                memory += process.memory_bytes
        return Usage(round(cpu, 3), memory)


def _processes() -> Iterator[_Process]:
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # A program's name, in parentheses, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
            yield _Process(
                session=int(fields[3]),
                cpu_seconds=(int(fields[11]) + int(fields[12])) / tick,
                started_seconds=int(fields[19]) / tick,
                memory_bytes=int(fields[21]) * page,
            )


def _uptime_seconds() -> float:
    # A service may see no more of /proc than processes.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
