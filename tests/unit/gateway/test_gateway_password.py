"""Who is let in where there is a password."""

from __future__ import annotations

import pytest
from front_door import Answer, FrontDoor, request
from twisted.internet.address import IPv4Address

from faasd_async.gateway.operator import Operators
from faasd_async.gateway.peers import Trusted
from faasd_async.settings.credentials import Credentials

PASSWORD = "Authorization: Basic YWRtaW46czNjcmV0"
LOOPBACK = IPv4Address("TCP", "127.0.0.1", 40123)


@pytest.fixture
def guarded(door: FrontDoor) -> FrontDoor:
    """The gateway with a password."""
    operators = Operators(Credentials(b"admin", b"s3cret"))
    return FrontDoor(bytewise=door.bytewise, operators=operators)


def ask(door: FrontDoor, target: str, *fields: str, method: str = "GET") -> Answer:
    client = door.ask(method, target, *fields)
    answer = client.answer()
    client.leaves()
    return answer


@pytest.mark.parametrize(
    "target", ["/system/queues", "/system/schedules", "/system/nothing", "/ui", "/ui/", "/ui/a/b"]
)
@pytest.mark.parametrize("fields", [(), ("Authorization: Basic eDp5",), ("Authorization: x",)])
def test_who_does_not_know_it_is_asked_for_it(
    guarded: FrontDoor, target: str, fields: tuple[str, ...]
) -> None:
    """Under /system and /ui, whatever is there or not; as OpenFaaS asks."""
    answer = ask(guarded, target, *fields)
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == b'Basic realm="Restricted"'
    assert answer.body == b"invalid credentials\n"


def test_loopback_is_no_password(guarded: FrontDoor) -> None:
    """Where there is one, nobody is let in without it."""
    client = guarded.client(LOOPBACK)
    client.send(request("GET", "/system/queues", "Host: localhost"))
    assert client.answer().status == 401


def test_who_knows_it_is_let_in_from_anywhere(guarded: FrontDoor) -> None:
    """Through a proxy, too."""
    assert ask(guarded, "/system/queues", PASSWORD).status == 200
    assert ask(guarded, "/system/queues", PASSWORD, "X-Forwarded-For: 192.0.2.9").status == 200
    assert ask(guarded, "/ui/", PASSWORD).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Origin: http://gateway.test",), 200),
        (("Origin: https://faas.example", "X-Forwarded-Host: faas.example"), 200),
        (("Origin: http://evil.example",), 403),
        (("Origin: null",), 403),
    ],
)
def test_a_browser_gives_no_orders_for_other_pages(
    guarded: FrontDoor, fields: tuple[str, ...], status: int
) -> None:
    """It would send the password that it knows along."""
    answer = ask(guarded, "/system/queues", PASSWORD, *fields)
    assert answer.status == status


def test_a_host_is_believed_of_a_proxy_that_is_trusted(guarded: FrontDoor) -> None:
    """Where it is known who is one, anybody else's word for it counts for nothing."""
    fields = ("Origin: https://faas.example", "X-Forwarded-Host: faas.example", PASSWORD)
    guarded.site.trusted = Trusted(("192.0.2.0/24",))
    assert ask(guarded, "/system/queues", *fields).status == 200
    guarded.site.trusted = Trusted(())
    assert ask(guarded, "/system/queues", *fields).status == 403


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/call/a-long-enough-call-id"])
def test_the_rest_stays_open(guarded: FrontDoor, target: str) -> None:
    """Nobody is asked for a password there."""
    assert ask(guarded, target).status in (200, 404)


def test_a_short_id_is_the_operators(guarded: FrontDoor) -> None:
    """One that a caller chose and that could be guessed."""
    for target in ("/call/short", "/call/short/result", "/call/short/events"):
        answer = ask(guarded, target)
        assert answer.status == 401
        assert answer.header("WWW-Authenticate") == b'Basic realm="Restricted"'
        assert ask(guarded, target, PASSWORD).status == 404
    assert ask(guarded, "/async-function/short", method="DELETE").status == 401


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_function_is_not_told_the_password(guarded: FrontDoor, shortcut: bool) -> None:
    """Neither at once nor from the queue; what is its own business is passed on."""
    door = FrontDoor(bytewise=guarded.bytewise, shortcut=shortcut, operators=guarded.operators)
    fields = ("Authorization: Bearer its-own", PASSWORD, "X-A: b")
    clients = [door.ask("POST", f"/{kind}/f", *fields) for kind in ("function", "async-function")]
    (run,) = door.runs
    run.answers()
    assert [client.answer().status for client in clients] == [200, 202]
    for headers in (run.invocation.headers, door.store.requests[0].headers):
        sent = [value for name, value in headers if name == b"Authorization"]
        assert sent == [b"Bearer its-own"]
        assert (b"X-A", b"b") in headers


def test_without_a_password_nothing_is_withheld(door: FrontDoor) -> None:
    """A function may have a password of its own."""
    door.ask("POST", "/async-function/f", PASSWORD)
    assert (b"Authorization", b"Basic YWRtaW46czNjcmV0") in door.store.requests[0].headers
