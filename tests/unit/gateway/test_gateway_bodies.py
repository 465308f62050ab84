"""Bodies that are too large are turned away while they are on their way."""

from __future__ import annotations

import pytest
from front_door import LARGEST_BODY_BYTES, READ_TIMEOUT_SECONDS, FrontDoor, request

from faasd_async.gateway.channel import LINGER_SECONDS
from faasd_async.gateway.request import SMALL_BODY_BYTES

TARGETS = ["/function/f", "/async-function/f", "/function/f.openfaas-fn/x?y"]
ROOM_BYTES = 1000


def chunked(target: str, *chunks: bytes, version: str = "1.1") -> bytes:
    head = f"POST {target} HTTP/{version}\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)


@pytest.mark.parametrize("target", TARGETS)
def test_a_length_over_the_limit(door: FrontDoor, target: str) -> None:
    """413 as soon as the head is there, and the connection is to be closed."""
    client = door.client()
    client.send(request("POST", target, f"Content-Length: {ROOM_BYTES + 1}"))
    answer = client.answer()
    assert (answer.status, answer.header("Connection")) == (413, b"close")
    assert answer.body == b"a body of at most 1000 bytes is accepted here\n"


@pytest.mark.parametrize("target", TARGETS)
def test_chunks_over_the_limit(door: FrontDoor, target: str) -> None:
    """413 with the first byte too many."""
    client = door.client()
    client.send(chunked(target, b"x" * 600, b"x" * 400))
    assert client.received == b""
    client.send(b"1\r\nx")
    assert client.answer().status == 413


@pytest.mark.parametrize("body", [b"", b"x" * ROOM_BYTES], ids=["empty", "full"])
def test_a_body_that_just_fits(door: FrontDoor, body: bytes) -> None:
    """By its length and in chunks."""
    assert door.ask("POST", "/async-function/f", body=body).answer().status == 202
    client = door.client()
    client.send(chunked("/async-function/f", body[:300], body[300:], b"") if body else b"")
    client.send(b"" if body else chunked("/async-function/f", b""))
    assert client.answer().status == 202
    assert [each.body for each in door.store.requests] == [body, body]


@pytest.mark.parametrize("expecting", ["100-continue", "100-Continue"])
def test_nobody_is_invited_to_send_too_much(door: FrontDoor, expecting: str) -> None:
    """A client that waits for 100 Continue gets the 413 and nothing else."""
    client = door.client()
    client.send(
        request("POST", "/function/f", f"Expect: {expecting}", f"Content-Length: {ROOM_BYTES + 1}")
    )
    assert client.answer().status == 413


def test_a_client_that_waits_is_invited(door: FrontDoor) -> None:
    """100 Continue to one whose body fits; the field itself goes no further."""
    client = door.client()
    client.send(request("POST", "/async-function/f", "Expect: 100-continue", "Content-Length: 4"))
    assert [each.status for each in client.answers()] == [100]
    client.send(b"body")
    assert [each.status for each in client.answers()] == [100, 202]
    assert b"Expect" not in dict(door.store.requests[0].headers)


def test_the_queue_may_have_less_room_than_the_function(door: FrontDoor) -> None:
    """The smaller limit counts, for calls through the queue alone."""
    door.store.largest_call_bytes = 10
    assert door.ask("POST", "/async-function/f", "Content-Length: 11").answer().status == 413
    client = door.ask("POST", "/function/f", body=b"x" * 11)
    door.runs[0].answers()
    assert client.answer().status == 200


@pytest.mark.parametrize("target", ["/nothing", "/", "/healthz"])
def test_where_no_function_is_named_there_is_a_limit_too(door: FrontDoor, target: str) -> None:
    """The gateway's own, for whatever has to be read before the door says no."""
    fits = door.ask("POST", target, body=b"x" * LARGEST_BODY_BYTES)
    assert fits.answer().status in (404, 405)
    over = door.ask("POST", target, f"Content-Length: {LARGEST_BODY_BYTES + 1}")
    assert over.answer().status == 413


FOR_NOBODY = [
    ("POST", "/async-function/nobody", 404),
    ("PUT", "/function/nobody", 404),
    ("PUT", "/async-function/f", 405),
    ("HEAD", "/async-function/f", 405),
    ("TRACE", "/function/f", 405),
]


