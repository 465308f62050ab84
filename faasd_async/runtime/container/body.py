"""The bodies of what is asked of an engine, and of what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web._newclient import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

from faasd_async.runtime.container.errors import EngineError


def read(response: IResponse, received: Callable[[bytes], object]) -> Deferred[None]:
    """Have a body piece by piece.

    :param received: if it raises, the body is cut off, and that is how this fails.
    :return: fires at its end; cancelling it cuts the body off.
    """
    body = _Body(received)
    response.deliverBody(body)
    return body.when_over


async def read_whole(response: IResponse, most_bytes: int) -> bytes:
    """:raises EngineError: it is longer than that."""
    pieces: list[bytes] = []
    left_bytes = most_bytes

    def keep(piece: bytes) -> None:
        nonlocal left_bytes
        left_bytes -= len(piece)
        if left_bytes < 0:
            raise EngineError(f"the engine's answer is over {most_bytes} bytes")
        pieces.append(piece)

    await read(response, keep)
    return b"".join(pieces)


@implementer(IBodyProducer)
class Written:
    """A body that is written in one go."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is out already."""

    def resumeProducing(self) -> None:
        """Likewise."""

    def stopProducing(self) -> None:
        """Likewise."""


class _Body(Protocol):
    def __init__(self, received: Callable[[bytes], object]) -> None:
        self._received = received
        self.when_over: Deferred[None] = Deferred(lambda _: self._cut())

    def dataReceived(self, data: bytes) -> None:
        if self.when_over.called:
            return
        try:
            self._received(data)
        except Exception:
            failure = Failure()
            self._cut()
            self.when_over.errback(failure)

    def connectionLost(self, reason: Failure = ResponseDone) -> None:  # type: ignore[assignment]
        if self.when_over.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.when_over.callback(None)
        else:
            self.when_over.errback(reason)

    def _cut(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
