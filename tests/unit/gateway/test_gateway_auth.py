"""Functions that ask for a password: who is let in, by either door, and what becomes of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest
from front_door import Failures, FrontDoor
from twisted.internet.defer import Deferred

from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.chained import accept_chained
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.operator import Operators
from faasd_async.settings import AuthSettings
from faasd_async.settings.credentials import Credentials

OPERATOR = Credentials(b"admin", b"s3cret")
ANNA, BEN = Credentials(b"anna", b"a"), Credentials(b"ben", b"b")
OWN = "X-Callback-Url: http://localhost:8080/async-function/guarded/path"


def basic(said: str) -> str:
    return f"Authorization: Basic {b64encode(said.encode()).decode()}"


@pytest.fixture(params=[True, False], ids=["short cut", "routes"])
def door(request: pytest.FixtureRequest, failures: Failures) -> Iterator[FrontDoor]:
    """The gateway, by one way or the other: ``guarded`` is the operator's, ``shared`` theirs."""
    door = FrontDoor(bytewise=False, shortcut=request.param, operators=Operators(OPERATOR))
    door.deploy("guarded", auth=AuthSettings())
    door.deploy("shared", auth=AuthSettings(credentials=(ANNA, BEN)))
    yield door
    for client in door.clients:
        client.leaves()


def ask(door: FrontDoor, route: str, *fields: str, body: bytes = b"x") -> int:
    """Call; a function that is reached answers 200."""
    client = door.ask("POST", route, *fields, body=body)
    for function in door.functions.values():
        for run in function.runs:
            if not run.reply.called:
                run.answers(200)
    answer = client.answer()
    if answer.status == 401:
        assert answer.header("WWW-Authenticate") == b'Basic realm="Restricted"'
        assert answer.body == b"invalid credentials\n"
    return answer.status


@pytest.mark.parametrize(("kind", "status"), [("function", 200), ("async-function", 202)])
def test_who_is_let_in(door: FrontDoor, kind: str, status: int) -> None:
    """Who says the operator's password, or one of the function's own; nobody else."""
    said = {
        "guarded": {"admin:s3cret": status, "anna:a": 401, "admin:": 401},
        "shared": {"anna:a": status, "ben:b": status, "anna:b": 401, "admin:s3cret": 401},
    }
    for name, expected in said.items():
        assert ask(door, f"/{kind}/{name}") == 401
        assert ask(door, f"/{kind}/{name}", "Authorization: Bearer x") == 401
        for credentials, each in expected.items():
            assert ask(door, f"/{kind}/{name}.openfaas-fn/p", basic(credentials)) == each
    assert ask(door, f"/{kind}/f") == status


def test_the_password_stays_here(door: FrontDoor) -> None:
    """The field is neither stored nor passed on, whatever else is said in it."""
    fields = (basic("anna:a"), "Authorization: Bearer more", "X-A: b")
    assert ask(door, "/function/shared", *fields) == 200
    assert ask(door, "/async-function/shared", *fields) == 202
    [run], [stored] = door.functions["shared"].runs, door.store.requests
    for headers in (run.invocation.headers, stored.headers):
        assert (b"X-A", b"b") in headers
        assert not [name for name, _ in headers if name.lower() == b"authorization"]


def test_a_caller_may_prefer_an_asynchronous_call(door: FrontDoor) -> None:
    """And is asked all the same."""
    prefer = "Prefer: respond-async"
    assert ask(door, "/function/guarded", prefer) == 401
    assert ask(door, "/function/guarded", prefer, basic("admin:s3cret")) == 202


def test_a_large_body_is_not_waited_for(door: FrontDoor) -> None:
    """The head has decided."""
    door.deploy("large", auth=AuthSettings(), max_body_bytes=10**6)
    client = door.client()
    head = b"POST /function/large HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n"
    client.send(head)
    assert client.answer().status == 401


@pytest.mark.parametrize(
    ("callback", "said", "status"),
    [
        (OWN, "", 401),
        (OWN, "anna:a", 401),
        (OWN, "admin:s3cret", 202),
        (OWN.replace("Url", "On-Failure"), "", 401),
        ("X-Callback-Url: http://localhost:8080/function/guarded", "", 401),
        ("X-Callback-Url: http://localhost:8080/async-function/f", "", 202),
        ("X-Callback-Url: http://elsewhere/async-function/guarded", "", 202),
        ("X-Callback-Url: http://a:b@localhost:8080/async-function/guarded", "", 202),
    ],
)
def test_an_open_function_is_no_way_round(
    door: FrontDoor, callback: str, said: str, status: int
) -> None:
    """Who has its answer delivered to a guarded function of this daemon has to know that one's
    password; whom the URL names is asked for when it is delivered."""
    fields = (callback, basic(said)) if said else (callback,)
    assert ask(door, "/async-function/f", *fields) == status


def test_what_follows_from_a_call_is_not_asked(door: FrontDoor) -> None:
    """Nor is what follows from that."""
    route = FunctionRoute(True, "guarded", b"/")
    further = ((b"X-Callback-Url", b"http://localhost:8080/async-function/shared"),)
    directory = Directory(door.deployments, "openfaas-fn", lambda: True)
    acceptance = door.site.acceptance  # type: ignore[attr-defined]
    accepting = accept_chained(directory, acceptance, route, further, b"x")
    accepted: list[object] = []
    Deferred.fromCoroutine(accepting).addCallback(accepted.append)
    assert accepted == [(202, "", None)]
