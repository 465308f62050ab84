"""The synchronous door: the reply as it comes, and the token back whatever happens."""

from __future__ import annotations

import pytest
from front_door import NOW_NS, Client, Failures, FrontDoor, PaperReply, Run, request
from twisted.internet.defer import Deferred

from faasd_async.errors import (
    InvocationBroken,
    InvocationTimedOut,
    NotHandedOver,
)
from faasd_async.gateway.proxy import Proxy

TARGET = "/function/f"


def streaming(door: FrontDoor, *headers: tuple[bytes, bytes]) -> tuple[Client, Run, PaperReply]:
    """A caller, and the reply that has begun."""
    client = door.ask("GET", TARGET)
    (run,) = door.runs
    return client, run, run.answers(headers=headers, body=None)


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "BREW"]
)
def test_the_request_as_the_function_gets_it(door: FrontDoor, method: str) -> None:
    """Method, raw target, header lines and body, with what a proxy adds."""
    client = door.ask(method, TARGET + "//a%2Fb?q=%ff", "x-One: 1", "Cookie: a=b", body=b"body")
    (run,) = door.runs
    assert (run.invocation.function, run.timeout_seconds) == ("f", 7.0)
    assert (run.invocation.method, run.invocation.target) == (method.encode(), b"//a%2Fb?q=%ff")
    assert run.invocation.body == b"body"
    assert list(run.invocation.headers) == [
        (b"x-One", b"1"),
        (b"Cookie", b"a=b"),
        (b"X-Call-Id", run.invocation.call_id.encode()),
        (b"X-Start-Time", b"%d" % NOW_NS),
        (b"X-Forwarded-Host", b"gateway.test"),
        (b"X-Forwarded-For", b"192.0.2.7:40123"),
    ]
    run.answers()
    assert client.answer().status == 200


def test_the_reply_as_the_caller_gets_it(door: FrontDoor) -> None:
    """Status, header lines and body of the function's; ids and duration of the daemon's."""
    client = door.ask("POST", TARGET, "X-Call-Id: mine")
    door.clock.advance(0.25)
    door.runs[0].answers(
        418,
        [
            (b"Content-Length", b"5"),
            (b"Set-Cookie", b"a"),
            (b"Set-Cookie", b"b"),
            (b"X-Call-Id", b"another"),
            (b"Date", b"then"),
        ],
        b"short",
    )
    answer = client.answer()
    assert (answer.status, answer.body) == (418, b"short")
    assert [value for name, value in answer.headers if name == b"Set-Cookie"] == [b"a", b"b"]
    assert answer.header("X-Call-Id") == b"mine"
    assert answer.header("X-Start-Time") == b"%d" % NOW_NS
    assert answer.header("X-Duration-Seconds") == b"0.250000"
    assert answer.header("Date") == b"then"
    assert door.ended == [("f", "mine", 418, 0.25)]


def test_a_callback_url_is_the_functions_affair(door: FrontDoor) -> None:
    """On this route it is passed on and not looked at."""
    door.forbidden = "never"
    door.ask("POST", TARGET, "X-Callback-Url: nonsense")
    (run,) = door.runs
    assert (b"X-Callback-Url", b"nonsense") in run.invocation.headers
    run.answers()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_what_no_function_is_asked(door: FrontDoor, method: str) -> None:
    """405, and the function is not reached."""
    answer = door.ask(method, TARGET).answer()
    assert answer.status == 405
    assert b"POST" in (answer.header("Allow") or b"")
    assert door.runs == []


def test_an_unknown_function_cannot_be_asked(door: FrontDoor) -> None:
    """404."""
    assert door.ask("GET", "/function/nobody").answer().status == 404


def test_a_head_request(door: FrontDoor) -> None:
    """The function's head without a body, and the connection is good for the next request."""
    client = door.ask("HEAD", TARGET)
    door.runs[0].answers(200, [(b"Content-Length", b"1000")], b"")
    (answer,) = client.answers(bodiless=True)
    assert answer.header("Content-Length") == b"1000"
    client.send(request("HEAD", TARGET))
    door.runs[1].answers(200, (), b"a body nobody wants")
    assert [each.status for each in client.answers(bodiless=True)] == [200, 200]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(door: FrontDoor, status: int) -> None:
    """No body is written, whatever the function says, and none is announced in chunks."""
    client = door.ask("GET", TARGET)
    door.runs[0].answers(status, (), b"nonsense")
    answer = client.answer()
    assert (answer.status, answer.header("Transfer-Encoding")) == (status, None)


