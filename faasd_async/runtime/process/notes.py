"""Which processes there are, on disk: a daemon that is killed leaves them behind.

A server that is left behind keeps its port, and answers with the code of yesterday; the process of
a call goes on with a call that is run again. So each process group's leader is noted in the state
directory as long as it lives. Whoever starts there next finds in the notes what has to end first.

A note is the kernel's boot id, the pid, and the time the process started: a pid alone may be
somebody else's by now. It is one line of a fixed length, overwritten in its place. Nothing is
flushed, for the notes have to survive the daemon and not the machine. So a note costs 10 µs where
starting a process costs 600, and the processes of single calls are noted as well as servers. What
the kernel offers instead, a signal at the parent's death (``PR_SET_PDEATHSIG``), would cost each
call another 500 µs for the program that asks for it, and reach the leader alone: not the server
behind a shell.

The daemon starts one process at a time: what is not noted when it is killed just then is one
process at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.private_files import explaining_start_errors
from faasd_async.runtime.process.left_behind import Leader, end_groups, leader_with
from faasd_async.runtime.reactor import IRuntimeReactor

Note = Callable[[int], Callable[[], None]]
"""Is told the pid of a process that has started; what it returns is called at the process's end."""

_LINE_BYTES = 72
_BLANK = b" " * (_LINE_BYTES - 1) + b"\n"


class _Line(NamedTuple):
    """One note."""

    boot_id: bytes
    pid: int
    started: int

    def encoded(self) -> bytes:
        return (b"%s %d %d" % self).ljust(_LINE_BYTES - 1) + b"\n"


class ProcessNotes:
    """The file ``<state>/processes``. On a system without ``/proc`` nothing is noted.

    Nothing is opened before :meth:`start`, and nothing is noted.
    """

    _log = Logger()

    def __init__(self, reactor: IRuntimeReactor, state_dir: Path) -> None:
        self._reactor = reactor
        self._path = state_dir / "processes"
        self._boot_id = _read_boot_id()
        self._descriptor: int | None = None
        self._lines = 0
        self._free: list[int] = []

    def start(self) -> Deferred[None]:
        """End what an earlier daemon left behind, then begin with empty notes.

        :return: fires when it has ended. Fails with a :class:`~faasd_async.errors.StartError` if
            the notes cannot be read or written.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if self._boot_id is None:
            return
        with explaining_start_errors(self._path):
            left_behind = list(self._left_behind())
        await end_groups(self._reactor, left_behind)
        with explaining_start_errors(self._path):
            # Only now: a daemon that is killed before leaves the notes to the next.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)

    def stop(self) -> None:
        """Note nothing more; the processes noted have ended."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def note(self, pid: int) -> Callable[[], None]:
        """A :data:`Note`. A full disk is logged, and keeps no process from running."""
        leader = None if self._descriptor is None else leader_with(pid)
        if leader is None or self._boot_id is None:
            return _nothing
        place = self._free.pop() if self._free else self._lines
        self._lines = max(self._lines, place + 1)
        self._write(place, _Line(self._boot_id, pid, leader.started).encoded())

        def ended() -> None:
            self._write(place, _BLANK)
            self._free.append(place)

        return ended

    def _write(self, place: int, line: bytes) -> None:
        if self._descriptor is None:
            return
        try:
            os.pwrite(self._descriptor, line, place * _LINE_BYTES)
        except OSError as reason:
            self._log.warn(
                "{path} cannot be written: {reason}; if this daemon is killed now, a process of a"
                " function may outlive it",
                path=str(self._path),
                reason=reason.strerror,
            )

    def _left_behind(self) -> Iterator[Leader]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            note = _decoded(line)
            if note is not None and note.boot_id == self._boot_id:
                leader = leader_with(note.pid)
                if leader is not None and leader.started == note.started:
                    yield leader


def unnoted(pid: int) -> Callable[[], None]:
    """A :data:`Note` that is not taken."""
    return _nothing


def _nothing() -> None:
    """Nothing was noted."""


def _decoded(line: bytes) -> _Line | None:
    """A note; ``None`` for a blank one, and for one that was cut off."""
    match line.split():
        case [boot_id, pid, started] if pid.isdigit() and started.isdigit():
            return _Line(boot_id, int(pid), int(started))
        case _:
            return None


def _read_boot_id() -> bytes | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return None
