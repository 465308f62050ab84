"""A body from somewhere else on its way into a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

from twisted.internet.interfaces import IReactorFDSet, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.http.flowing import Pieces
from faasd_async.runtime.process.pipes import PIECE_BYTES


@implementer(IWriteDescriptor)
class FlowingPipeWriter:
    """As :class:`.pipes.PipeWriter`: asks for a piece when the pipe has taken the one before.

    :param failed: called if the body turns out not to be whole.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        pipe: IO[bytes],
        pieces: Pieces,
        failed: Callable[[Failure], object],
    ) -> None:
        self._reactor = reactor
        self._pipe = pipe
        self._pieces = pieces
        self._failed = failed
        self._rest = memoryview(b"")
        os.set_blocking(pipe.fileno(), False)
        self._ask()

    def _ask(self) -> None:
        self._pieces.read().addCallbacks(self._go_on, self._broken)

    def _go_on(self, piece: bytes) -> None:
        if self._pipe.closed:
            return
        if not piece:
            self.close()
            return
        self._rest = memoryview(piece)
        self._reactor.addWriter(self)

    def _broken(self, failure: Failure) -> None:
        if not self._pipe.closed:
            self._failed(failure)
            self.close()

    def fileno(self) -> int:
        return -1 if self._pipe.closed else self._pipe.fileno()

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
            self._reactor.removeWriter(self)
            self._ask()
        return None

    def connectionLost(self, reason: Failure) -> None:
        if not self._pipe.closed and self._rest:
            self._reactor.addWriter(self)
            self.doWrite()

    def close(self) -> None:
        """Write no more."""
        if not self._pipe.closed:
            self._reactor.removeWriter(self)
            self._pipe.close()
            self._rest = memoryview(b"")
            self._pieces.close()
