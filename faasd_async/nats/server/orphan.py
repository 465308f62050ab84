"""Never two servers on one store.

nats-server does not notice a second one on its store; the two would ruin it. So each server keeps
a descriptor open that holds a lock on ``nats.lock``: the lock is free exactly when no server is
left. A daemon that was killed leaves its server behind, and the next daemon finds the lock held.
It ends that server, and nothing else: a process counts as ours only if it was started with our
configuration file as its last argument *and* has the lock file open. And it is not left behind as
long as the daemon that started it lives: one whose ``daemon.lock`` somebody has removed still does
its work, and its server is not to be ended by a second daemon. What a pid file says is no
evidence, since pids are used again, and neither is the executable's path, since an upgrade may
have replaced it under the running server.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.nats.server.configuration import ServerFiles

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 2.0
"""How long a held lock without a server of ours is waited for: it may be ending already."""
DYING_SECONDS = 5.0
"""How long a killed server may take to be gone."""

_log = Logger()


async def take_lock(
    lock: Flock,
    files: ServerFiles,
    clock: IReactorTime,
    pause: Callable[[float], Deferred[None]],
    stop_seconds: float,
) -> None:
    """Take the lock, if need be by ending the server that an earlier daemon left behind.

    :param pause: fires after so many seconds; cancelling it ends the attempt.
    :param stop_seconds: how long a server may take to end before it is killed.
    :raises StartError: if the lock is not to be had.
    :raises OSError: if the lock file cannot be opened.
    """
    began = clock.seconds()
    asked: set[int] = set()
    while not lock.acquire():
        waited = clock.seconds() - began
        servers = servers_on(files)
        for pid in servers:
            owner = owner_of(pid, files)
            if owner is not None:
                raise StartError(_is_owned(files, pid, owner))
        patience = stop_seconds + DYING_SECONDS if servers or asked else PATIENCE_SECONDS
        if waited >= patience:
            raise StartError(_cannot_be_had(files, servers))
        for pid in servers:
            if pid not in asked:
                _log.warn(
                    "ending nats-server (pid {pid}), left behind on {directory}",
                    pid=pid,
                    directory=str(files.directory),
                )
                asked.add(pid)
                _send(pid, signal.SIGTERM)
            elif waited >= stop_seconds:
                _send(pid, signal.SIGKILL)
        await pause(POLL_SECONDS)


def servers_on(files: ServerFiles) -> list[int]:
    """Return the pids of the nats-servers that run on this state directory."""
    return [
        pid
        for pid in _pids()
        if _configuration_of(pid) == os.path.realpath(files.configuration)
        and _has_open(pid, files.lock)
    ]


def owner_of(pid: int, files: ServerFiles) -> int | None:
    """Return the pid of the daemon that has started a server and lives still; ``None`` if there is
    none, or if it is this process."""
    parent = _parent_of(pid)
    if parent in (None, os.getpid()):
        return None
    removed = f"{os.path.realpath(files.daemon_lock)} (deleted)"
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{parent}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{parent}/fd/{descriptor}") == removed:
                    return parent
    return None


def _parent_of(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        # The name in brackets may hold anything, brackets too.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return None


def _is_owned(files: ServerFiles, server: int, owner: int) -> str:
    return (
        f"nats-server (pid {server}) on {files.directory} is that of a faasd-async that runs (pid"
        f" {owner}), though its {files.daemon_lock} was removed: stop that one first"
    )


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _cannot_be_had(files: ServerFiles, servers: list[int]) -> str:
    if servers:
        pids = ", ".join(map(str, servers))
        return (
            f"nats-server (pid {pids}), left behind on {files.directory}, cannot be killed:"
            " see what keeps it (its disk?) and start again"
        )
    holders = [pid for pid in _pids() if pid != os.getpid() and _has_open(pid, files.lock)]
    if holders:
        who = "pid " + ", ".join(map(str, holders))
    else:
        who = "a process that cannot be seen from here"
        with suppress(OSError):
            who += f"; {files.pid} says pid {files.pid.read_text('ascii', 'replace').strip()}"
    return (
        f"{files.lock} is held by a process that is no nats-server of this state directory ({who}):"
        " end it or choose another state directory"
    )


def _pids() -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                yield int(name)


def _configuration_of(pid: int) -> str | None:
    """The real path of the file a process was started with as ``… -c <file>``."""
    try:
        *_, option, file = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except (OSError, ValueError):
        return None
    return os.path.realpath(os.fsdecode(file)) if option == b"-c" else None


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has this very file open; no, if we may not look."""
    with suppress(OSError):
        wanted = path.stat()
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{descriptor}"), wanted):
                    return True
    return False