def test_a_reply_streams(door: FrontDoor) -> None:
    """Each piece is written when it comes."""
    client, _, reply = streaming(door, (b"Content-Length", b"6"))
    reply.says(b"one")
    assert client.received.endswith(b"\r\n\r\none")
    reply.says(b"two")
    reply.ends()
    assert client.answer().body == b"onetwo"


def test_the_head_does_not_wait_for_the_body(door: FrontDoor) -> None:
    """A caller sees that it was heard before the function has anything to say."""
    client, _, reply = streaming(door, (b"Content-Type", b"text/event-stream"))
    assert b"text/event-stream" in client.received
    reply.ends()
    assert client.answer().body == b""


def test_a_reply_of_unknown_length_comes_in_chunks(door: FrontDoor) -> None:
    """To HTTP/1.1; the connection stays."""
    client, _, reply = streaming(door)
    reply.says(b"one")
    reply.says(b"two")
    reply.ends()
    answer = client.answer()
    assert (answer.header("Transfer-Encoding"), answer.body) == (b"chunked", b"onetwo")
    assert not client.closed


def test_an_old_client_gets_no_chunks(door: FrontDoor) -> None:
    """The end of the connection is the end of the reply to HTTP/1.0."""
    client = door.client()
    client.send(b"GET /function/f HTTP/1.0\r\n\r\n")
    door.runs[0].answers(200, (), b"all")
    assert client.received.endswith(b"\r\n\r\nall")
    assert client.closed


def test_a_slow_client_pauses_the_function(door: FrontDoor) -> None:
    """And lets it go on once it has read."""
    client, _, reply = streaming(door)
    reply.says(b"much")
    client.wire.producer.pauseProducing()
    assert reply.heard == ["pause"]
    client.wire.producer.resumeProducing()
    assert reply.heard == ["pause", "resume"]
    reply.ends()
    assert client.answer().body == b"much"


@pytest.mark.parametrize("headers", [(), ((b"Content-Length", b"100"),)])
@pytest.mark.parametrize("said", [b"", b"only this"])
def test_a_reply_that_breaks_off(
    door: FrontDoor, headers: tuple[tuple[bytes, bytes], ...], said: bytes
) -> None:
    """The connection is cut, and nothing makes the pieces look like the whole."""
    client, _, reply = streaming(door, *headers)
    if said:
        reply.says(said)
    reply.breaks(InvocationBroken("the process died"))
    assert client.closed
    with pytest.raises(AssertionError):
        client.answers()
    assert said in client.received
    assert door.free == 2


def test_a_reply_that_fails_by_a_bug(door: FrontDoor, failures: Failures) -> None:
    """The connection is cut, and the function is let go of: nobody reads what it says."""
    client, _, reply = streaming(door)
    reply.says(b"only this")
    bug = RuntimeError("a bug")
    reply.breaks(bug)
    assert client.closed
    assert reply.heard == ["abort"]
    assert door.free == 2
    assert failures.take() == [bug]


