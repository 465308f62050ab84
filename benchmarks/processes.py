"""What the kernel says that processes cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Processes:
    """Processes that are looked at together.

    :param pids: by the name under which each is told of.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time since each began."""
        return {name: _cpu_seconds(pid) for name, pid in self._pids.items()}

    @contextmanager
    def costs(self) -> Iterator[dict[str, float]]:
        """CPU seconds, by process, that pass meanwhile."""
        before = self.cpu_seconds()
        spent: dict[str, float] = {}
        yield spent
        spent.update({name: now - before[name] for name, now in self.cpu_seconds().items()})

    def memory_mib(self) -> dict[str, float]:
        """What of each is resident now."""
        return {name: _resident_mib(pid) for name, pid in self._pids.items()}

    def peak_mib(self) -> dict[str, float]:
        """The most of each that ever was resident."""
        return {name: _status_mib(pid, "VmHWM") for name, pid in self._pids.items()}


def a_call(spent: Mapping[str, float], calls: int) -> dict[str, float]:
    """CPU seconds in all as microseconds a call."""
    return {name: seconds * 1e6 / calls for name, seconds in spent.items()}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS_A_SECOND


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE_BYTES / 2**20


def _status_mib(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {name} of {pid}")
