"""The HTTP client over real sockets: what only a kernel does."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThread

from faasd_async.http.connection import Connection
from faasd_async.http.endpoint import host_endpoint
from faasd_async.http.errors import BrokenOff, ExchangeError
from faasd_async.http.exchange import Exchange
from faasd_async.http.pool import Pool
from faasd_async.http.reader import Fields
from faasd_async.http.request import write_head
from faasd_async.wheel import Wheel

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER = 60.0
"""A limit that no test reaches."""

PATIENCE_SECONDS = 30.0
"""After this a test that hangs fails."""


class Told(Exchange):
    """An exchange.

    :ivar when_over: fires with status and body.
    """

    def __init__(self, body: bytes = b"") -> None:
        length = (b"Content-Length", b"%d" % len(body))
        super().__init__(b"POST", write_head(b"POST", b"/", [(b"Host", b"a"), length]), body)
        self.when_over: Deferred[tuple[int, bytes]] = Deferred()
        self._body = b""

    def replied(self, status: int, fields: Fields) -> None:
        """The status is kept anyway."""

    def received(self, piece: bytes) -> None:
        self._body += piece

    def ended(self) -> None:
        self.when_over.callback((self.status, self._body))

    def failed(self, reason: ExchangeError) -> None:
        self.when_over.errback(reason)


def send(pool: Pool, body: bytes = b"") -> Told:
    exchange = Told(body)
    pool.send(exchange)
    return exchange


def make(reactor: Any, endpoint: IStreamClientEndpoint) -> Pool:
    return Pool(
        reactor,
        Wheel(reactor),
        endpoint,
        max_connections=2,
        connect_timeout_seconds=NEVER,
        idle_seconds=NEVER,
    )


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        yield server


@pytest_twisted.async_yield_fixture
async def pool(reactor: Any, server: socket.socket) -> AsyncIterator[Pool]:
    pool = make(reactor, host_endpoint(reactor, *server.getsockname()))
    yield pool
    await pool.close()


def accept(server: socket.socket) -> Deferred[socket.socket]:
    def accept_now() -> socket.socket:
        peer, _ = server.accept()
        peer.settimeout(PATIENCE_SECONDS)
        return peer

    return deferToThread(accept_now)


def read_request(peer: socket.socket) -> Deferred[bytes]:
    """:return: fires with the body, once it is there whole."""

    def read_now() -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += peer.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2])
        while len(body) < length:
            body += peer.recv(65536)
        return body

    return deferToThread(read_now)


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


async def kept(pool: Pool, server: socket.socket) -> socket.socket:
    """The far end of a connection that has carried an exchange."""
    exchange = send(pool)
    peer = await accept(server)
    await read_request(peer)
    peer.sendall(OK)
    assert await exchange.when_over == (200, b"ok")
    return peer


@pytest.mark.parametrize("looks", [True, False])
@pytest_twisted.ensureDeferred
async def test_reset_behind_the_reactor_s_back(
    pool: Pool, server: socket.socket, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST goes to another connection if the kept one was reset: it is seen before the request is
    written or, at the latest, from the kernel that takes not a byte of it."""
    if not looks:
        monkeypatch.setattr(Connection, "hung_up", lambda _: False)
    reset(await kept(pool, server))
    exchange = send(pool, b"body")
    with await accept(server) as peer:
        assert await read_request(peer) == b"body"
        peer.sendall(OK)
        assert await exchange.when_over == (200, b"ok")


@pytest.fixture
def parts(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, int]]:
    """How much the kernel took of how much, each time: there is little room on either side."""
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    parts: list[tuple[int | None, int]] = []
    made, send_now = Connection.connectionMade, Connection._send

    def made_with_little_room(connection: Connection) -> None:
        made(connection)
        assert connection._socket is not None
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def watched_send(connection: Connection, data: bytes) -> int | None:
        taken = send_now(connection, data)
        parts.append((taken, len(data)))
        return taken

    monkeypatch.setattr(Connection, "connectionMade", made_with_little_room)
    monkeypatch.setattr(Connection, "_send", watched_send)
    return parts


@pytest_twisted.ensureDeferred
async def test_kernel_takes_a_part(
    pool: Pool, server: socket.socket, parts: list[tuple[int, int]]
) -> None:
    """What the kernel does not take at once follows, in order, before the next request."""
    peer: socket.socket | None = None
    for size in (60_000, 1_000_000, 0, 60_000):
        body = os.urandom(size)
        exchange = send(pool, body)
        peer = peer or await accept(server)
        assert await read_request(peer) == body
        peer.sendall(OK)
        assert await exchange.when_over == (200, b"ok")
    assert peer is not None
    peer.close()
    assert [taken < whole for taken, whole in parts] == [True, True, False, True]


@pytest_twisted.ensureDeferred
async def test_answered_before_the_kernel_took_the_rest(
    pool: Pool, server: socket.socket, parts: list[tuple[int, int]]
) -> None:
    """While a part of a request has yet to leave, its connection carries no other."""
    exchange = send(pool, bytes(60_000))
    with await accept(server) as peer:
        peer.sendall(OK)
        assert await exchange.when_over == (200, b"ok")
        [(taken, whole)] = parts
        assert taken < whole
        assert len(pool) == 0


@pytest_twisted.ensureDeferred
async def test_no_waiting_for_acknowledgements(
    pool: Pool, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last piece of a body does not wait until those before it are acknowledged."""
    made: list[Connection] = []
    carry = Connection.carry
    monkeypatch.setattr(Connection, "carry", lambda *args: made.append(args[0]) or carry(*args))
    with await kept(pool, server):
        [connection] = made
        assert connection._socket is not None
        assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest_twisted.ensureDeferred
async def test_answered_and_reset(pool: Pool, server: socket.socket) -> None:
    """A peer that answers within the body and resets has answered."""
    exchange = send(pool, bytes(32 * 2**20))
    peer = await accept(server)
    await deferToThread(peer.recv, 1024)
    peer.sendall(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
    reset(peer)
    assert await exchange.when_over == (413, b"no")
    assert len(pool) == 0


@pytest_twisted.ensureDeferred
async def test_half_closed_after_the_reply(pool: Pool, server: socket.socket) -> None:
    """A peer that has no more to say is not asked again; what it said counts."""
    exchange = send(pool)
    with await accept(server) as peer:
        await read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nall")
        peer.shutdown(socket.SHUT_WR)
        assert await exchange.when_over == (200, b"all")
        assert len(pool) == 0
        assert await deferToThread(peer.recv, 1) == b""


@pytest_twisted.ensureDeferred
async def test_half_closed_before_the_reply(pool: Pool, server: socket.socket) -> None:
    """A peer that can say nothing any more has broken off, though it might read on."""
    exchange = send(pool)
    with await accept(server) as peer:
        await read_request(peer)
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenOff):
            await exchange.when_over
        assert await deferToThread(peer.recv, 1) == b""


@pytest_twisted.ensureDeferred
async def test_unix_socket(reactor: Any, tmp_path: Path) -> None:
    """Any endpoint will do."""
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(PATIENCE_SECONDS)
        server.bind(str(tmp_path / "s"))
        server.listen()
        pool = make(reactor, UNIXClientEndpoint(reactor, str(tmp_path / "s")))
        peer = await kept(pool, server)
        exchange = send(pool, b"body")
        assert await read_request(peer) == b"body"
        peer.sendall(OK)
        assert await exchange.when_over == (200, b"ok")
        peer.close()
        await pool.close()
