"""How many connections an address may have, and whose word counts for where a request is from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from front_door import Client, Failures, FrontDoor, request
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import capturedLogs

from faasd_async.gateway.peers import Crowd, Trusted

FORGED = (
    "X-Forwarded-For: 10.0.0.1",
    "x-forwarded-host: admin.test",
    "X-Forwarded-Proto: https",
    "Forwarded: for=10.0.0.1",
    "X-Real-IP: 10.0.0.1",
)


@pytest.fixture(params=[True, False], ids=["short cut", "routes"])
def door(request: pytest.FixtureRequest, failures: Failures) -> Iterator[FrontDoor]:
    """The gateway, by one way or the other."""
    door = FrontDoor(bytewise=False, shortcut=request.param)
    yield door
    for client in door.clients:
        client.leaves()


def peer(host: str) -> IAddress:
    return IPv4Address("TCP", host, 40000)


def says(door: FrontDoor, address: IAddress, route: str) -> dict[bytes, bytes]:
    """What a function is told of a request from somewhere, each field by its lower-case name."""
    client = door.client(address)
    client.send(request("POST", route, *FORGED))
    if door.runs:
        run = door.runs.pop()
        run.answers(200)
        headers = run.invocation.headers
    else:
        headers = door.store.requests.pop().headers
    return {name.lower(): value for name, value in headers}


@pytest.mark.parametrize("route", ["/function/f", "/async-function/f"])
def test_a_stranger_is_not_believed(door: FrontDoor, route: str) -> None:
    """The daemon says what it sees; of a proxy that is trusted it says what that says."""
    door.site.trusted = Trusted(("192.0.2.0/24", "unix"))
    seen = says(door, peer("203.0.113.9"), route)
    assert seen[b"x-forwarded-for"] == b"203.0.113.9:40000"
    assert seen[b"x-forwarded-host"] == b"gateway.test"
    assert not {b"x-forwarded-proto", b"forwarded", b"x-real-ip"} & set(seen)
    for trusted in (peer("192.0.2.9"), UNIXAddress("/run/x")):
        seen = says(door, trusted, route)
        assert seen[b"x-forwarded-for"] == b"10.0.0.1"
        assert seen[b"x-forwarded-host"] == b"admin.test"
        assert seen[b"forwarded"] == b"for=10.0.0.1"
    door.site.trusted = None
    assert says(door, peer("203.0.113.9"), route)[b"x-forwarded-for"] == b"10.0.0.1"


@pytest.mark.parametrize(
    ("networks", "host", "holds"),
    [
        ((), "127.0.0.1", False),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.0.0.0/8",), None, False),
        (("unix",), None, True),
        (("unix",), "10.1.2.3", False),
        (("10.0.0.0/8",), "no address", False),
    ],
)
def test_whom_a_range_holds(networks: tuple[str, ...], host: str | None, holds: bool) -> None:
    """Addresses of either kind, mapped ones too."""
    assert Trusted(networks).holds(host) is holds


def connect(door: FrontDoor, host: str) -> Client:
    client = door.client(peer(host))
    client.send(request("GET", "/healthz"))
    return client


def test_one_address_has_so_many_connections(door: FrontDoor) -> None:
    """What comes beyond is closed at once, unheard; others are served; who leaves makes room."""
    door.site.crowd = Crowd(3, Trusted(("192.0.2.9",)), door.clock.seconds)
    with capturedLogs() as events:
        clients = [connect(door, "203.0.113.9") for _ in range(5)]
    assert [client.closed for client in clients] == [False] * 3 + [True] * 2
    assert [client.received == b"" for client in clients] == [False] * 3 + [True] * 2
    assert [event["host"] for event in events if "most" in event] == ["203.0.113.9"]
    assert connect(door, "203.0.113.10").answer().status == 200
    for uncounted in ("127.0.0.1", "192.0.2.9"):
        assert not any(connect(door, uncounted).closed for _ in range(5))
    clients[4].leaves()
    assert connect(door, "203.0.113.9").closed
    clients[0].leaves()
    assert connect(door, "203.0.113.9").answer().status == 200
    for client in door.clients:
        client.leaves()
    assert door.site.crowd._present == {}


def test_without_a_limit_there_is_none(door: FrontDoor) -> None:
    """0 means as many as it likes."""
    door.site.crowd = Crowd(0, None, door.clock.seconds)
    assert not any(connect(door, "203.0.113.9").closed for _ in range(50))