@pytest.mark.parametrize(("method", "target", "status"), FOR_NOBODY)
def test_a_body_for_nobody_is_not_read(
    door: FrontDoor, method: str, target: str, status: int
) -> None:
    """The head has decided: the answer comes at once, with what belongs to it, and no 100
    Continue before it."""
    client = door.ask(
        method, target, f"Content-Length: {SMALL_BODY_BYTES + 1}", "Expect: 100-continue"
    )
    answer = client.answer(bodiless=method == "HEAD")
    assert (answer.status, answer.header("Connection")) == (status, b"close")
    assert (answer.header("Allow") is None) == (status == 404)
    assert client.wire.half_closed


def test_chunks_for_nobody_are_not_read_to_their_end(door: FrontDoor) -> None:
    """No more of them than of a body whose length is known."""
    client = door.client()
    client.bytewise = False
    client.send(chunked("/function/nobody", b"x" * SMALL_BODY_BYTES))
    assert client.received == b""
    client.send(b"1\r\nx")
    assert client.answer().status == 404


@pytest.mark.parametrize(("method", "target", "status"), FOR_NOBODY)
def test_a_small_body_for_nobody_costs_no_connection(
    door: FrontDoor, method: str, target: str, status: int
) -> None:
    """It is read, and the next request is heard."""
    client = door.client()
    client.bytewise = False
    client.send(request(method, target, body=b"x" * SMALL_BODY_BYTES))
    assert client.answer(bodiless=method == "HEAD").status == status
    client.send(request("GET", "/healthz"))
    assert client.received.endswith(b"OK\n")


@pytest.mark.parametrize("target", ["/async-function/f", "/function/f"])
def test_a_refused_client_is_not_heard_any_more(door: FrontDoor, target: str) -> None:
    """Neither the rest of its body nor a request behind it, in whatever pieces they come."""
    client = door.client()
    client.send(
        request("POST", target, f"Content-Length: {ROOM_BYTES + 1}")
        + b"x" * (ROOM_BYTES + 1)
        + request("POST", "/async-function/f")
    )
    client.send(request("POST", "/function/f"))
    assert client.answer().status == 413
    assert (door.store.requests, door.runs) == ([], [])


def test_a_client_refused_in_its_chunks_is_not_heard_any_more(door: FrontDoor) -> None:
    """The body may even end as it should, with a request behind it."""
    client = door.client()
    client.send(
        chunked("/function/f", b"x" * (ROOM_BYTES + 1), b"x", b"")
        + request("POST", "/async-function/f")
    )
    assert client.answer().status == 413
    assert (door.store.requests, door.runs) == ([], [])


def test_a_client_refused_in_its_chunks_is_refused_once(door: FrontDoor) -> None:
    """Nonsense behind the byte too many brings no second answer."""
    client = door.client()
    client.send(chunked("/function/f", b"x" * (ROOM_BYTES + 1)) + b"nonsense\r\n")
    assert client.answer().status == 413


def test_a_refused_client_may_linger(door: FrontDoor) -> None:
    """It is told that nothing more will come, and has time to read the answer before the cut."""
    client = door.ask("POST", "/function/f", "Content-Length: 5000")
    assert client.wire.half_closed
    door.clock.advance(LINGER_SECONDS - 0.01)
    assert not client.closed
    door.clock.advance(0.01)
    assert client.closed


def test_a_refused_client_may_leave_earlier(door: FrontDoor) -> None:
    """No timer waits for it then."""
    client = door.ask("POST", "/function/f", "Content-Length: 5000")
    client.leaves()
    assert door.clock.getDelayedCalls() == []


def test_a_client_may_trickle(door: FrontDoor) -> None:
    """One that takes longer than the read time-out for the whole of a request is cut off."""
    client = door.client()
    client.send(b"POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
    door.clock.advance(READ_TIMEOUT_SECONDS - 1)
    client.send(b"c")
    assert not client.closed
    door.clock.advance(1)
    assert client.received.startswith(b"HTTP/1.1 408 ")
    door.clock.advance(LINGER_SECONDS)
    assert client.closed
    assert door.runs == []


def test_a_function_may_take_longer_than_a_client_may_be_silent(door: FrontDoor) -> None:
    """While it runs the client has nothing to say."""
    client = door.ask("POST", "/function/f")
    door.clock.advance(2 * READ_TIMEOUT_SECONDS)
    assert not client.closed
    door.runs[0].answers()
    assert client.answer().status == 200
