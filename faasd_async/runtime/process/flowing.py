"""A body from somewhere else on its way into a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from twisted.python.failure import Failure

from faasd_async.http.flowing import Pieces
from faasd_async.runtime.process.pipes import PipeWriter
from faasd_async.runtime.reactor import IRuntimeReactor


class FlowingPipeWriter(PipeWriter):
    """As :class:`.pipes.PipeWriter`: asks for a piece when the pipe has taken the one before.

    :param failed: called if the body turns out not to be whole.
    """

    def __init__(
        self,
        reactor: IRuntimeReactor,
        pipe: IO[bytes],
        pieces: Pieces,
        failed: Callable[[Failure], object],
    ) -> None:
        self._pieces = pieces
        self._failed = failed
        super().__init__(reactor, pipe, b"")

    def _emptied(self) -> None:
        self._reactor.removeWriter(self)
        self._pieces.read().addCallbacks(self._go_on, self._broken)

    def _go_on(self, piece: bytes) -> None:
        if self.closed:
            return
        if not piece:
            self.close()
            return
        self._rest = memoryview(piece)
        self._begin()

    def _broken(self, failure: Failure) -> None:
        if not self.closed:
            self._failed(failure)
            self.close()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._pieces.close()
