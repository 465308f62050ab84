"""A host in memory, the connections to it, and exchanges that keep what they are told."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.http.connection import Connection
from faasd_async.http.errors import ExchangeError
from faasd_async.http.exchange import Exchange, Upload
from faasd_async.http.pool import Pool
from faasd_async.http.reader import Fields
from faasd_async.wheel import Wheel

HEAD = b"POST / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_TOLD = [(200, [(b"Content-Length", b"2")]), b"ok", "ended"]
CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
PART_TOLD = [(200, [(b"Content-Length", b"9")]), b"part"]


class Told(Exchange):
    """An exchange.

    :ivar told: status and fields, pieces, ``"ended"`` or the error, as they came.
    :ivar then: called with each of them.
    """

    def __init__(
        self, method: bytes = b"POST", head: bytes = HEAD, body: bytes | Upload = b""
    ) -> None:
        super().__init__(method, head, body)
        self.told: list[object] = []
        self.then: Callable[[object], object] = lambda _: None

    def _tell(self, what: object) -> None:
        self.told.append(what)
        self.then(what)

    def replied(self, status: int, fields: Fields) -> None:
        self._tell((status, fields))

    def received(self, piece: bytes) -> None:
        self._tell(piece)

    def ended(self) -> None:
        self._tell("ended")

    def failed(self, reason: ExchangeError) -> None:
        self._tell(reason)

    def failed_with(self, kind: type[ExchangeError]) -> str:
        """What it says, if that is how it ended, and nothing else was told."""
        [reason] = self.told
        assert type(reason) is kind
        return str(reason)


class Peer(StringTransport):
    """The other end of a connection."""

    aborted = False
    lost = False
    connection: Connection

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.aborted = True
        self.disconnecting = True

    @property
    def requests(self) -> int:
        return self.value().count(HEAD)

    def answer(self, data: bytes = OK) -> None:
        self.connection.dataReceived(data)

    def hang_up(self) -> None:
        """Close the connection properly."""
        self._lose(Failure(ConnectionDone()))

    def reset(self) -> None:
        """Close it with a reset."""
        self._lose(Failure(ConnectionLost()))

    def _lose(self, reason: Failure) -> None:
        if not self.lost:
            self.lost = True
            self.connection.connectionLost(reason)


@implementer(IStreamClientEndpoint)
class Host:
    """What is connected to.

    :ivar connecting: connections that wait to be taken, or refused.
    :ivar peers: those that were taken.
    :ivar cancelling: called when one is given up while it waits.
    """

    def __init__(self) -> None:
        self.connecting: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []
        self.peers: list[Peer] = []
        self.cancelled = 0
        self.cancelling: Callable[[], object] = lambda: None

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        connected: Deferred[IProtocol] = Deferred(lambda _: self._cancel())
        self.connecting.append((protocolFactory, connected))
        return connected

    def _cancel(self) -> None:
        self.cancelled += 1
        self.cancelling()

    def take(self) -> Peer:
        factory, connected = self.connecting.pop(0)
        peer = Peer()
        connection = factory.buildProtocol(None)
        assert isinstance(connection, Connection)
        peer.connection = connection
        connection.makeConnection(peer)
        self.peers.append(peer)
        connected.callback(connection)
        return peer

    def refuse(self) -> None:
        _, connected = self.connecting.pop(0)
        connected.errback(ConnectionRefusedError())


class Setting:
    """A pool on a clock: 2 connections at most, 3 s to make one, idle for 1 s."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.host = Host()
        self.pool = Pool(
            self.clock,
            self.wheel,
            self.host,
            max_connections=2,
            connect_timeout_seconds=3.0,
            idle_seconds=1.0,
        )

    def send(self, method: bytes = b"POST", body: bytes | Upload = b"") -> Told:
        exchange = Told(method, HEAD, body)
        self.pool.send(exchange)
        return exchange

    def kept(self) -> Peer:
        """A connection that has carried an exchange, and waits for another one."""
        exchange = self.send()
        peer = self.host.take()
        peer.answer()
        assert exchange.told == OK_TOLD
        return peer
