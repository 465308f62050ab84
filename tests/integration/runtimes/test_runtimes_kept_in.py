"""Processes of functions that are kept in: what the kernel says of them, and how they end."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from raw_peer import NEVER, call
from starting import Start
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.errors import NotHandedOver, StartError
from faasd_async.runtime.collect import gather
from faasd_async.runtime.interface import Runtime
from faasd_async.settings import LimitSettings

MIB = 2**20
SERVES = (sys.executable, str(Path(__file__).parent.parent / "functions" / "serves.py"))
LIMITS = LimitSettings(memory_bytes=200 * MIB, cpu_time_seconds=7, open_files=99, processes=5000)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What is said meanwhile about ends of processes."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if "why" in event:
            lines.append(event["why"])

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


async def answer(runtime: Runtime) -> tuple[int, str]:
    reply = await runtime.invoke(call(), NEVER)
    return reply.status, (await gather(reply, MIB)).decode()


def limit(text: str, name: str) -> list[str]:
    """Soft and hard, of a line of ``/proc/<pid>/limits``."""
    line = next(line for line in text.splitlines() if line.startswith(name))
    return line.removeprefix(name).split()[:2]


def assert_limited(limits: str) -> None:
    assert limit(limits, "Max data size") == [str(200 * MIB)] * 2
    assert limit(limits, "Max cpu time") == ["7", "8"]
    assert limit(limits, "Max open files") == ["99", "99"]
    assert limit(limits, "Max processes") == ["5000", "5000"]


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
@pytest_twisted.ensureDeferred
async def test_a_process_of_a_call_is_kept_in(start: Start, mode: str) -> None:
    """It has the limits that were asked for."""
    status, text = await answer(await start("cat", "/proc/self/limits", mode=mode, limits=LIMITS))
    assert status == 200
    assert_limited(text)


@pytest_twisted.ensureDeferred
async def test_a_server_is_kept_in(start: Start) -> None:
    """As the process of a call is."""
    pids: list[int] = []

    def note(pid: int) -> Callable[[], None]:
        pids.append(pid)
        return lambda: None

    runtime = await start(*SERVES, mode="http", limits=LIMITS, note=note)
    await answer(runtime)
    proc = Path(f"/proc/{pids[0]}")
    assert_limited((proc / "limits").read_text())
    assert (proc / "cmdline").read_bytes().split(b"\0")[0] == sys.executable.encode()


@pytest_twisted.ensureDeferred
async def test_without_limits_nothing_is_changed(start: Start) -> None:
    """What was not asked for is as it is for the daemon."""
    status, text = await answer(await start("cat", "/proc/self/limits"))
    assert (status, text) == (200, Path("/proc/self/limits").read_text())


@pytest_twisted.ensureDeferred
async def test_a_memory_hog_ends(start: Start, warned: list[str]) -> None:
    """What it asks for beyond its limit is refused to it; the answer says how it ended, and names
    the limits."""
    hog = (sys.executable, "-c", "bytearray(10**9)")
    runtime = await start(*hog, limits=LimitSettings(memory_bytes=64 * MIB))
    why = "figlet exited with 1 (its limits: memory 64MiB)"
    assert await answer(runtime) == (500, f"{why}\n")
    assert warned == [why]


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
@pytest_twisted.ensureDeferred
async def test_a_process_that_does_not_come_to_an_end_is_ended(start: Start, mode: str) -> None:
    """By a signal that says why."""
    spin = ("sh", "-c", "while :; do :; done")
    runtime = await start(*spin, mode=mode, limits=LimitSettings(cpu_time_seconds=1))
    why = "figlet was killed by SIGXCPU (its limits: cpu_time 1s)"
    assert await answer(runtime) == (500, f"{why}\n")


@as_root
@pytest_twisted.ensureDeferred
async def test_another_user(start: Start) -> None:
    """It is that user alone, with that user's home, and its limit of processes counts."""
    look = "id -un; id -Gn; echo $HOME $USER; grep NoNewPrivs /proc/self/status"
    script = ("sh", "-c", look)
    home = pwd.getpwnam("nobody").pw_dir
    told = f"nobody\nnogroup\n{home} nobody\nNoNewPrivs:\t1\n"
    assert await answer(await start(*script, user="nobody")) == (200, told)
    alone = await start(*script, user="nobody", limits=LimitSettings(processes=1))
    assert await answer(alone) == (500, "figlet exited with 2 (its limits: processes 1)\n")


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_kept_is_not_started(start: Start, tmp_path: Path) -> None:
    """A limit that was asked for is kept, or the function refused; so is a user."""
    nothing = {"PATH": str(tmp_path)}
    with pytest.raises(StartError, match=r"\[functions.figlet\] open_files: .*prlimit"):
        await start("/bin/true", daemon=nothing, limits=LimitSettings(open_files=50))
    with pytest.raises(StartError, match=r"\[functions.figlet\] user: found \"nosuchuser\""):
        await start("/bin/true", user="nosuchuser")


@pytest_twisted.ensureDeferred
async def test_a_program_that_is_gone(start: Start, tmp_path: Path) -> None:
    """Whatever stands before it, a program that is no more was never reached."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    runtime = await start(str(program), limits=LimitSettings(open_files=50))
    program.unlink()
    with pytest.raises(NotHandedOver, match=r"figlet cannot be run: .*No such file"):
        await runtime.invoke(call(), NEVER)
