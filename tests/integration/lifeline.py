"""How a test learns, without asking again and again, that processes it did not start have ended."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

PATIENCE_SECONDS = 30


class Lifeline:
    """A FIFO that a function and its children hold open for as long as one of them lives.

    :ivar path: for the function to open for writing.
    """

    def __init__(self, reactor: Any, directory: Path) -> None:
        self.path = directory / "lifeline"
        os.mkfifo(self.path)
        self._reactor = reactor
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def when_cut(self) -> Deferred[None]:
        """Fires when somebody has held it and nobody does any more."""
        return when_readable(self._reactor, self._descriptor)


def when_ended(reactor: Any, pid: int) -> Deferred[None]:
    """Fires when a process has ended, whoever's child it is."""
    return when_readable(reactor, os.pidfd_open(pid))


async def when_group_ended(reactor: Any, group: int) -> None:
    """Returns when the process table has nobody of a process group any more."""
    while alive := members(group):
        for pid in alive:
            with suppress(ProcessLookupError):
                await when_ended(reactor, pid)


def members(group: int) -> list[int]:
    """The processes of a group that live, as the process table has them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name may hold anything, a parenthesis too.
            state, _, its_group, *_ = entry.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state not in "ZX":
                found.append(int(entry.parent.name))
    return found


def when_readable(reactor: Any, descriptor: int) -> Deferred[None]:
    """Fires when a descriptor is ready to be read, or at its end; it is closed in any case."""
    watch = _Watch(reactor, descriptor)
    reactor.addReader(watch)
    return watch.ready.addTimeout(PATIENCE_SECONDS, reactor)


@implementer(IReadDescriptor)
class _Watch:
    def __init__(self, reactor: Any, descriptor: int) -> None:
        self.ready: Deferred[None] = Deferred(lambda _: self._close())
        self._reactor = reactor
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "lifeline"

    def doRead(self) -> None:
        self._close()
        self.ready.callback(None)

    def connectionLost(self, reason: object) -> None:
        """A FIFO's end, as the reactor sees it."""
        self.doRead()

    def _close(self) -> None:
        self._reactor.removeReader(self)
        os.close(self._descriptor)
