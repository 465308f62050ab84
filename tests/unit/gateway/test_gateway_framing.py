"""Requests whose end two readers could see in two places: none of them reaches a function twice."""

from __future__ import annotations

import re

import pytest
from front_door import FrontDoor, request

POST = b"POST /async-function/f HTTP/1.1\r\nHost: h\r\n"
BEHIND = request("POST", "/async-function/f/smuggled")

REFUSED = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n",
    "a signed length": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length in another base": POST + b"Content-Length: 0x0\r\n\r\n",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n",
    "a length that is none": POST + b"Content-Length: \xb2\r\n\r\n",
    "no length": POST + b"Content-Length:\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding upon coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding with a tail": POST + b"Transfer-Encoding: chunked;x\r\n\r\n0\r\n\r\n",
    "a coding with a form feed": POST + b"Transfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n",
    "a space before a colon": POST + b"Content-Length : 5\r\n\r\n",
    "a tab before a colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n",
    "no colon": POST + b"Content-Length\r\n\r\n",
    "an empty name": POST + b": 5\r\n\r\n",
    "NUL in a name": POST + b"Content\x00-Length: 5\r\n\r\n",
    "NUL in a value": POST + b"X: a\x00b\r\n\r\n",
    "bare CR in a value": POST + b"X: a\rContent-Length: 5\r\n\r\n",
    "bare LF in a value": POST + b"X: a\nContent-Length: 5\r\n\r\n",
    "bare LF after the request line": b"POST /async-function/f HTTP/1.1\nHost: h\r\n\r\n",
    "folded first line": b"POST /async-function/f HTTP/1.1\r\n Content-Length: 5\r\n\r\n",
    "a space in the target": b"POST /async-function/f x HTTP/1.1\r\n\r\n",
    "a tab for a space": b"POST\t/async-function/f HTTP/1.1\r\n\r\n",
    "a method that is none": b"PO(ST /async-function/f HTTP/1.1\r\n\r\n",
    "an old version": b"POST /async-function/f HTTP/0.9\r\n\r\n",
    "a new version": b"POST /async-function/f HTTP/2.0\r\n\r\n",
    "two hosts": POST + b"Host: h\r\n\r\n",
    "no host": b"POST /async-function/f HTTP/1.1\r\n\r\n",
    "no version": b"POST /async-function/f\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    "a chunk size in Python": POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "an endless head": POST + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    "endless fields": POST + b"".join(b"X%d: x\r\n" % each for each in range(600)) + b"\r\n",
}


@pytest.mark.parametrize("head", REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused(door: FrontDoor, head: bytes) -> None:
    """400 or the end, once; neither it nor what lies behind it is taken for a call."""
    client = door.client()
    client.send(head + BEHIND)
    assert re.findall(rb"^HTTP/1.1 (\d+)", client.received) in ([], [b"400"], [b"431"])
    assert client.received.count(b"HTTP/1.1 ") < 2
    assert client.closed or client.wire.half_closed
    assert door.store.requests == []


TAKEN = {
    "chunks in capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
    "a chunk with an extension": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n",
        b"x",
    ),
    "a trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Call-Id: t\r\n\r\n", b""),
    "a coding that is none, and a length": (
        POST + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
        b"x",
    ),
    "zeros before a length": (POST + b"Content-Length: 0001\r\n\r\nx", b"x"),
    "an empty line before": (b"\r\n" + POST + b"Content-Length: 1\r\n\r\nx", b"x"),
    "no length at all": (POST + b"\r\n", b""),
    "a request as a body": (
        POST + b"Content-Length: %d\r\n\r\n" % len(BEHIND) + BEHIND,
        BEHIND,
    ),
}


@pytest.mark.parametrize(("data", "body"), TAKEN.values(), ids=TAKEN)
def test_what_is_clear_is_taken_once(door: FrontDoor, data: bytes, body: bytes) -> None:
    """With exactly its body; what follows is the next request and no part of it."""
    client = door.client()
    client.send(data + BEHIND)
    assert [each.status for each in client.answers()] == [202, 202]
    assert [each.body for each in door.store.requests] == [body, b""]
    assert [each.target for each in door.store.requests] == [b"/", b"/smuggled"]


def test_framing_goes_no_further(door: FrontDoor) -> None:
    """The fields that framed a request on its way here are not stored with it."""
    client = door.client()
    for data, _ in TAKEN.values():
        client.send(data)
    names = {name.lower() for each in door.store.requests for name, _ in each.headers}
    assert not names & {b"transfer-encoding", b"content-length"}


def test_a_folded_line_is_unfolded(door: FrontDoor) -> None:
    """It becomes one line with one value, so that no receiver reads two fields of it."""
    client = door.client()
    client.send(POST + b"X-Folded: a\r\n \tTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n")
    assert client.answer().status == 202
    stored = dict(door.store.requests[0].headers)
    assert stored[b"X-Folded"] == b"a Transfer-Encoding: chunked"


def test_a_folded_length_is_the_whole_of_it(door: FrontDoor) -> None:
    """``1`` folded with ``0`` is neither 1 nor 10."""
    client = door.client()
    client.send(POST + b"Content-Length: 1\r\n 0\r\n\r\nx" + BEHIND)
    assert client.received == b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert door.store.requests == []


@pytest.mark.parametrize("connection", ["close", "Close", "x, close"])
def test_nothing_is_heard_behind_the_last_request(door: FrontDoor, connection: str) -> None:
    """After ``Connection: close`` the answer is the last."""
    client = door.client()
    client.send(request("POST", "/async-function/f", f"Connection: {connection}") + BEHIND)
    assert client.answer().status == 202
    assert client.closed or client.wire.half_closed
    assert [each.target for each in door.store.requests] == [b"/"]


def test_connection_names_fields_that_go_no_further(door: FrontDoor) -> None:
    """And it cannot take away what the daemon says itself."""
    client = door.ask(
        "POST", "/async-function/f", "Connection: X-Hop, x-call-id", "X-Hop: 1", "X-Call-Id: mine"
    )
    assert client.answer().header("X-Call-Id") == b"mine"
    stored = dict(door.store.requests[0].headers)
    assert b"X-Hop" not in stored
    assert stored[b"X-Call-Id"] == b"mine"


def test_pipelined_requests_are_answered_in_their_order(door: FrontDoor) -> None:
    """The second is not begun before the first is answered."""
    client = door.client()
    client.send(
        request("POST", "/function/f/1", body=b"one")
        + request("POST", "/async-function/f/2", body=b"two")
        + request("GET", "/healthz")
    )
    assert ([run.invocation.body for run in door.runs], door.store.requests) == ([b"one"], [])
    door.runs[0].answers(200, [(b"Content-Length", b"1")], b"1")
    first, second, third = client.answers()
    assert (first.body, second.status, third.body) == (b"1", 202, b"OK\n")


def test_a_refusal_does_not_confuse_the_next_request(door: FrontDoor) -> None:
    """Its body was read, and the connection is good."""
    client = door.client()
    client.send(request("POST", "/async-function/nobody", body=b"not a request") + BEHIND)
    assert [each.status for each in client.answers()] == [404, 202]


def test_a_client_that_pipelines_without_end_is_paused(door: FrontDoor) -> None:
    """What is held for later is bounded."""
    client = door.client()
    client.send(request("POST", "/function/f"))
    client.bytewise = False
    client.send(BEHIND * 200)
    assert client.wire.producerState == "paused"
    door.runs[0].answers()
    assert client.wire.producerState == "producing"
