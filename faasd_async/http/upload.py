"""A body in memory, given to the transport no faster than that sends it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPullProducer, ITCPTransport
from zope.interface import implementer

PIECE_BYTES = 64 * 1024
"""How much is given at a time."""


@implementer(IPullProducer)
class WholeBody:
    """The :class:`~.exchange.Upload` of bytes.

    :param offset: where to begin.
    :param pending: the transport has yet to send what stands before.
    """

    def __init__(self, body: bytes, offset: int, *, pending: bool) -> None:
        self._body = body
        self._offset = offset
        self._pending = pending

    def begin(self, transport: ITCPTransport, done: Callable[[], object]) -> None:
        self._transport = transport
        self._done = done
        transport.registerProducer(self, False)  # type: ignore[attr-defined] # IConsumer too

    def resumeProducing(self) -> None:
        """The transport asks once when it learns of us, and then each time it has sent all."""
        if self._pending:
            self._pending = False
        elif self._offset < len(self._body):
            end = self._offset + PIECE_BYTES
            self._transport.write(self._body[self._offset : end])
            self._offset = end
        else:
            self._transport.unregisterProducer()  # type: ignore[attr-defined] # IConsumer too
            self._done()

    def stopProducing(self) -> None:
        """The connection is gone; it tells its exchange itself."""
