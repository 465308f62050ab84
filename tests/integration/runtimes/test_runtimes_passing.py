"""Answers that are passed on as they come: what one runtime does by itself is what is done for any
other."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from raw_peer import MIB, NEVER, OK, ClockedReactor, Listener, Request, Upstream, call, make
from twisted.internet.defer import Deferred

from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken, InvocationTimedOut, NotHandedOver
from faasd_async.runtime.interface import Invocation, Passing
from faasd_async.runtime.passing import pass_reply, passer_of


class Taker:
    """Takes an answer.

    :ivar heard: all that was told, pieces of the body in one.
    :ivar over: fires when that is its end, or why there is none.
    """

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.body = b""
        self.over: Deferred[object] = Deferred()
        self._when: tuple[int, Deferred[None]] | None = None

    def replied(self, status: int, headers: Headers) -> None:
        self.heard.append((status, list(headers)))

    def received(self, piece: bytes) -> None:
        self.body += piece

    def flush(self) -> None:
        if self._when is not None and len(self.body) >= self._when[0]:
            when, self._when = self._when[1], None
            when.callback(None)

    def ended(self) -> None:
        self.heard.append("ended")
        self.over.callback(None)

    def failed(self, reason: Exception) -> None:
        self.heard.append(type(reason))
        self.over.callback(reason)

    def when_flushed(self, size_bytes: int) -> Deferred[None]:
        """Fires when so much of the body is there, and was said to be all there is."""
        when: Deferred[None] = Deferred()
        self._when = size_bytes, when
        return when


class Ways:
    """How an answer is passed on."""

    def __init__(self, by_itself: bool) -> None:
        self.by_itself = by_itself

    def invoke(
        self, upstream: Upstream, invocation: Invocation, timeout_seconds: float = NEVER
    ) -> tuple[Taker, Passing]:
        taker = Taker()
        if self.by_itself:
            return taker, passer_of(upstream)(invocation, timeout_seconds, taker)
        return taker, pass_reply(upstream.invoke(invocation, timeout_seconds), taker)


@pytest.fixture(params=["by itself", "for any runtime"])
def ways(request: pytest.FixtureRequest) -> Ways:
    return Ways(request.param == "by itself")


async def answered(
    begun: tuple[Taker, Passing], listener: Listener, part: bytes
) -> tuple[Taker, Passing, Request]:
    """The call under way, once *part* of an answer, or its request alone, has come across."""
    taker, passing = begun
    request = await listener.when_request()
    if part:
        some = taker.when_flushed(4)
        request.answer(part)
        await some
    return taker, passing, request


@pytest_twisted.ensureDeferred
async def test_answer_as_it_comes(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """Status, fields end to end, each piece when it is there; the connection serves another."""
    for _ in range(2):
        taker, _ = ways.invoke(upstream, call(b"body"))
        request = await listener.when_request()
        assert (request.body, request.lines[0]) == (b"body", b"POST / HTTP/1.1")
        some = taker.when_flushed(2)
        request.answer(
            b"HTTP/1.1 201 Created\r\nA: 1\r\nConnection: B\r\nB: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nin\r\n"
        )
        await some
        assert (taker.heard, taker.body) == ([(201, [(b"A", b"1")])], b"in")
        request.answer(b"7\r\n pieces\r\n0\r\n\r\n")
        await taker.over
        assert (taker.heard[1:], taker.body) == (["ended"], b"in pieces")
    assert len(listener.peers) == 1


@pytest_twisted.ensureDeferred
async def test_slow_receiver(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """The function is not read on from, and then it is: nothing is lost."""
    size = 16 * MIB
    taker, passing = ways.invoke(upstream, call())
    request = await listener.when_request()
    head = taker.when_flushed(0)
    request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await head
    passing.pause()
    for at in range(0, size, MIB):
        request.answer(bytes([at // MIB]) * MIB)
    # Another call goes there and back meanwhile: what could have come has come.
    other, _ = ways.invoke(upstream, call())
    (await listener.when_request()).answer(OK)
    await other.over
    assert len(taker.body) < size
    passing.resume()
    await taker.over
    assert taker.body == b"".join(bytes([n]) * MIB for n in range(16))


@pytest.mark.parametrize(
    ("part", "why", "told"),
    [
        (b"", "figlet broke off before it answered", 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "figlet broke off its answer", 2),
    ],
    ids=["head", "body"],
)
@pytest_twisted.ensureDeferred
async def test_hang_up(
    upstream: Upstream, listener: Listener, ways: Ways, part: bytes, why: str, told: int
) -> None:
    """What there was of the answer is passed on, and that it is not the whole."""
    taker, _ = ways.invoke(upstream, call())
    request = await listener.when_request()
    request.answer(part)
    request.peer.transport.loseConnection()
    assert why in str(await taker.over)
    assert (len(taker.heard), taker.heard[-1]) == (told, InvocationBroken)


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n\r\npart"], ids=["head", "body"])
@pytest_twisted.ensureDeferred
async def test_slow_answer(
    clocked: ClockedReactor, listener: Listener, ways: Ways, part: bytes
) -> None:
    """A function that passes its limit is let go of."""
    begun = ways.invoke(make(clocked, f"http://127.0.0.1:{listener.port}"), call(), 2.0)
    taker, _, request = await answered(begun, listener, part)
    clocked.clock.advance(2.0)
    assert "figlet did not answer within 2 s" in str(await taker.over)
    assert taker.heard[-1] is InvocationTimedOut
    await request.peer.when_lost
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_end_of_the_runtime(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """What is under way is cut off; nothing begins any more."""
    taker, _ = ways.invoke(upstream, call())
    request = await listener.when_request()
    await upstream.stop()
    assert "figlet was cut off: the daemon lets go of it" in str(await taker.over)
    await request.peer.when_lost
    taker, passing = ways.invoke(upstream, call())
    assert (str(await taker.over), taker.heard) == ("figlet is stopped", [NotHandedOver])
    passing.stop()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n\r\npart"], ids=["head", "body"])
@pytest_twisted.ensureDeferred
async def test_receiver_that_leaves(
    clocked: ClockedReactor, listener: Listener, ways: Ways, part: bytes
) -> None:
    """The function is let go of, and nothing more is told."""
    begun = ways.invoke(make(clocked, f"http://127.0.0.1:{listener.port}"), call())
    taker, passing, request = await answered(begun, listener, part)
    passing.stop()
    await request.peer.when_lost
    assert len(taker.heard) == bool(part)
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_nobody_listens_and_no_message(reactor: Any, ways: Ways) -> None:
    """A call that is not handed over, and one that would break out of its line."""
    upstream = make(reactor, "http://127.0.0.1:1")
    taker, _ = ways.invoke(upstream, call())
    assert isinstance(await taker.over, NotHandedOver)
    taker, _ = ways.invoke(upstream, call(target=b"/ x"))
    assert "space in its target" in str(await taker.over)
