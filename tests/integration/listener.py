"""An HTTP server in the test's own reactor: callbacks come here, and calls of ``url`` functions.

What it answers is the test's choice, request by request; what came is kept as bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure


@dataclass(eq=False)
class Received:
    """A request that came.

    :ivar head: its head as bytes, from the request line on.
    :ivar answer: sends bytes to whoever sent it.
    :ivar gone: fires when whoever sent it has gone.
    """

    method: str
    target: bytes
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes
    connection: Protocol
    gone: Deferred[None] = field(default_factory=Deferred)

    def header(self, name: str) -> str | None:
        for each, value in self.headers:
            if each.lower() == name.lower():
                return value
        return None

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def write(self, data: bytes) -> None:
        assert self.connection.transport is not None
        self.connection.transport.write(data)

    def hang_up(self) -> None:
        assert self.connection.transport is not None
        self.connection.transport.loseConnection()


class Listener:
    """Collects requests.

    :ivar on_request: called with each; answers 200 with nothing unless it is replaced.
    """

    def __init__(self, reactor: Any, interface: str = "127.0.0.1") -> None:
        self.requests: list[Received] = []
        self.on_request: Callable[[Received], object] = Received.answer
        self.port = 0
        self.connections: set[_Connection] = set()
        self._reactor = reactor
        self._interface = interface
        self._listening: IListeningPort | None = None
        self._waiting: list[tuple[Callable[[Received], bool], int, Deferred[list[Received]]]] = []

    async def open(self) -> None:
        factory = Factory.forProtocol(lambda: _Connection(self))
        factory.noisy = False
        # The reactor's own method takes an address of either kind.
        self._listening = self._reactor.listenTCP(self.port, factory, interface=self._interface)
        address: Any = self._listening.getHost()
        self.port = address.port

    async def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        for connection in list(self.connections):
            connection.transport.abortConnection()  # type: ignore[union-attr]

    def url(self, path: str = "/", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}{path}"

    def when(
        self, count: int = 1, wanted: Callable[[Received], bool] = lambda _: True
    ) -> Deferred[list[Received]]:
        """Fires with the first *count* requests that are wanted."""
        waiter: Deferred[list[Received]] = Deferred()
        self._waiting.append((wanted, count, waiter))
        self._tell()
        return waiter.addTimeout(60, self._reactor)

    def received(self, request: Received) -> None:
        self.requests.append(request)
        self.on_request(request)
        self._tell()

    def _tell(self) -> None:
        for entry in list(self._waiting):
            wanted, count, waiter = entry
            found = [request for request in self.requests if wanted(request)]
            if len(found) >= count:
                self._waiting.remove(entry)
                waiter.callback(found[:count])


def at(path: str) -> Callable[[Received], bool]:
    """Whether a request is for *path*, query aside."""
    return lambda request: request.target.partition(b"?")[0] == path.encode()


class _Connection(Protocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._raw = b""
        self._requests: list[Received] = []
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def connectionMade(self) -> None:
        self._listener.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._raw += data
        self._parser.feed_data(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._listener.connections.discard(self)
        for request in self._requests:
            if not request.gone.called:
                request.gone.callback(None)

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", [], []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        head = self._raw.partition(b"\r\n\r\n")[0]
        self._raw = b""
        request = Received(
            method=self._parser.get_method().decode(),
            target=self._target,
            headers=self._headers,
            body=b"".join(self._body),
            head=head,
            connection=self,
        )
        self._requests.append(request)
        self._listener.received(request)
