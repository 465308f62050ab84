"""What is connected to for a callback: what the policy has seen, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from faasd_async.callback.destination import DestinationPolicy
from faasd_async.callback.names import MOST_THREADS, Names
from faasd_async.callback.way_out import CONNECT_SECONDS, CheckedEndpoint, Forbidden, NotConnected

OWN_PORT = 8080


class PaperNames:
    """Says what the test says, another thing each time."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = iter(answers)

    def __call__(self, host: str, *rest: object) -> list[tuple[Any, ...]]:
        return [(2, 1, 6, "", (address, 0)) for address in next(self._answers)]


class Here:
    """The reactor of a test: a thread's answer is heard at once, when the thread is done."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.heard = threading.Event()
        self._calls: list[Callable[[], object]] = []

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:  # noqa: N802
        self._calls.append(lambda: call(*args))
        self.heard.set()

    def hear(self) -> None:
        """Wait for what a thread has to say, and listen to it."""
        assert self.heard.wait(30)
        self.heard.clear()
        while self._calls:
            self._calls.pop(0)()


class Attempt:
    """One connection that was tried."""

    def __init__(
        self, names: PaperNames, host: str = "rebound.test", port: int = 80, **policy: Any
    ) -> None:
        self.here = Here()
        self.failure: Failure | None = None
        self.protocol: object = None
        refuse = policy.pop("refuse", None)
        self._judge = refuse or (
            lambda address, port: DestinationPolicy(
                policy.get("private", True), lambda: (OWN_PORT,)
            ).refuse_address(address, port, policy.get("function", False))
        )
        self._names = Names(cast(Any, self.here), names)
        self._host, self._port = host, port

    def connect(self) -> list[tuple[str, int]]:
        """Try, and tell where to."""
        endpoint = CheckedEndpoint(
            self.here.reactor, self._names, self._host, self._port, self._judge
        )
        before = len(self.tried)
        connecting = endpoint.connect(Factory.forProtocol(Protocol))
        connecting.addCallbacks(self._connected, self._failed)
        if not self.failure and len(self.tried) == before:
            self.here.hear()
        return self.tried

    @property
    def tried(self) -> list[tuple[str, int]]:
        clients = self.here.reactor.tcpClients
        return [(client[0], client[1]) for client in clients]

    def _connected(self, protocol: object) -> None:
        self.protocol = protocol

    def _failed(self, failure: Failure) -> None:
        self.failure = failure


REBOUND = ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0"]
MAPPED = ["::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::169.254.169.254"]
LITERAL = ["2852039166", "0xa9.254.169.254", "0251.0376.0251.0376"]
OWN = ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::1", "::"]


@pytest.mark.parametrize("address", REBOUND)
def test_a_name_that_has_become_another_address(address: str) -> None:
    """What was harmless when the call was accepted is looked at again, after the look-up; without
    that the metadata would be asked."""
    changing = (("192.0.2.1",), (address,))
    guarded = Attempt(PaperNames(*changing))
    assert guarded.connect() == [("192.0.2.1", 80)]
    assert guarded.connect() == [("192.0.2.1", 80)]
    assert guarded.failure is not None
    assert guarded.failure.check(Forbidden)
    assert "metadata" in guarded.failure.getErrorMessage()
    unguarded = Attempt(PaperNames(*changing), refuse=lambda address, port: None)
    unguarded.connect()
    unguarded.here.reactor.tcpClients.clear()
    assert unguarded.connect() == [(address, 80)]


@pytest.mark.parametrize("address", MAPPED)
def test_an_address_within_another(address: str) -> None:
    """IPv6 addresses that stand for one of IPv4 are that one."""
    guarded = Attempt(PaperNames((address,)))
    assert guarded.connect() == []
    assert guarded.failure is not None
    unguarded = Attempt(PaperNames((address,)), refuse=lambda address, port: None)
    assert unguarded.connect() == [(address, 80)]


@pytest.mark.parametrize("host", LITERAL)
def test_a_number_as_a_host(host: str) -> None:
    """In any base, it is the address; nobody is asked for it."""
    guarded = Attempt(PaperNames(), host)
    assert guarded.connect() == []
    assert guarded.failure is not None
    unguarded = Attempt(PaperNames(), host, refuse=lambda address, port: None)
    assert unguarded.connect() == [("169.254.169.254", 80)]


@pytest.mark.parametrize("address", OWN)
def test_a_name_for_this_daemon(address: str) -> None:
    """Of its own listeners functions alone are called, whatever it is called by."""
    guarded = Attempt(PaperNames((address,)), port=OWN_PORT)
    assert guarded.connect() == []
    assert guarded.failure is not None
    assert "only functions" in guarded.failure.getErrorMessage()
    of_function = Attempt(PaperNames((address,)), port=OWN_PORT, function=True)
    assert of_function.connect() == [(address, OWN_PORT)]
    elsewhere = Attempt(PaperNames((address,)), port=OWN_PORT + 1)
    assert elsewhere.connect() == [(address, OWN_PORT + 1)]


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "100.64.0.1", "fd00::1", "192.168.1.1"]
)
def test_private_addresses_of_names(address: str) -> None:
    """They are allowed or not, as the policy says."""
    assert Attempt(PaperNames((address,))).connect() == [(address, 80)]
    assert Attempt(PaperNames((address,)), private=False).connect() == []


def test_what_is_allowed_among_others() -> None:
    """Of several addresses those that are allowed are tried."""
    attempt = Attempt(PaperNames(("169.254.169.254", "192.0.2.1", "fe80::1")))
    assert attempt.connect() == [("192.0.2.1", 80)]


def test_a_name_that_nobody_knows() -> None:
    """It fails in words."""

    def unknown(*asked: object) -> list[tuple[Any, ...]]:
        raise OSError("no such name")

    attempt = Attempt(cast(Any, unknown))
    assert attempt.connect() == []
    assert attempt.failure is not None
    assert "the name rebound.test cannot be looked up" in attempt.failure.getErrorMessage()


def test_a_connection_that_is_refused() -> None:
    """What the network says is passed on."""
    attempt = Attempt(PaperNames(("192.0.2.1",)))
    attempt.connect()
    factory = attempt.here.reactor.tcpClients[0][2]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    attempt.here.reactor.advance(1)
    assert attempt.failure is not None
    assert attempt.failure.check(ConnectionRefusedError)


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Look-ups that bring nothing until the test says so."""
    release = threading.Event()
    yield release
    release.set()


