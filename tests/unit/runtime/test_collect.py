"""Bodies taken into memory."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from faasd_async.errors import InvocationBroken
from faasd_async.runtime.collect import gather
from faasd_async.runtime.reply import FlowingReply


class Source:
    aborted = False

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def reply(source: Source) -> FlowingReply:
    return FlowingReply(200, (), source)


def failure_of(gathered: Deferred[bytes]) -> Failure:
    failures: list[Failure] = []
    gathered.addErrback(failures.append)
    [failure] = failures
    return failure


def test_whole(reply: FlowingReply) -> None:
    """A body up to the limit comes in one piece."""
    bodies: list[bytes] = []
    gather(reply, 6).addCallback(bodies.append)
    reply.feed(b"one")
    reply.feed(b"two")
    assert not bodies
    reply.finish()
    assert bodies == [b"onetwo"]


@pytest.mark.parametrize("early", [True, False])
def test_too_long(source: Source, reply: FlowingReply, early: bool) -> None:
    """A body over the limit aborts the function, be it held already or yet to come."""
    if early:
        reply.feed(b"1234567")
    gathered = gather(reply, 6)
    if not early:
        reply.feed(b"1234567")
    failure = failure_of(gathered)
    assert failure.check(InvocationBroken)
    assert str(failure.value) == "the reply's body is over the 6 bytes that can be taken"
    assert source.aborted


def test_broken(reply: FlowingReply) -> None:
    """A body that breaks off is no body."""
    gathered = gather(reply, 6)
    reply.feed(b"one")
    reply.finish(Failure(InvocationBroken("it broke")))
    assert str(failure_of(gathered).value) == "it broke"


def test_cancelling(source: Source, reply: FlowingReply) -> None:
    """Who gives up aborts the function."""
    gathered = gather(reply, 6)
    gathered.cancel()
    assert failure_of(gathered).check(CancelledError)
    assert source.aborted
