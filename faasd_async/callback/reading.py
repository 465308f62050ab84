"""Reads an answer nobody needs, so that its connection can be used again."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

from faasd_async.callback.written import LONGEST_ANSWER_BYTES


def read_away(response: IResponse) -> Deferred[None]:
    """Read and forget a response's body; fires when it has ended, however it ended."""
    forgetting = _Forgetting()
    response.deliverBody(forgetting)
    return forgetting.ended


class _Forgetting(Protocol):
    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._cut())
        self._left_bytes = LONGEST_ANSWER_BYTES

    def dataReceived(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._cut()

    def _cut(self) -> None:
        transport: ITransport | None = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = ResponseDone) -> None:  # type: ignore[assignment]
        if not self.ended.called:
            self.ended.callback(None)