def test_slow_names_hold_up_no_address(held: threading.Event) -> None:
    """So many names are looked up at a time, in threads of their own; who needs no look-up waits
    for none of them, and those who ask for the same name take one thread together."""
    here, asked = Here(), threading.Semaphore(0)
    threads: set[int] = set()
    names: list[str] = []

    def slow(host: str, *rest: object) -> list[tuple[Any, ...]]:
        threads.add(threading.get_ident())
        names.append(host)
        asked.release()
        held.wait(30)
        return [(2, 1, 6, "", ("192.0.2.1", 0))]

    looking = Names(cast(Any, here), slow)
    found: list[tuple[str, ...]] = []
    many = [f"slow{number}.test" for number in range(MOST_THREADS + 5)]
    for name in (*many, *many):
        looking.addresses(name).addCallback(found.append)
    for _ in range(MOST_THREADS):
        assert asked.acquire(timeout=30)
    assert not asked.acquire(blocking=False)
    assert len(threads) == MOST_THREADS
    looking.addresses("192.0.2.9").addCallback(found.append)
    assert found == [("192.0.2.9",)]
    held.set()
    while len(found) < 1 + 2 * len(many):
        here.hear()
    assert sorted(names) == sorted(many)


def test_a_name_that_takes_too_long(held: threading.Event) -> None:
    """The connection is given up; the answer that comes later is nobody's."""

    def slow(*asked: object) -> list[tuple[Any, ...]]:
        held.wait(30)
        return [(2, 1, 6, "", ("192.0.2.1", 0))]

    here = Here()
    names = Names(cast(Any, here), slow)
    endpoint = CheckedEndpoint(here.reactor, names, "slow.test", 80, lambda address, port: None)
    failures: list[Failure] = []
    connecting: Deferred[Any] = endpoint.connect(Factory.forProtocol(Protocol))
    connecting.addErrback(failures.append)
    here.reactor.advance(CONNECT_SECONDS)
    assert failures[0].check(NotConnected)
    assert failures[0].getErrorMessage() == "no connection within 10 s"
    held.set()
    here.hear()
    assert here.reactor.tcpClients == []
