"""Traces that calls belong to, through either door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from front_door import Failures, FrontDoor

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
STATE = "tracestate: rojo=00f067aa0ba902b7"


@pytest.fixture(params=[True, False], ids=["short cut", "routes"])
def shortcut(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def doors(shortcut: bool, failures: Failures) -> Iterator[dict[bool, FrontDoor]]:
    """Gateways by whether calls begin traces."""
    doors = {
        begins: FrontDoor(bytewise=False, shortcut=shortcut, begins_traces=begins)
        for begins in (False, True)
    }
    yield doors
    for door in doors.values():
        for client in door.clients:
            client.leaves()


def told(door: FrontDoor, *fields: str) -> tuple[dict[bytes, bytes], dict[bytes, bytes], bytes]:
    """What the function hears at once, what is stored for it, and the call's own span."""
    for kind in ("function", "async-function"):
        door.ask("POST", f"/{kind}/f", *fields, body=b"x")
    [run], [stored] = door.runs, door.store.requests
    run.answers()
    return dict(run.invocation.headers), dict(stored.headers), stored.traceparent


@pytest.mark.parametrize("begins", [False, True])
def test_a_trace_is_carried(doors: dict[bool, FrontDoor], begins: bool) -> None:
    """In a span of the call's own, each time."""
    at_once, stored, own = told(doors[begins], SENT, STATE)
    assert stored[b"traceparent"] == own != at_once[b"traceparent"]
    for headers in (at_once, stored):
        assert headers[b"traceparent"].decode().split("-")[1] == TRACE
        assert headers[b"traceparent"].decode() not in SENT
        assert headers[b"tracestate"].decode() in STATE


@pytest.mark.parametrize("fields", [(), ("traceparent: nonsense", STATE)])
def test_without_one(doors: dict[bool, FrontDoor], fields: tuple[str, ...]) -> None:
    """There is none, unless a setting says so; what is malformed counts for nothing."""
    at_once, stored, own = told(doors[False], *fields)
    for headers in (at_once, stored):
        assert not {b"traceparent", b"tracestate"} & headers.keys()
    assert own == b""
    at_once, stored, own = told(doors[True], *fields)
    assert stored[b"traceparent"] == own
    assert len(own) == len(at_once[b"traceparent"]) == 55
    assert b"tracestate" not in stored
