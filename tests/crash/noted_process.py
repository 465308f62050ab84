"""A function that is a process of its own, and what it notes: it is killed, its notes are not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from invocations import Invocations, Run
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

PROGRAM = Path(__file__).parent / "functions" / "noting.py"


@implementer(IReadDescriptor)
class NotedProcess:
    """Reads the FIFO that :file:`functions/noting.py` writes.

    :ivar pid: of the process that serves now.
    """

    def __init__(self, reactor: Any, directory: Path, invocations: Invocations) -> None:
        self.path = directory / "notes"
        os.mkfifo(self.path)
        self.invocations = invocations
        self.pid = 0
        self._reactor = reactor
        # For writing, too, so that it has no end while no process has it open.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._unread = b""
        self._ended_lives: dict[int, int] = {}
        self._running: dict[tuple[int, str], Run] = {}
        self._serves: list[tuple[int, Deferred[None]]] = []
        reactor.addReader(self)

    def settings(self, max_inflight: int, more: str = "") -> str:
        return (
            f"[functions.noted]\ncommand = ['{sys.executable}', '{PROGRAM}']\nmode = 'http'\n"
            f"environment = {{ NOTES = '{self.path}', MOST_SECONDS = '0.02' }}\n"
            f"max_inflight = {max_inflight}\n{more}"
        )

    def part_from(self, pid: int, ended_life: int) -> None:
        """That process was killed just now: what is read of it still is of that life."""
        self._ended_lives[pid] = ended_life

    def when_serves(self, after_pid: int, patience_seconds: float) -> Deferred[None]:
        """Fires when another process than that one serves."""
        waiter: Deferred[None] = Deferred()
        if self.pid not in (0, after_pid):
            waiter.callback(None)
            return waiter
        self._serves.append((after_pid, waiter))
        return waiter.addTimeout(patience_seconds, self._reactor)

    def close(self) -> None:
        self._reactor.removeReader(self)
        os.close(self._descriptor)

    # -- IReadDescriptor

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "notes"

    def doRead(self) -> None:
        self._unread += os.read(self._descriptor, 65536)
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            pid, *words = line.decode().split()
            self._noted(int(pid), *words)

    def connectionLost(self, reason: object) -> None:
        """There is always somebody who has it open: this end."""

    def _noted(self, pid: int, verb: str, call_id: str = "", attempt: str = "1") -> None:
        if verb == "began":
            run = self.invocations.begin(call_id, int(attempt), self._ended_lives.get(pid))
            self._running[pid, call_id] = run
        elif verb == "ended":
            self.invocations.end(self._running.pop((pid, call_id)), 200)
        else:
            self.pid = pid
            serves, self._serves = self._serves, []
            for after_pid, waiter in serves:
                if pid == after_pid:
                    self._serves.append((after_pid, waiter))
                else:
                    waiter.callback(None)
