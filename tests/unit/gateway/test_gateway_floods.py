"""Clients that mean harm by how much they send, or how slowly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from front_door import READ_TIMEOUT_SECONDS, Failures, FrontDoor

from faasd_async.gateway.channel import LINGER_SECONDS, GatewayChannel

LINE = b"POST /async-function/f HTTP/1.1\r\nHost: h\r\n"
BODY = b"Content-Length: 1000\r\n\r\n"
MANY = b"".join(b"X-%d: 1\r\n" % number for number in range(600))


@pytest.fixture(params=[True, False], ids=["short cut", "routes"])
def door(request: pytest.FixtureRequest, failures: Failures) -> Iterator[FrontDoor]:
    """The gateway, by one way or the other."""
    door = FrontDoor(bytewise=False, shortcut=request.param)
    yield door
    for client in door.clients:
        client.leaves()
    assert door.clock.getDelayedCalls() == []


FLOODS = {
    "too many fields": LINE + MANY,
    "too long a field": LINE + b"X-Long: " + b"x" * 20_000,
    "too long a head": LINE + (b"X-Some: " + b"x" * 5_000 + b"\r\n") * 5,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_header_fields(
    door: FrontDoor, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off with an answer, whether or not its end ever comes; without the limits it would
    be a call."""
    client = door.client()
    client.send(FLOODS[flood])
    assert client.received[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert client.closed or client.wire.half_closed
    client.send(b"\r\n" + BODY + b"x" * 1000)
    assert door.store.requests == []
    monkeypatch.setattr(GatewayChannel, "maxHeaders", 10**6)
    monkeypatch.setattr(GatewayChannel, "totalHeadersSize", 10**6)
    monkeypatch.setattr(GatewayChannel, "MAX_LENGTH", 10**6)
    client = door.client()
    end = b"\r\n" if flood == "too long a field" else b""
    client.send(FLOODS[flood] + end + BODY + b"x" * 1000)
    assert len(door.store.requests) == 1


@pytest.mark.parametrize(
    ("begin", "drop"),
    [(b"", b""), (LINE, b"X: y\r\n"), (LINE + BODY, b"x"), (LINE[:20], b"x")],
    ids=["nothing", "head", "body", "first line"],
)
def test_a_client_that_takes_its_time(door: FrontDoor, begin: bytes, drop: bytes) -> None:
    """A drop now and then prolongs nothing: the whole request has its time, and then it is cut off,
    with a 408 if any of it had come; without the limit the connection would stay."""
    patient = door.client()
    door.site.timeOut = None  # type: ignore[assignment]
    endless = door.client()
    for client in (patient, endless):
        client.send(begin)
    for _ in range(10):
        door.clock.advance(READ_TIMEOUT_SECONDS / 9)
        for client in (patient, endless):
            client.send(drop)
    door.clock.advance(LINGER_SECONDS)
    assert patient.closed
    assert patient.received[:12] == (b"HTTP/1.1 408" if begin else b"")
    assert not endless.closed
    patient.send(BODY + b"x" * 1000)
    assert door.store.requests == []
