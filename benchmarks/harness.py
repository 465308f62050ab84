"""The processes at either end of what is measured, and what makes a measurement void."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

#: What each call brings along.
BODY = b"x" * 1024

_STOP_SECONDS = 60.0


class BenchmarkFailed(Exception):
    """What was measured is not what was meant."""


class Companion:
    """A module of this package in a process of its own, which ends when its standard input does.

    :ivar port: where it listens: the first line it writes.
    """

    def __init__(self, module: str, *words: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.pid = self._process.pid
        self.port = int(self._read_line())

    def _write_line(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{self._module} ended")
        return line

    def _end(self) -> str:
        """End it; returns what it had to say still."""
        said, _ = self._process.communicate(timeout=_STOP_SECONDS)
        return said


class Floor(Companion):
    """A :mod:`benchmarks.bare` process."""

    def __init__(self) -> None:
        super().__init__("benchmarks.bare")

    def stop(self) -> int:
        """End it; returns how many requests came."""
        return int(self._end())


class Noop(Companion):
    """A :mod:`benchmarks.noop` process: the function.

    :param expected: how many calls it waits for.
    :param distinct: see to it that no call id comes twice, at the cost of some of its time.
    """

    def __init__(self, expected: int, *, distinct: bool = False) -> None:
        super().__init__("benchmarks.noop", str(expected), *(["--distinct"] if distinct else []))

    def release(self) -> float:
        """Have it answer from now on; returns the time, on the monotonic clock."""
        began = time.monotonic()
        self._write_line()
        return began

    def wait_for(self, *kinds: str) -> float:
        """Wait until all ``calls``, or ``callbacks``, or both have come; returns when the last of
        them did, on the monotonic clock."""
        waited_for = set(kinds)
        last = 0.0
        while waited_for:
            kind, _, when = self._read_line().partition(" ")
            waited_for.discard(kind)
            last = max(last, float(when))
        return last

    def stop(self) -> tuple[int, int]:
        """End it; returns how many calls and how many callbacks came in all.

        :raises BenchmarkFailed: one brought another body than it should, or came twice.
        """
        said = self._end().splitlines()[-1]
        calls, callbacks, wrong, repeated = map(int, said.split()[1:])
        if wrong or repeated:
            raise BenchmarkFailed(f"{wrong} bodies were wrong, {repeated} call ids came again")
        return calls, callbacks
