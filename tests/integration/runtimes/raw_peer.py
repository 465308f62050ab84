"""A function behind a URL that speaks raw bytes, and the fixtures of its tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.upstream import Upstream

MIB = 2**20
NEVER = 60.0
"""A limit that no test reaches."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Request:
    """What came in, and the connection to answer on."""

    def __init__(self, peer: Peer, head: bytes, body: bytes) -> None:
        self.peer = peer
        self.head = head
        self.body = body

    @property
    def lines(self) -> list[bytes]:
        return self.head.split(b"\r\n")

    def answer(self, data: bytes) -> None:
        self.peer.transport.write(data)


class Peer(Protocol):
    """A connection as the function sees it."""

    def __init__(self, listener: Listener) -> None:
        self.when_data: Deferred[None] = Deferred()
        self.when_lost: Deferred[None] = Deferred()
        self._listener = listener
        self._read = b""

    def connectionMade(self) -> None:
        self._listener.connections.put(self)

    def dataReceived(self, data: bytes) -> None:
        if not self.when_data.called:
            self.when_data.callback(None)
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.partition(b"\r\nContent-Length: ")[2].split(b"\r\n")[0])
        if len(body) >= length:
            self._read = b""
            self._listener.requests.put(Request(self, head, body))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.when_lost.callback(None)


class Listener(Factory):
    """Listens as a function does."""

    noisy = False
    port: int

    def __init__(self) -> None:
        self.requests: DeferredQueue[Request] = DeferredQueue()
        self.connections: DeferredQueue[Peer] = DeferredQueue()
        self.peers: list[Peer] = []

    def buildProtocol(self, addr: object) -> Peer:
        peer = Peer(self)
        self.peers.append(peer)
        return peer

    def when_request(self) -> Deferred[Request]:
        return self.requests.get()


def make(reactor: Any, url: str, **options: Any) -> Upstream:
    return Upstream(
        reactor, "figlet", url, **{"max_inflight": 4, "connect_timeout_seconds": NEVER, **options}
    )


def call(body: bytes = b"", **parts: Any) -> Invocation:
    return Invocation(
        **{
            "function": "figlet",
            "call_id": "the-call",
            "method": b"POST",
            "target": b"/",
            "headers": (),
            "body": body,
            **parts,
        }
    )


class ClockedReactor:
    """The reactor with a clock that stands still until a test moves it; its turns go on."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.clock = Clock()
        self.seconds = self.clock.seconds

    def callLater(self, delay: float, *what: Any, **options: Any) -> Any:  # noqa: N802
        later = self.clock.callLater if delay else self._reactor.callLater
        return later(delay, *what, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IPullProducer)
class Zeros:
    """Answers with zeros, as fast as they are taken."""

    def __init__(self, request: Request, total: int) -> None:
        self.sent = 0
        self._total = total
        self._transport = request.peer.transport
        request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        self._transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self._transport.write(bytes(65536))
        self.sent += 65536
        if self.sent == self._total:
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        """The connection is gone."""
