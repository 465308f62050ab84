"""The floor: a Twisted protocol that answers each request 202 and does nothing else at all.

Nothing is read of a request but where it ends, which llhttp tells; nothing is stored. What a daemon
in the same reactor can accept is less than that: how much less is what its work costs.

``python -m benchmarks.bare`` writes the port it listens on, ends when its standard input does and
writes how many requests it answered.
"""

from __future__ import annotations

import sys
from typing import Any

import httptools
from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.stdio import StandardIO

reactor: Any = _reactor

#: As long as the daemon's own.
_ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nX-Served-By: benchmarks/0.1.0\r\n"
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n"
    b"X-Call-Id: 00000000-0000-4000-8000-000000000000\r\nX-Start-Time: 1000000000000000000\r\n"
    b"Location: /call/00000000-0000-4000-8000-000000000000\r\n\r\n"
)


class Answering(ServerFactory):
    """Counts what was answered."""

    noisy = False
    answered = 0

    def buildProtocol(self, addr: IAddress | None) -> Answerer:
        return Answerer(self)


class Answerer(Protocol):
    """One connection."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._parser = httptools.HttpRequestParser(self)

    def dataReceived(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._answering.answered += 1
        assert self.transport is not None
        self.transport.write(_ANSWER)


class Input(Protocol):
    """Standard input."""

    def connectionLost(self, reason: object = None) -> None:
        reactor.stop()


def main() -> None:
    answering = Answering()
    port = reactor.listenTCP(0, answering, interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(Input())
    reactor.run()
    sys.stdout.write(f"{answering.answered}\n")


if __name__ == "__main__":
    main()
