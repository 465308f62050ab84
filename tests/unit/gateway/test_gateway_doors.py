"""Listening sockets, opened all at once or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from front_door import read_answer
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, ServerFactory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.errors import StartError
from faasd_async.gateway import doors as doors_module
from faasd_async.gateway.doors import PATIENCE_SECONDS, Doors
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


class HandedOver(Port):
    """A port of systemd's, which remembers whether anybody is let in."""

    lets_in = True

    def pauseProducing(self) -> None:
        self.lets_in = False

    def resumeProducing(self) -> None:
        self.lets_in = True


Handed = tuple[MemoryReactorClock, Doors, HandedOver]


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """Doors that are open, at a socket of systemd's."""
    reactor = MemoryReactorClock()
    port = HandedOver(reactor.listenTCP(8080, ServerFactory()))

    class Endpoint:
        def listen(self, factory: Factory) -> Deferred[HandedOver]:
            return succeed(port)

    monkeypatch.setattr(doors_module, "serverFromString", lambda reactor, description: Endpoint())
    doors = Doors(reactor)
    doors.add("systemd:domain=INET:index=0", ServerFactory())
    doors.open()
    return reactor, doors, port


def test_who_waits_in_the_backlog_waits_until_all_is_up(handed_over: Handed) -> None:
    """And is let in then."""
    reactor, doors, port = handed_over
    assert not port.lets_in
    doors.let_in()
    assert port.lets_in
    assert reactor.getDelayedCalls() == []


def test_who_waits_in_the_backlog_is_told_in_the_end(handed_over: Handed) -> None:
    """What the daemon waits for may be away for long."""
    reactor, _, port = handed_over
    reactor.advance(PATIENCE_SECONDS - 0.1)
    assert not port.lets_in
    reactor.advance(0.1)
    assert port.lets_in


def test_who_waits_in_the_backlog_of_a_daemon_that_stops(handed_over: Handed) -> None:
    """Waits for the next one."""
    reactor, doors, port = handed_over
    Deferred.fromCoroutine(doors.close())
    assert port.closing is not None
    doors.let_in()
    assert not port.lets_in
    assert reactor.getDelayedCalls() == []


def why_not(description: str, reason: int | Exception | None = None, **options: Any) -> str:
    """What is said of an endpoint that cannot be listened on.

    :param reason: the kernel's number, or what is raised.
    """

    class Refusing(MemoryReactorClock):
        def refuse(self, *_: Any, **__: Any) -> IListeningPort:
            if isinstance(reason, Exception):
                raise reason
            assert reason is not None
            raise CannotListenError(None, 80, OSError(reason, os.strerror(reason)))

        listenTCP = listenUNIX = refuse  # noqa: N815

    doors = Doors(Refusing())
    doors.add(description, ServerFactory(), **options)
    with pytest.raises(StartError) as raised:
        doors.open()
    return str(raised.value).removeprefix(f"cannot listen on {description}: ")


def test_a_port_that_is_taken() -> None:
    """The error names the endpoint, the reason and what to do."""
    assert why_not("tcp:80", errno.EADDRINUSE) == (
        "[Errno 98] Address already in use. Stop what listens there, or choose another endpoint"
        " with [gateway] listen or --listen"
    )


def test_a_port_for_which_there_are_no_privileges() -> None:
    """Nobody listens there whom one could stop."""
    assert why_not("tcp:80", errno.EACCES) == (
        "[Errno 13] Permission denied. Choose a port from 1024 up, give the daemon"
        " CAP_NET_BIND_SERVICE, or start it as root with twistd's --uid"
    )


def test_a_socket_that_may_not_be_made() -> None:
    """It is the directory that has to be seen to."""
    said = why_not("unix:/run/faas.sock:lockfile=0", errno.EACCES)
    assert f"Let uid {os.geteuid()} write in its directory, or choose another endpoint" in said


