"""The daemon's ends of a process's pipes, as the reactor knows them.

A reactor may be about to report what it saw on a descriptor that has been closed since, and whose
number belongs to a new pipe by now. So a reported end is not believed: each pipe looks for itself.
Clients' connections, which are Twisted's, do believe it: so a number is given away only when all
that was seen has been reported, in the reactor's next turn.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from fcntl import ioctl
from termios import FIONREAD
from typing import IO

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.runtime.reactor import IRuntimeReactor

PIECE_BYTES = 64 * 1024


@implementer(IReadDescriptor)
class PipeReader:
    """Reads a pipe to its end.

    :param pipe: unbuffered, and owned from now on.
    :param received: is given each piece.
    :param ended: is called once: after the last piece, or by :meth:`close`.
    """

    def __init__(
        self,
        reactor: IRuntimeReactor,
        pipe: IO[bytes],
        received: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._pipe = pipe
        self._received = received
        self._ended = ended
        self.closed = False
        self._left: int | None = None
        os.set_blocking(pipe.fileno(), False)
        reactor.addReader(self)

    def fileno(self) -> int:
        return -1 if self.closed else self._pipe.fileno()

    def logPrefix(self) -> str:
        return "pipe"

    def doRead(self) -> Failure | None:
        size = PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left)
        try:
            piece = os.read(self._pipe.fileno(), size)
        except BlockingIOError:
            return None
        if not piece:
            self.close()
            return None
        if self._left is not None:
            self._left -= len(piece)
        self._received(piece)
        if self._left == 0:
            self.close()
        return None

    def connectionLost(self, reason: Failure) -> None:
        if not self.closed:
            self._reactor.addReader(self)
            self.doRead()

    def pause(self) -> None:
        if not self.closed:
            self._reactor.removeReader(self)

    def resume(self) -> None:
        if not self.closed:
            self._reactor.addReader(self)

    def end_with_what_is_there(self) -> None:
        """Read what the pipe holds now, and no more: whoever still has its other end is not
        waited for."""
        if self.closed:
            return
        held = array("i", [0])
        ioctl(self._pipe.fileno(), FIONREAD, held)
        self._left = held[0]
        if self._left == 0:
            self.close()

    def close(self) -> None:
        """Read no more."""
        if not self.closed:
            self._reactor.removeReader(self)
            self.closed = True
            self._reactor.callLater(0, self._pipe.close)
            self._ended()


@implementer(IWriteDescriptor)
class PipeWriter:
    """Writes *content* into a pipe and closes it.

    :param pipe: unbuffered, and owned from now on.
    """

    def __init__(self, reactor: IRuntimeReactor, pipe: IO[bytes], content: bytes) -> None:
        self._reactor = reactor
        self._pipe = pipe
        self._rest = memoryview(content)
        self.closed = False
        os.set_blocking(pipe.fileno(), False)
        self._begin()

    def _begin(self) -> None:
        if self._rest:
            self._reactor.addWriter(self)
        else:
            self._emptied()

    def fileno(self) -> int:
        return -1 if self.closed else self._pipe.fileno()

    def logPrefix(self) -> str:
        return "pipe"

    def doWrite(self) -> Failure | None:  # noqa: N802 - Twisted's name
        try:
            written = os.write(self._pipe.fileno(), self._rest[:PIECE_BYTES])
        except BlockingIOError:
            return None
        except BrokenPipeError:
            # The function has read as much as it wanted.
            self.close()
            return None
        self._rest = self._rest[written:]
        if not self._rest:
            self._emptied()
        return None

    def _emptied(self) -> None:
        """The pipe has taken all there is."""
        self.close()

    def connectionLost(self, reason: Failure) -> None:
        if not self.closed and self._rest:
            self._reactor.addWriter(self)
            self.doWrite()

    def close(self) -> None:
        """Write no more."""
        if not self.closed:
            self._reactor.removeWriter(self)
            self.closed = True
            self._reactor.callLater(0, self._pipe.close)
            self._rest = memoryview(b"")
