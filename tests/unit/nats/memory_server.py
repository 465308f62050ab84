"""A NATS server made of the test's own words."""

import json
from typing import TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.nats import Limits, NatsClient, ServerAddress
from faasd_async.nats.address import ServerSource
from faasd_async.nats.protocol import NatsProtocol

INFO: dict[str, object] = {"server_id": "S", "version": "2.15.1", "max_payload": 1024}
A_SERVER = ServerAddress("a")

T = TypeVar("T")


def result_of(deferred: "Deferred[T]") -> T:
    """Return what a Deferred has fired with; fail the test if it has not."""
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def error_of(deferred: "Deferred[T]") -> Exception:
    """Return what a Deferred has failed with; fail the test if it has not."""
    errors: list[Exception] = []

    def keep(failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        errors.append(failure.value)

    deferred.addErrback(keep)
    (error,) = errors
    return error


class Connection:
    """One connection, seen from the server."""

    def __init__(self, clock: Clock, protocol: NatsProtocol, address: ServerAddress) -> None:
        self.clock = clock
        self.protocol = protocol
        self.address = address
        self.transport = StringTransport()

    def say(self, words: bytes) -> None:
        """The server sends."""
        self.protocol.dataReceived(words)

    def heard(self) -> bytes:
        """Return what the client sent since the last look, its present turn included."""
        self.clock.advance(0)
        words = cast(bytes, self.transport.value())
        self.transport.clear()
        return words

    def info(self, **fields: object) -> None:
        """The server introduces itself."""
        self.say(b"INFO %b\r\n" % json.dumps(INFO | fields).encode())

    def welcome(self, **fields: object) -> bytes:
        """The server lets the client in; return what the client said to that."""
        self.info(**fields)
        introduction = self.heard()
        self.say(b"PONG\r\n")
        return introduction

    def lose(self) -> None:
        """The connection ends."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, server: "MemoryServer", address: ServerAddress) -> None:
        self._server = server
        self._address = address

    def connect(self, protocol_factory: IProtocolFactory) -> "Deferred[IProtocol]":
        server = self._server
        server.dialled.append(self._address)
        if server.down:
            return fail(ConnectionRefusedError())
        protocol = protocol_factory.buildProtocol(IPv4Address("TCP", "a", 4222))
        assert isinstance(protocol, NatsProtocol)
        connection = Connection(server.clock, protocol, self._address)
        protocol.makeConnection(connection.transport)
        server.connections.append(connection)
        return succeed(cast(IProtocol, protocol))


class MemoryServer:
    """Every connection a client made.

    :ivar down: refuse further connections.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.connections: list[Connection] = []
        self.dialled: list[ServerAddress] = []
        self.down = False

    def client(
        self,
        servers: ServerSource = (A_SERVER,),
        *,
        limits: Limits | None = None,
        user: str = "",
        password: str = "",
        started: bool = True,
    ) -> NatsClient:
        """Return a client of this server that has been started, unless somebody else will."""
        client = NatsClient(
            self.clock,
            servers,
            user=user,
            password=password,
            limits=limits,
            dial=lambda address: _Endpoint(self, address),
        )
        if started:
            client.start()
        return client

    def connected(
        self, limits: Limits | None = None, **fields: object
    ) -> tuple[NatsClient, Connection]:
        """Return a connected client and its connection, what was said so far taken away."""
        client = self.client(limits=limits)
        self.last.welcome(**fields)
        self.last.heard()
        return client, self.last

    @property
    def last(self) -> Connection:
        """The newest connection."""
        return self.connections[-1]
