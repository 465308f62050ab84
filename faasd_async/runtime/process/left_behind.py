"""Ending process groups that are nobody's children any more.

Their parent is gone, so the kernel tells us nothing of them by itself: a descriptor of each process
says when it has ended.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.runtime.reactor import IRuntimeReactor

ENDING_SECONDS = 1.0
"""How long a process may take to end when it is asked to."""
DYING_SECONDS = 5.0
"""How long a killed process may take to be gone."""

_log = Logger()


class Leader(NamedTuple):
    """The leader of a process group.

    :ivar started: clock ticks since the kernel was booted.
    :ivar command: its name.
    """

    pid: int
    started: int
    command: str


class _Process(NamedTuple):
    """What ``/proc/<pid>/stat`` says."""

    command: str
    is_over: bool
    group: int
    started: int


def leader_with(pid: int) -> Leader | None:
    """The process with this pid, if it leads a group and has not ended."""
    process = _look_up(pid)
    if process is None or process.is_over or process.group != pid:
        return None
    return Leader(pid, process.started, process.command)


async def end_groups(reactor: IRuntimeReactor, leaders: Sequence[Leader]) -> None:
    """End whole groups, as a function's process is ended: asked first, then killed.

    When this returns they have ended, but for what the kernel cannot end or we may not, which is
    logged.
    """
    if not leaders:
        return
    for leader in leaders:
        _log.warn(
            "ending {command} (pid {pid}) and what it started: an earlier daemon was killed and"
            " left it behind",
            command=leader.command,
            pid=leader.pid,
        )
    groups = [leader.pid for leader in leaders]
    for number, most_seconds in (signal.SIGTERM, ENDING_SECONDS), (signal.SIGKILL, DYING_SECONDS):
        members = list(_members(groups))
        ended = when_ended(reactor, members)
        if members:
            _signal(groups, number)
        with suppress(TimeoutError):
            await ended.addTimeout(most_seconds, reactor)
    for pid in _members(groups):
        _log.error("process {pid}, left behind by an earlier daemon, cannot be ended", pid=pid)


def _signal(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _members(groups: Sequence[int]) -> Iterator[int]:
    """The processes of these groups that have not ended."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            process = _look_up(int(directory.name))
            if process is not None and process.group in groups and not process.is_over:
                yield int(directory.name)


def _look_up(pid: int) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            found = file.read(4096)
    except OSError:
        return None
    # The command stands in brackets, and may hold brackets and blanks of its own.
    before, _, after = found.rpartition(b")")
    fields = after.split()
    return _Process(
        command=before.partition(b"(")[2].decode(errors="backslashreplace"),
        is_over=fields[0] in b"ZX",
        group=int(fields[2]),
        started=int(fields[19]),
    )


def when_ended(reactor: IRuntimeReactor, pids: Iterable[int]) -> Deferred[None]:
    """Fires when these processes have ended; cancelling it is to look no longer."""
    watches: set[_Watch] = set()

    def close() -> None:
        for watch in watches:
            watch.close()

    def ended(watch: _Watch) -> None:
        watch.close()
        watches.discard(watch)
        if not watches:
            all_ended.callback(None)

    all_ended: Deferred[None] = Deferred(lambda _: close())
    for pid in pids:
        # If it cannot be opened it has ended, or this kernel cannot tell us when it does.
        with suppress(OSError):
            watches.add(_Watch(reactor, os.pidfd_open(pid), ended))
    if not watches:
        all_ended.callback(None)
    return all_ended


@implementer(IReadDescriptor)
class _Watch:
    """A process that is no child of ours, by a descriptor of it, which can be read at its end."""

    def __init__(
        self, reactor: IRuntimeReactor, descriptor: int, ended: Callable[[_Watch], None]
    ) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._ended = ended
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "left behind"

    def doRead(self) -> None:
        self._ended(self)

    def connectionLost(self, reason: Failure) -> None:
        self._ended(self)

    def close(self) -> None:
        self._reactor.removeReader(self)
        os.close(self._descriptor)