def test_a_socket_in_no_directory() -> None:
    """Neither the socket nor the lock beside it can be made there."""
    remedy = "Make its directory, or choose another endpoint with [gateway] listen or --listen"
    said = f"No such file or directory. {remedy}"
    assert why_not("unix:/none/s:lockfile=0", errno.ENOENT) == f"[Errno 2] {said}"
    lock = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "7", None, "/none/s.lock")
    assert why_not("unix:/none/s", lock) == said


def test_an_address_of_another_machine() -> None:
    """The interface is the mistake."""
    said = why_not("tcp:80:interface=192.0.2.1", errno.EADDRNOTAVAIL)
    assert "Its interface has to be an address of this machine" in said


def test_any_other_reason() -> None:
    """There is nothing better to do than to listen elsewhere."""
    said = why_not("tcp:80", errno.ENOBUFS)
    assert said.endswith(". Choose another endpoint with [gateway] listen or --listen")


def test_the_setting_that_chose_the_endpoint() -> None:
    """Is the one that is named."""
    said = why_not("tcp:80", errno.EADDRINUSE, setting="[gateway] metrics_listen")
    assert said.endswith("choose another endpoint with [gateway] metrics_listen")


@pytest.mark.parametrize("socket", ["index=0", "name=http"])
@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (
            {},
            "systemd passed no sockets (LISTEN_FDS), or none with names (LISTEN_FDNAMES). A service"
            " gets them with `faasd-async install --socket`, from its next start on; with"
            " systemd-socket-activate, add --fdname=NAME",
        ),
        (
            {"LISTEN_FDNAMES": "api:web"},
            "systemd passed no such socket, but api (index 0), web (index 1). Choose one of these",
        ),
        (
            {"LISTEN_FDS": "1", "LISTEN_PID": "7", "LISTEN_FDNAMES": "http"},
            "systemd passed its sockets to process 7, and this is {pid}. Have it start twistd"
            " itself, or a script that ends with exec",
        ),
    ],
)
def test_a_socket_that_systemd_did_not_pass(
    socket: str, passed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which there are, if any, and how there come to be some."""
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in passed.items():
        monkeypatch.setenv(name, value)
    assert why_not(f"systemd:domain=INET:{socket}") == said.format(pid=os.getpid())


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


def test_a_renewed_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """Changes nothing, is told each time it is looked at, and one that can is taken then; what has
    not changed is not read again."""
    events: list[str] = []

    def observe(event: LogEvent) -> None:
        if "endpoint" in event:
            events.append(event["log_format"].partition(" for ")[0])

    pair = tmp_path / "pair.pem"

    def write() -> None:
        curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        request = f"openssl req -x509 {curve} -nodes -subj /CN=h -keyout {pair} -out {pair}.crt"
        subprocess.run(request.split(), check=True, capture_output=True)
        pair.write_text(pair.read_text() + (tmp_path / "pair.pem.crt").read_text())

    write()
    reactor = Reactor()
    doors = Doors(reactor)
    doors.add(f"ssl:8443:privateKey={pair}", ServerFactory())
    doors.open()
    [(port, entrance, *_)] = reactor.tcpServers
    before = entrance.tls
    globalLogPublisher.addObserver(observe)
    try:
        doors.renew_certificates()
        pair.write_text("none")
        doors.renew_certificates()
        doors.renew_certificates()
        assert (port, entrance.tls) == (8443, before)
        write()
        doors.renew_certificates()
        doors.renew_certificates()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert entrance.tls is not before
    assert len(reactor.tcpServers) == 1
    kept = "{endpoint} keeps its certificate,"
    assert events == [kept, kept, "{endpoint} has its renewed certificate"]


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
        ("GET", "/", 404, b"there is nothing here\n"),
        ("GET", "/function/f", 404, b"there is nothing here\n"),
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
    kind = (
        b"text/x-figures"
        if target == "/metrics" and status == 200
        else b"text/plain; charset=utf-8"
    )
    assert answer.header("Content-Type") == kind
    assert (answer.header("X-Served-By") or b"").startswith(b"faasd-async/")
    assert answer.header("Server") is None
