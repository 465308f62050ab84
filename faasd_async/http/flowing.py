"""A body from somewhere else, given to the transport as fast as that sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer


class Pieces(Protocol):
    """Where a body comes from."""

    def read(self) -> Deferred[bytes]:
        """The next piece; empty after the last."""

    def close(self) -> None:
        """Nothing more is wanted. This may be called more than once."""


@implementer(IPullProducer)
class FlowingBody:
    """The :class:`~.exchange.Upload` of a body that is somewhere else.

    :param failed: told why the body is not whole; its request is to be given up then.
    """

    def __init__(self, pieces: Pieces, failed: Callable[[Exception], object]) -> None:
        self._pieces = pieces
        self._failed = failed
        self._is_asked = self._is_over = False

    def begin(self, transport: ITCPTransport, done: Callable[[], object]) -> None:
        self._transport = transport
        self._done = done
        transport.registerProducer(self, False)  # type: ignore[attr-defined] # IConsumer too

    def resumeProducing(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._pieces.read().addCallbacks(self._go_on, self._broken)

    def _go_on(self, piece: bytes) -> None:
        self._is_asked = False
        if piece:
            self._transport.write(piece)
        else:
            self._pieces.close()
            self._transport.unregisterProducer()  # type: ignore[attr-defined] # IConsumer too
            self._done()

    def _broken(self, failure: Failure) -> None:
        # It stays marked as asked: nothing more is.
        self._pieces.close()
        reason = failure.value
        if isinstance(reason, Exception) and not self._is_over:
            self._failed(reason)

    def stopProducing(self) -> None:
        """The connection is gone; it tells its exchange itself."""
        self._is_over = True
        self._pieces.close()
