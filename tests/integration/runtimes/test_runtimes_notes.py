"""Which processes are noted, and which of those noted are ended."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from lifeline import when_ended
from twisted.internet.defer import CancelledError
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from faasd_async.errors import StartError
from faasd_async.runtime.process.notes import ProcessNotes

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that does not end, in a session of its own unless told otherwise."""
    started: list[subprocess.Popen[bytes]] = []

    def start(text: str = "exec tail -f /dev/null", **options: Any) -> subprocess.Popen[bytes]:
        options = {"start_new_session": True, "stdout": subprocess.PIPE, **options}
        started.append(subprocess.Popen(["sh", "-c", text], **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What is logged meanwhile."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def lines(state: Path) -> list[list[str]]:
    """The notes that are not blank."""
    return [line.split() for line in (state / "processes").read_text().splitlines() if line.strip()]


async def started(reactor: Any, state: Path) -> ProcessNotes:
    notes = ProcessNotes(reactor, state)
    await notes.start()
    return notes


@pytest_twisted.ensureDeferred
async def test_a_process_is_noted_until_it_ends(reactor: Any, tmp_path: Path, start: Start) -> None:
    """With the kernel's boot, its pid and its start; its place is used again; nobody else reads
    them."""
    notes = await started(reactor, tmp_path)
    first, second, third = start(), start(), start()
    ended = notes.note(first.pid)
    notes.note(second.pid)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert [line[:2] for line in lines(tmp_path)] == [
        [boot_id, str(first.pid)],
        [boot_id, str(second.pid)],
    ]
    size = (tmp_path / "processes").stat().st_size
    ended()
    assert [line[1] for line in lines(tmp_path)] == [str(second.pid)]
    notes.note(third.pid)
    assert (tmp_path / "processes").stat().st_size == size
    assert stat.S_IMODE((tmp_path / "processes").stat().st_mode) == 0o600
    notes.stop()


@pytest_twisted.ensureDeferred
async def test_what_was_left_behind_is_ended(
    reactor: Any, tmp_path: Path, start: Start, logged: list[LogEvent]
) -> None:
    """The whole group, and the notes begin anew."""
    process = start("tail -f /dev/null & echo $!; wait")
    assert process.stdout is not None
    member = int(process.stdout.readline())
    notes = await started(reactor, tmp_path)
    notes.note(process.pid)
    notes.stop()
    ended = when_ended(reactor, member)
    await started(reactor, tmp_path)
    assert process.wait() < 0
    await ended
    assert lines(tmp_path) == []
    [event] = [event for event in logged if "left it behind" in formatEvent(event)]
    assert (event["command"], event["pid"]) == ("sh", process.pid)


@pytest.mark.parametrize("which", [0, 2], ids=["boot", "start"])
@pytest_twisted.ensureDeferred
async def test_somebody_elses_process_is_left_alone(
    reactor: Any, tmp_path: Path, start: Start, logged: list[LogEvent], which: int
) -> None:
    """A pid that is used again has another start, or belongs to another boot of the machine."""
    process = start()
    notes = await started(reactor, tmp_path)
    notes.note(process.pid)
    notes.stop()
    [words] = lines(tmp_path)
    words[which] = words[which][:-1] + ("1" if words[which][-1] != "1" else "2")
    (tmp_path / "processes").write_text(" ".join(words) + "\n")
    await started(reactor, tmp_path)
    assert process.poll() is None
    assert logged == []
    assert lines(tmp_path) == []


@pytest_twisted.ensureDeferred
async def test_who_leads_no_group_is_not_noted(reactor: Any, tmp_path: Path, start: Start) -> None:
    """Its group would be our own."""
    notes = await started(reactor, tmp_path)
    ended = notes.note(start(start_new_session=False).pid)
    ended()
    assert lines(tmp_path) == []


@pytest_twisted.ensureDeferred
async def test_a_file_that_makes_no_sense(
    reactor: Any, tmp_path: Path, logged: list[LogEvent]
) -> None:
    """Is no note of anything."""
    (tmp_path / "processes").write_bytes(b"\xff\0\n1 2\nx y z\n" + b"9" * 500)
    await started(reactor, tmp_path)
    assert logged == []


@pytest_twisted.ensureDeferred
async def test_notes_that_cannot_be_taken_stop_the_start(reactor: Any, tmp_path: Path) -> None:
    """With the file and what to do."""
    (tmp_path / "processes").mkdir()
    with pytest.raises(StartError, match="processes: Is a directory"):
        await started(reactor, tmp_path)


@pytest_twisted.ensureDeferred
async def test_a_full_disk_keeps_no_process_from_running(
    reactor: Any, tmp_path: Path, start: Start, logged: list[LogEvent], monkeypatch: Any
) -> None:
    """That it is not noted is logged."""
    notes = await started(reactor, tmp_path)
    process = start()

    def pwrite(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    notes.note(process.pid)
    [event] = logged
    assert "No space left on device" in formatEvent(event)


@pytest_twisted.ensureDeferred
async def test_a_start_that_is_given_up_keeps_the_notes(
    reactor: Any, tmp_path: Path, start: Start
) -> None:
    """For the next one, while a process takes its time to end."""
    process = start('trap "" TERM; echo; tail -f /dev/null >/dev/null; true')
    assert process.stdout is not None
    process.stdout.readline()
    notes = await started(reactor, tmp_path)
    notes.note(process.pid)
    notes.stop()
    starting = ProcessNotes(reactor, tmp_path).start()
    assert not starting.called
    starting.cancel()
    with pytest.raises(CancelledError):
        await starting
    assert [line[1] for line in lines(tmp_path)] == [str(process.pid)]
    os.killpg(process.pid, signal.SIGKILL)
