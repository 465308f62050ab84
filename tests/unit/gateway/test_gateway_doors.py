"""Listening sockets, opened all at once or not at all."""

from __future__ import annotations

from typing import cast

import pytest
from front_door import read_answer
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, ServerFactory
from twisted.internet.testing import MemoryReactorClock, StringTransport

from faasd_async.errors import StartError
from faasd_async.gateway.doors import Doors
from faasd_async.gateway.figures import FiguresGateway


class Port:
    """A listening port that remembers whether it is closed."""

    def __init__(self, port: IListeningPort) -> None:
        self._port = port
        self.closing: Deferred[None] | None = None

    def getHost(self) -> object:  # noqa: N802
        return self._port.getHost()

    def stopListening(self) -> Deferred[None]:  # noqa: N802
        self.closing = Deferred()
        return self.closing


class Reactor(MemoryReactorClock):
    """One whose port 80 is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []

    def listenTCP(  # noqa: N802
        self, port: int, factory: Factory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if port == 80:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.ports.append(Port(super().listenTCP(port, factory, backlog, interface)))
        return cast(IListeningPort, self.ports[-1])


def test_doors_are_opened_with_their_factories() -> None:
    """Each on its endpoint, at once, and the ports are known from then on."""
    reactor, first, second = Reactor(), ServerFactory(), ServerFactory()
    doors = Doors(reactor)
    doors.add("tcp:8080", first)
    doors.add("tcp:8082:interface=127.0.0.1", second)
    assert (reactor.tcpServers, doors.port_numbers) == ([], frozenset())
    doors.open()
    opened = [(port, factory, interface) for port, factory, _, interface in reactor.tcpServers]
    assert opened == [(8080, first, ""), (8082, second, "127.0.0.1")]
    assert doors.port_numbers == {8080, 8082}


def test_a_port_that_is_taken() -> None:
    """The error names the endpoint, the reason and what to do."""
    doors = Doors(Reactor())
    doors.add("tcp:80", ServerFactory())
    with pytest.raises(StartError, match=r"cannot listen on tcp:80: .*in use.*\[gateway\] listen"):
        doors.open()


@pytest.mark.parametrize("endpoint", ["", "tcp", "nonsense:1", "tcp:port"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    """The error names it, and the setting."""
    doors = Doors(Reactor())
    doors.add(endpoint, ServerFactory())
    with pytest.raises(StartError, match=rf"cannot listen on {endpoint}: .*\[gateway\] listen"):
        doors.open()


def test_what_was_opened_before_a_failure_can_be_closed() -> None:
    """The daemon goes down in the usual way then."""
    reactor = Reactor()
    doors = Doors(reactor)
    doors.add("tcp:8080", ServerFactory())
    doors.add("tcp:80", ServerFactory())
    with pytest.raises(StartError):
        doors.open()
    Deferred.fromCoroutine(doors.close())
    assert reactor.ports[0].closing is not None


def test_doors_are_closed_when_all_are() -> None:
    """Closing waits for each port, and a second time there is nothing to close."""
    reactor = Reactor()
    doors = Doors(reactor)
    doors.add("tcp:8080", ServerFactory())
    doors.open()
    closed = Deferred.fromCoroutine(doors.close())
    (port,) = reactor.ports
    assert not closed.called
    assert port.closing is not None
    port.closing.callback(None)
    assert closed.called
    assert doors.port_numbers == frozenset()
    assert Deferred.fromCoroutine(doors.close()).called


@pytest.mark.parametrize(
    ("method", "target", "status", "body"),
    [
        ("GET", "/metrics", 200, b"calls 7\n"),
        ("HEAD", "/metrics", 200, b""),
        ("GET", "/healthz", 200, b"OK\n"),
        ("POST", "/metrics", 405, None),
        ("GET", "/", 404, None),
        ("GET", "/function/f", 404, None),
    ],
)
def test_the_figures_have_a_door_of_their_own(
    method: str, target: str, status: int, body: bytes | None
) -> None:
    """Which shows them and that the daemon lives, and no more."""
    reactor = MemoryReactorClock()
    site = FiguresGateway(lambda: (b"calls 7\n", "text/x-figures")).site(reactor)
    channel = site.buildProtocol(None)
    assert channel is not None
    transport = StringTransport()
    channel.makeConnection(transport)
    channel.dataReceived(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    answer, rest = read_answer(transport.value(), bodiless=method == "HEAD")
    assert (answer.status, rest) == (status, b"")
    if body is not None:
        assert answer.body == body
    if target == "/metrics" and status == 200:
        assert answer.header("Content-Type") == b"text/x-figures"
