"""A function of kind ``url`` that notes each invocation, in the test's own process."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httptools
from invocations import Invocations, Run
from raw_http import exchange
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure


class FunctionServer:
    """Answers on a port of loopback.

    :ivar seconds: how long each invocation takes; ``None`` in place of a number: for ever.
    :ivar status: what each is answered with.
    :ivar digests: what the bodies were that came with a call, as SHA-256.
    :ivar ticks: which calls came for a time of a schedule.
    """

    def __init__(self, reactor: Any, invocations: Invocations) -> None:
        self.invocations = invocations
        self.port = 0
        self.seconds: Callable[[], float | None] = lambda: 0.0
        self.status: Callable[[Run], int] = lambda _: 200
        self.digests: dict[str, set[str]] = defaultdict(set)
        self.ticks: dict[str, set[str]] = defaultdict(set)
        self.connections: set[_Connection] = set()
        self.ended_life: int | None = None
        self._reactor = reactor
        self._listening: IListeningPort | None = None
        self._held: list[tuple[_Connection, Run]] = []

    async def open(self) -> None:
        factory = Factory.forProtocol(lambda: _Connection(self))
        factory.noisy = False
        endpoint = TCP4ServerEndpoint(self._reactor, self.port, 1024, interface="127.0.0.1")
        self._listening = await endpoint.listen(factory)
        address: Any = self._listening.getHost()
        self.port = address.port

    async def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        for connection in list(self.connections):
            connection.transport.abortConnection()  # type: ignore[union-attr]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def part_from(self, ended_life: int) -> None:
        """Whoever calls was killed just now: what is read of it still is of that life."""
        for connection in self.connections:
            connection.ended_life = ended_life
        self.ended_life = ended_life

    async def await_next(self) -> None:
        """Nobody is left who could connect: whoever does from now on is of the next life."""
        # Connections are taken in the order in which they were made: that of this one is the last.
        await exchange(self._reactor, self.port, "GET", "/")
        self.ended_life = None

    def release(self) -> None:
        """Answer what is held, and everything from now on at once."""
        self.seconds = lambda: 0.0
        held, self._held = self._held, []
        for connection, run in held:
            self._answer(connection, run)

    def called(self, connection: _Connection, call_id: str, attempt: int) -> None:
        run = self.invocations.begin(call_id, attempt, connection.ended_life)
        seconds = self.seconds()
        if seconds is None:
            self._held.append((connection, run))
        elif seconds:
            self._reactor.callLater(seconds, self._answer, connection, run)
        else:
            self._answer(connection, run)

    def _answer(self, connection: _Connection, run: Run) -> None:
        if connection in self.connections:
            status = self.status(run)
            self.invocations.end(run, status)
            connection.answer(status)


class _Connection(Protocol):
    def __init__(self, server: FunctionServer) -> None:
        self.ended_life: int | None = None
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._call_id, self._attempt, self._tick = "", 1, ""
        self._digest = hashlib.sha256()

    def answer(self, status: int) -> None:
        self.transport.write(  # type: ignore[union-attr]
            b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\n\r\n" % status
        )

    def connectionMade(self) -> None:
        self.ended_life = self._server.ended_life
        self._server.connections.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._server.connections.discard(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"x-call-id":
                self._call_id = value.decode("latin-1")
            case b"x-attempt":
                self._attempt = int(value)
            case b"x-scheduled-at":
                self._tick = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self._digest.update(piece)

    def on_message_complete(self) -> None:
        call_id, attempt, server = self._call_id, self._attempt, self._server
        if call_id:
            server.digests[call_id].add(self._digest.hexdigest())
        if self._tick:
            server.ticks[self._tick].add(call_id)
        self._begin()
        if call_id:
            server.called(self, call_id, attempt)
        else:
            self.answer(200)
