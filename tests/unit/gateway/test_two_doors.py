"""The short cut and the routes: nobody can tell which of the two a request took."""

from __future__ import annotations

import re

import pytest
from front_door import FrontDoor, Run, request
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import (
    InvocationBroken,
    InvocationTimedOut,
    MaybeStored,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.gateway.channel import GatewayChannel
from faasd_async.gateway.regular import MAX_KNOWN_BYTES, Recogniser, Regular, Unfinished

#: What differs from one run to the next.
DRAWN = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DATE = re.compile(rb"Date: [^\r]+\r\n")

TARGETS = st.sampled_from(
    [
        *("/async-function/f", "/async-function/f/a%2Fb//c?x=%ff", "/async-function/f.openfaas-fn"),
        *(
            "/async-function/nobody",
            "/async-function/",
            "/async-function/f#x",
            "/async-function//f",
        ),
        *(
            "/function/f",
            "/function/f/x?y",
            "/function/nobody",
            "/healthz",
            "http://h/async-function/f/x",
            "/async-function/f/\x80",
        ),
    ]
)
FIELDS = st.sampled_from(
    [
        *("X-A: 1", "x-a:2", "X-A:", "X-A: \t b \t ", "X-B: caf\xe9", "Host: h", "Cookie: a=b"),
        *("X-Call-Id: mine", "X-Call-Id: not mine", "X-Start-Time: 7", "Connection: keep-alive"),
        *("Connection: close", "Connection: X-A", "connection: Keep-Alive", "Upgrade: websocket"),
        *("X-Callback-Url: http://caller.test/", "X-Callback-Url: no", "Idempotency-Key: k"),
        *("Content-Length: 3", "Content-Length : 3", "Transfer-Encoding: chunked", "TE: trailers"),
        *(
            " folded",
            "\tfolded",
            "X-C: a\rb",
            "X-C: a\nb",
            "X-C: a\x00b",
            ": v",
            "no colon",
            "X D: 1",
        ),
    ]
)
BODIES = st.sampled_from([b"", b"x", b"abc", b"x" * 1000, b"x" * 1001, b"POST / HTTP/1.1\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """What may be a request, and often is a regular one."""
    method = draw(st.sampled_from(["POST"] * 6 + ["GET", "post", "PUT", "HEAD", "DELETE"]))
    fields = draw(st.lists(FIELDS, max_size=3))
    return request(method, draw(TARGETS), *fields, body=draw(BODIES))


def masked(received: bytes) -> bytes:
    return DATE.sub(b"", DRAWN.sub(b"<id>", received))


def unnamed(stored: QueueRequest) -> QueueRequest:
    """A stored call without what was drawn for it."""
    headers = [(name, DRAWN.sub(b"<id>", value)) for name, value in stored.headers]
    return replace(stored, key=CallKey("", ""), digest="", headers=headers)


REPLIES = st.tuples(
    st.sampled_from([200, 201, 204, 304, 404, 500]),
    st.lists(
        st.sampled_from(
            [
                *((b"Content-Type", b"text/x"), (b"content-length", b"3"), (b"X-A", b"1")),
                *((b"X-A", b"2"), (b"Date", b"then"), (b"Server", b"s"), (b"Set-Cookie", b"c=d")),
                *((b"X-Call-Id", b"not ours"), (b"X-Served-By", b"somebody")),
            ]
        ),
        max_size=4,
    ),
    st.sampled_from([(), (b"abc",), (b"a", b"", b"bc"), (b"x" * 3000,)]),
    st.sampled_from(["ends", "ends", "ends", "breaks", "fails"]),
)
Reply = tuple[int, list[tuple[bytes, bytes]], tuple[bytes, ...], str]


def replies(run: Run, reply: Reply) -> None:
    """Have a function reply."""
    status, headers, pieces, end = reply
    if end == "fails":
        run.fails(InvocationTimedOut("too slow"))
        return
    said = run.answers(status, headers, None)
    for piece in pieces:
        said.says(piece)
    if end == "ends":
        said.ends()
    else:
        said.breaks(InvocationBroken("gone"))


def outcome(
    pieces: list[bytes], shortcut: bool, reply: Reply = (200, [], (b"abc",), "ends")
) -> tuple[bytes, bool, list[QueueRequest]]:
    """What a client that sends *pieces* is told, whether it is let go, and what was stored."""
    door = FrontDoor(bytewise=False, shortcut=shortcut)
    client = door.client()
    answered = 0
    for piece in pieces:
        client.send(piece)
        while answered < len(door.runs):
            replies(door.runs[answered], reply)
            answered += 1
    door.clock.advance(0)
    told = masked(client.received), client.closed, [unnamed(each) for each in door.store.requests]
    client.leaves()
    return told


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(
    st.lists(requests(), min_size=1, max_size=3),
    st.lists(st.integers(0, 2000), max_size=4),
    REPLIES,
)
def test_both_doors_say_the_same(sent: list[bytes], cuts: list[int], reply: Reply) -> None:
    """Whatever is sent, however it is cut up: the same answers, the same end, the same calls."""
    pieces = cut_up(b"".join(sent), cuts)
    assert outcome(pieces, True, reply) == outcome(pieces, False, reply)


def turned(data: bytes) -> bytes:
    """The same head with another body, of the same length."""
    head, blank, body = data.partition(b"\r\n\r\n")
    return head + blank + body[::-1].swapcase()


@given(
    st.lists(requests(), min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=2, max_size=5),
    st.lists(st.integers(0, 2000), max_size=3),
    REPLIES,
)
def test_both_doors_are_alike_about_what_comes_again(
    kinds: list[bytes], order: list[tuple[int, bool]], cuts: list[int], reply: Reply
) -> None:
    """A head may be remembered: nobody notices, whatever comes between, and with whatever body."""
    sent = [kinds[which % len(kinds)] for which, _ in order]
    whole = [turned(each) if turn else each for each, (_, turn) in zip(sent, order, strict=True)]
    pieces = cut_up(b"".join(whole), cuts) if cuts else whole
    assert outcome(pieces, True, reply) == outcome(pieces, False, reply)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_both_doors_are_alike_about_garbage(garbage: bytes, place: int) -> None:
    """Bytes put anywhere into a regular request."""
    regular = request("POST", "/async-function/f/x", "X-A: 1", body=b"abc")
    data = regular[:place] + garbage + regular[place:]
    assert outcome([data], shortcut=True) == outcome([data], shortcut=False)


CHUNKED = b"POST /async-function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = st.sampled_from(
    [
        *(b"3\r\nabc\r\n", b"1;e=1\r\nx\r\n", b"A\r\n0123456789\r\n", b"0a\r\n0123456789\r\n"),
        *(b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n", b"3\nabc\n", b"3\r\nabcd\r\n", b"G\r\n"),
        *(b"-1\r\n", b"0x3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3 \r\nabc\r\n", b"f" * 20 + b"\r\n"),
    ]
)


@given(
    st.lists(CHUNKS | st.binary(max_size=6), max_size=6), st.lists(st.integers(0, 200), max_size=3)
)
def test_both_doors_are_alike_about_chunks(chunks: list[bytes], cuts: list[int]) -> None:
    """Whole, broken or of no sense at all, however they are cut up."""
    pieces = cut_up(CHUNKED + b"".join(chunks), cuts)
    assert outcome(pieces, shortcut=True) == outcome(pieces, shortcut=False)


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=8),
    st.lists(st.integers(0, 600), max_size=4),
)
def test_chunks_are_put_together(chunks: list[bytes], cuts: list[int]) -> None:
    """The body is what is in them, and nothing of what is around it."""
    written = b"".join(b"%x;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    _, _, [stored] = outcome(cut_up(CHUNKED + written + b"0\r\nX-T: 1\r\n\r\n", cuts), True)
    assert stored.body == b"".join(chunks)


def test_what_comes_again_is_another_call() -> None:
    """Of the same head: an id and a time of its own, its own body, and all fields."""
    door = FrontDoor(bytewise=False)
    sent = [
        request("POST", "/async-function/f/x?y", "X-A: 1", "Host: h", body=body)
        for body in (b"abc", b"xyz", b"longer", b"abc")
    ]
    client = door.client()
    for each in sent:
        client.send(each)
    stored = door.store.requests
    assert [call.body for call in stored] == [b"abc", b"xyz", b"longer", b"abc"]
    assert len({call.key for call in stored}) == 4
    for call in stored:
        assert dict(call.headers)[b"X-Call-Id"] == call.key.call_id.encode()
        assert call.key.call_id.encode() in client.received
        assert (call.target, dict(call.headers)[b"X-A"]) == (b"/x?y", b"1")
    client.leaves()


def test_what_comes_again_is_looked_at_again() -> None:
    """Whether there is such a function, and whether its body is not too large, may have changed."""
    door = FrontDoor(bytewise=False)
    again = request("POST", "/async-function/f", body=b"abc")
    client = door.client()
    client.send(again)
    deployment = door.deployments.pop("f")
    client.send(again)
    door.deployments["f"] = deployment
    door.store.largest_call_bytes = 2
    client.send(again)
    assert re.findall(rb"HTTP/1.1 (\d+)", client.received) == [b"202", b"404", b"413"]
    client.leaves()


def test_one_short_head_of_a_client_is_remembered() -> None:
    """The last one; a long one would take up too much, of all clients together."""
    recogniser = Recogniser()
    short, another = (request("POST", f"/async-function/{n}", body=b"abc") for n in "fg")
    long = request("POST", "/async-function/f", "X: " + "x" * MAX_KNOWN_BYTES, body=b"abc")
    first = recogniser.read(short)
    assert isinstance(first, Regular)
    assert recogniser.read(short + b"POST") is first
    assert recogniser.read(long) is not recogniser.read(long)
    assert recogniser.read(short) is first
    assert recogniser.read(another) is recogniser.read(another)
    assert recogniser.read(short) is not first


def test_the_beginning_of_what_is_remembered_is_unfinished() -> None:
    """As that of anything else."""
    recogniser = Recogniser()
    again = request("POST", "/async-function/f", body=b"abc")
    recogniser.read(again)
    assert isinstance(recogniser.read(again[:-1]), Unfinished)
    assert recogniser.read(again[:20]) is None


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What goes through the routes."""
    seen: list[bytes] = []
    data_received = GatewayChannel.dataReceived

    def received(self: GatewayChannel, data: bytes) -> None:
        seen.append(data)
        data_received(self, data)

    monkeypatch.setattr(GatewayChannel, "dataReceived", received)
    return seen


def test_a_regular_call_takes_the_short_cut(passed_on: list[bytes]) -> None:
    """Whole, in pieces, one behind the other, and after one that took the other way."""
    door = FrontDoor(bytewise=False)
    regular = request("POST", "/async-function/f/x", "X-A: 1", body=b"abc" * 100)
    client = door.client()
    client.send(regular + regular)
    client.send(regular[:200])
    client.send(regular[200:])
    assert passed_on == []
    odd = request("POST", "/async-function/f", "Expect: 100-continue", body=b"")
    client.send(odd)
    assert passed_on == [odd]
    client.send(regular)
    assert passed_on == [odd]
    assert len(door.store.requests) == 5
    client.leaves()


def test_one_call_of_a_client_is_under_way_at_a_time() -> None:
    """What it sends behind it waits, in its order; a client that goes on and on is paused."""
    door = FrontDoor(bytewise=False)
    door.store.at_once = False
    client = door.client()
    client.send(request("POST", "/async-function/f/1") + request("GET", "/healthz"))
    client.send(request("POST", "/async-function/f/2"))
    assert (client.received, len(door.store.requests)) == (b"", 1)
    client.send(b"POST /async-function/f/3 HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert client.wire.producerState == "paused"
    door.store.answers[0].callback(None)
    assert client.received.count(b"HTTP/1.1 ") == 2
    door.store.answers[1].callback(None)
    assert [call.target for call in door.store.requests] == [b"/1", b"/2"]
    assert re.findall(rb"HTTP/1.1 (\d+)", client.received) == [b"202", b"200", b"202", b"431"]
    assert client.closed or client.wire.half_closed
    client.leaves()


@pytest.mark.parametrize("reason", [QueueUnavailable("away"), QueueFull("full"), MaybeStored("?")])
def test_a_call_that_is_not_taken(reason: Exception) -> None:
    """The same refusal, field by field."""
    answers = []
    for shortcut in (True, False):
        door = FrontDoor(bytewise=False, shortcut=shortcut)
        door.store.refusal = reason
        client = door.ask("POST", "/async-function/f")
        answers.append(masked(client.received))
        client.leaves()
    assert answers[0] == answers[1]


def test_a_client_that_left_is_told_nothing() -> None:
    """Its call is stored all the same, and nothing is written to nobody."""
    door = FrontDoor(bytewise=False)
    door.store.at_once = False
    client = door.ask("POST", "/async-function/f")
    client.leaves()
    door.store.answers[0].callback(None)
    assert (client.received, len(door.accepted)) == (b"", 1)
