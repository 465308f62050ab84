"""What processes of functions use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from faasd_async.runtime.process.usage import RunningProcesses, Usage

SPINS = (
    "import sys, time\nwhile time.process_time() < 0.2: pass\nprint('spun', flush=True)\ninput()"
)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that has used a fifth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", SPINS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate(b"\n")


def test_what_a_session_uses(child: subprocess.Popen[bytes]) -> None:
    """CPU on average over its life, and what is resident of it; nothing once it has ended."""
    noted: list[str] = []

    def note(pid: int) -> object:
        noted.append(f"{pid} began")
        return lambda: noted.append(f"{pid} ended")

    running = RunningProcesses()
    ended = running.noting("a", note)(child.pid)  # type: ignore[arg-type]
    usage = running.usage("a")
    assert usage.cpu_millicores > 0
    assert usage.memory_bytes > 2**20
    assert running.usage("b") == Usage(0.0, 0)
    ended()
    assert running.usage("a") == Usage(0.0, 0)
    assert noted == [f"{child.pid} began", f"{child.pid} ended"]


def test_cpu_is_told_in_thousandths(child: subprocess.Popen[bytes]) -> None:
    """A fifth of a second in a hundred is two."""
    with open(f"/proc/{child.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    began_seconds = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    running = RunningProcesses(uptime=lambda: began_seconds + 100)
    running.noting("a", lambda pid: lambda: None)(child.pid)
    assert 1.5 <= running.usage("a").cpu_millicores <= 6