def test_a_bug_before_the_function_is_asked(
    door: FrontDoor, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told in the words of its own method, and can go on."""
    bug = RuntimeError("a bug")

    def broken(*_: object) -> None:
        raise bug

    with monkeypatch.context() as broken_proxy:
        broken_proxy.setattr(Proxy, "pass_on", broken)
        client = door.ask("HEAD", TARGET)
        assert client.answer(bodiless=True).status == 500
    client.send(request("HEAD", TARGET))
    door.runs[0].answers(204)
    assert [each.status for each in client.answers(bodiless=True)] == [500, 204]
    assert failures.take() == [bug]


def test_a_reply_that_breaks_off_under_a_slow_client(door: FrontDoor) -> None:
    """The connection waits for nobody to produce more: it would not close."""
    client, _, reply = streaming(door)
    client.wire.producer.pauseProducing()
    reply.breaks(InvocationBroken("the process died"))
    assert client.closed
    assert client.wire.producer is None


def test_nothing_is_served_behind_a_reply_that_broke_off(door: FrontDoor) -> None:
    """A request that had been sent already is never begun."""
    client, _, reply = streaming(door)
    client.send(request("POST", TARGET) + request("POST", "/async-function/f"))
    reply.breaks(InvocationTimedOut("too slow"))
    assert len(door.runs) == 1
    assert door.store.requests == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (NotHandedOver("nobody listens"), 502),
        (InvocationBroken("it died"), 502),
        (InvocationTimedOut("too slow"), 504),
    ],
)
def test_an_invocation_without_an_answer(door: FrontDoor, reason: Exception, status: int) -> None:
    """Its own status and reason; the token comes back, and the connection stays."""
    client = door.ask("POST", TARGET, "X-Call-Id: mine")
    door.clock.advance(1.5)
    door.runs[0].fails(reason)
    answer = client.answer()
    assert (answer.status, answer.body) == (status, f"{reason}\n".encode())
    assert answer.header("X-Call-Id") == b"mine"
    assert answer.header("X-Start-Time") == b"%d" % NOW_NS
    assert door.ended == [("f", "mine", status, 1.5)]
    assert (door.free, client.closed) == (2, False)


def test_all_tokens_are_taken(door: FrontDoor) -> None:
    """429 with when to try again, and the next caller is served when one comes back."""
    first, _ = (door.ask("POST", TARGET) for _ in range(2))
    answer = door.ask("POST", TARGET).answer()
    assert (answer.status, answer.header("Retry-After")) == (429, b"1")
    assert len(answer.header("X-Call-Id") or b"") == 36
    assert b"2 calls" in answer.body
    assert len(door.runs) == 2
    door.runs[0].answers()
    assert first.answer().status == 200
    door.ask("POST", TARGET)
    assert len(door.runs) == 3
    for run in door.runs[1:]:
        run.answers()


def test_a_daemon_that_stops_begins_no_call(door: FrontDoor) -> None:
    """Its tokens are taken, though not by calls: 503."""
    Deferred.fromCoroutine(door.deployments["f"].when_idle())
    answer = door.ask("POST", TARGET).answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert answer.body.startswith(b"the daemon is stopping")
    assert door.runs == []
    for _ in range(door.deployments["f"].tokens.limit):
        door.deployments["f"].release()


def test_a_token_is_held_until_the_last_byte(door: FrontDoor) -> None:
    """Not only until the reply begins."""
    _, _, reply = streaming(door)
    assert door.free == 1
    reply.ends()
    assert door.free == 2


def test_whoever_waits_for_a_token_is_told(door: FrontDoor) -> None:
    """A worker's next delivery may follow a caller's reply."""
    told: list[int] = []
    door.deployments["f"].when_freed = lambda: told.append(door.free)
    door.ask("POST", TARGET)
    door.runs[0].answers()
    assert told == [2]


def test_a_caller_leaves_before_the_reply(door: FrontDoor) -> None:
    """The invocation is cancelled, the token comes back, and the call counts as 499."""
    client = door.ask("POST", TARGET, "X-Call-Id: mine")
    client.leaves()
    assert door.runs[0].cancelled
    assert door.free == 2
    assert door.ended == [("f", "mine", 499, 0.0)]


def test_a_caller_leaves_in_the_middle_of_the_reply(door: FrontDoor) -> None:
    """The function is let go of once, the token comes back, and the log stays calm."""
    client, _, reply = streaming(door)
    reply.says(b"one")
    client.leaves()
    assert reply.heard == ["abort"]
    assert door.free == 2


def test_a_caller_leaves_while_it_is_slow(door: FrontDoor) -> None:
    """As in the middle of any reply."""
    client, _, reply = streaming(door)
    reply.says(b"one")
    client.wire.producer.pauseProducing()
    client.leaves()
    assert reply.heard == ["pause", "abort"]
    assert door.free == 2


def test_a_body_too_large_for_a_function_is_refused_before_a_token_is_taken(
    door: FrontDoor,
) -> None:
    """413, even while all its tokens are taken."""
    clients = [door.ask("POST", TARGET) for _ in range(2)]
    assert door.ask("POST", TARGET, body=b"x" * 1001).answer().status == 413
    for run in door.runs:
        run.answers()
    assert [client.answer().status for client in clients] == [200, 200]


@pytest.mark.parametrize(
    ("said", "shown"),
    [("X-Call-Id: mine", b"mine"), ("X-Call-Id: " + "i" * 129, None), ("A: b", None)],
)
def test_a_body_too_large_names_the_call(door: FrontDoor, said: str, shown: bytes | None) -> None:
    """By the id that its caller chose; the daemon has drawn none yet."""
    answer = door.ask("POST", TARGET, said, body=b"x" * 1001).answer()
    assert (answer.status, answer.header("X-Call-Id")) == (413, shown)
