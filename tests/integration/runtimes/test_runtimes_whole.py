"""Answers that are wanted whole: what one runtime does by itself is what is done for any other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from raw_peer import MIB, NEVER, OK, ClockedReactor, Listener, Upstream, call, make
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from faasd_async.errors import InvocationBroken, InvocationTimedOut, NotHandedOver, QueueError
from faasd_async.runtime.collect import gather_whole, invoker_of
from faasd_async.runtime.interface import Answer, Invocation
from faasd_async.runtime.spill import Intake, Source

LIMIT = 1000

Stop = Callable[[], None]


class Ways:
    """How an answer is had whole.

    :ivar told: all that was told of it.
    :ivar most_bytes: how large its body may be.
    """

    def __init__(self, by_itself: bool) -> None:
        self._by_itself = by_itself
        self.told: list[Answer | Exception] = []
        self.most_bytes = LIMIT

    def invoke(
        self, upstream: Upstream, invocation: Invocation, timeout_seconds: float = NEVER
    ) -> tuple[Deferred[Answer | Exception], Stop]:
        """:return: fires with what is told first; and what stops the function."""
        when_told: Deferred[Answer | Exception] = Deferred()

        def tell(whole: Answer | Exception) -> None:
            self.told.append(whole)
            if len(self.told) == 1:
                when_told.callback(whole)

        if self._by_itself:
            return when_told, invoker_of(upstream)(
                invocation, timeout_seconds, self.most_bytes, tell
            )
        replying = upstream.invoke(invocation, timeout_seconds)
        return when_told, gather_whole(replying, self.most_bytes, tell, invocation.spill)


@pytest.fixture(params=["by itself", "for any runtime"])
def ways(request: pytest.FixtureRequest) -> Ways:
    return Ways(request.param == "by itself")


def refused(told: Answer | Exception, kind: type[Exception], words: str) -> None:
    """It is that, and says so."""
    assert type(told) is kind
    assert words in str(told)


@pytest_twisted.ensureDeferred
async def test_answer(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """Status, fields end to end, and the body, however it comes; the connection serves another."""
    for _ in range(2):
        when_told, _ = ways.invoke(upstream, call(b"body"))
        request = await listener.when_request()
        assert (request.body, request.lines[0]) == (b"body", b"POST / HTTP/1.1")
        request.answer(
            b"HTTP/1.1 201 Created\r\nA: 1\r\nConnection: B\r\nB: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nin\r\n"
        )
        request.answer(b"7\r\n pieces\r\n0\r\n\r\n")
        told = await when_told
        assert told == Answer(201, [(b"A", b"1")], b"in pieces")
        ways.told.clear()
    assert len(listener.peers) == 1


@pytest_twisted.ensureDeferred
async def test_answer_of_the_largest_size(
    upstream: Upstream, listener: Listener, ways: Ways
) -> None:
    """Its fields do not count; one byte more is too many, and the function is let go of."""
    for size in (LIMIT, LIMIT + 1):
        ways.told.clear()
        when_told, _ = ways.invoke(upstream, call())
        request = await listener.when_request()
        request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        told = await when_told
        if size == LIMIT:
            assert isinstance(told, Answer)
            assert len(told.body) == size
        else:
            refused(told, InvocationBroken, f"is over the {LIMIT} bytes that can be taken")
            await request.peer.when_lost
    assert len(ways.told) == 1


class FullStore:
    """Takes nothing; what may be gathered is a little more than what always is."""

    gathered_bytes = 300_000

    def begin(self, source: Source) -> Intake:
        raise QueueError("there is no room")


@pytest_twisted.ensureDeferred
async def test_answer_that_is_gathered_with_its_fields(
    upstream: Upstream, listener: Listener, ways: Ways
) -> None:
    """What they take of a message the body cannot have: where both would not fit into one, the body
    goes elsewhere."""
    ways.most_bytes = 2 * FullStore.gathered_bytes
    room = FullStore.gathered_bytes - len(b"Content-Length300000")
    for size in (room, room + 1):
        ways.told.clear()
        when_told, _ = ways.invoke(upstream, replace(call(), spill=FullStore()))
        request = await listener.when_request()
        request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        told = await when_told
        if size == room:
            assert isinstance(told, Answer)
            assert len(told.body) == size
        else:
            refused(told, InvocationBroken, "the answer cannot be stored: there is no room")


@pytest_twisted.ensureDeferred
async def test_answer_without_end(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """It is not read any further than it may be long."""
    when_told, _ = ways.invoke(upstream, call())
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MIB))
    refused(await when_told, InvocationBroken, "bytes that can be taken")
    await request.peer.when_lost


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (b"", "figlet broke off before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "figlet broke off its answer"),
    ],
    ids=["head", "body"],
)
@pytest_twisted.ensureDeferred
async def test_hang_up(
    upstream: Upstream, listener: Listener, ways: Ways, part: bytes, why: str
) -> None:
    """What there was of the answer is none."""
    when_told, _ = ways.invoke(upstream, call())
    request = await listener.when_request()
    request.answer(part)
    request.peer.transport.loseConnection()
    refused(await when_told, InvocationBroken, why)


@pytest_twisted.ensureDeferred
async def test_nobody_listens(reactor: Any, ways: Ways) -> None:
    """The call was not handed over."""
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    number = port.getHost().port
    await port.stopListening()
    upstream = make(reactor, f"http://127.0.0.1:{number}")
    when_told, _ = ways.invoke(upstream, call())
    refused(await when_told, NotHandedOver, f"figlet was not reached at 127.0.0.1:{number}: ")


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n\r\npart"], ids=["head", "body"])
@pytest_twisted.ensureDeferred
async def test_slow_answer(
    clocked: ClockedReactor, listener: Listener, ways: Ways, part: bytes
) -> None:
    """A function that passes its limit is let go of."""
    upstream = make(clocked, f"http://127.0.0.1:{listener.port}")
    when_told, _ = ways.invoke(upstream, call(), 2.0)
    request = await listener.when_request()
    request.answer(part)
    clocked.clock.advance(2.0)
    refused(await when_told, InvocationTimedOut, "figlet did not answer within 2 s")
    await request.peer.when_lost
    assert not clocked.clock.getDelayedCalls()
    assert len(ways.told) == 1


@pytest.mark.parametrize("by", ["limit", "end of the runtime"])
@pytest_twisted.ensureDeferred
async def test_no_connection_in_time(clocked: ClockedReactor, ways: Ways, by: str) -> None:
    """A function that has seen nothing has not been handed the call."""
    upstream = make(clocked, "http://192.0.2.1", endpoint=Nowhere())
    when_told, _ = ways.invoke(upstream, call(), 2.0)
    if by == "limit":
        clocked.clock.advance(2.0)
    else:
        await upstream.stop()
    refused(await when_told, NotHandedOver, "given up before there was a connection")
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_end_of_the_runtime(upstream: Upstream, listener: Listener, ways: Ways) -> None:
    """What is under way is cut off; nothing begins any more."""
    when_told, _ = ways.invoke(upstream, call())
    request = await listener.when_request()
    await upstream.stop()
    refused(await when_told, InvocationBroken, "figlet was cut off: the daemon lets go of it")
    await request.peer.when_lost
    ways.told.clear()
    when_told, stop = ways.invoke(upstream, call())
    refused(await when_told, NotHandedOver, "figlet is stopped")
    stop()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\n\r\npart"], ids=["head", "body"])
@pytest_twisted.ensureDeferred
async def test_caller_that_gives_up(
    clocked: ClockedReactor, listener: Listener, ways: Ways, part: bytes
) -> None:
    """The function is let go of, and nothing is told."""
    upstream = make(clocked, f"http://127.0.0.1:{listener.port}")
    _, stop = ways.invoke(upstream, call())
    request = await listener.when_request()
    request.answer(part)
    stop()
    await request.peer.when_lost
    assert ways.told == []
    assert not clocked.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_caller_that_gives_up_too_late(
    upstream: Upstream, listener: Listener, ways: Ways
) -> None:
    """The connection serves another call."""
    when_told, stop = ways.invoke(upstream, call())
    (await listener.when_request()).answer(OK)
    await when_told
    stop()
    ways.told.clear()
    when_told, _ = ways.invoke(upstream, call())
    (await listener.when_request()).answer(OK)
    await when_told
    assert len(listener.peers) == 1


@pytest_twisted.ensureDeferred
async def test_call_that_is_no_message(upstream: Upstream, ways: Ways) -> None:
    """It would break out of its line, and is never sent."""
    when_told, _ = ways.invoke(upstream, call(target=b"/ x"))
    refused(await when_told, InvocationBroken, "space in its target")


@implementer(IStreamClientEndpoint)
class Nowhere:
    """Where no connection is ever made."""

    def connect(self, factory: Factory) -> Deferred[Protocol]:
        return Deferred()
