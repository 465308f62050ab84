"""A reply's body between its source and its receiver."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from faasd_async.errors import InvocationBroken
from faasd_async.runtime.reply import FlowingReply


class Source:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def abort(self) -> None:
        self.told.append("abort")


class Receiver:
    """Takes a body."""

    def __init__(self, reply: FlowingReply) -> None:
        self.pieces: list[bytes] = []
        self.then: Callable[[], object] = lambda: None
        self.ends: list[object] = []
        self._reply = reply

    def take(self) -> Deferred[None]:
        delivered = self._reply.deliver_to(self.write)
        delivered.addBoth(self.ends.append)
        return delivered

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.then()

    def failed_with(self, kind: type[Exception]) -> bool:
        [end] = self.ends
        return isinstance(end, Failure) and end.check(kind) is not None


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def reply(source: Source) -> FlowingReply:
    return FlowingReply(200, ((b"A", b"b"),), source)


@pytest.fixture
def receiver(reply: FlowingReply) -> Receiver:
    return Receiver(reply)


def test_head(reply: FlowingReply) -> None:
    """The head is as it was made."""
    assert (reply.status, reply.headers) == (200, ((b"A", b"b"),))


def test_pieces_pass_through(reply: FlowingReply, receiver: Receiver) -> None:
    """Once somebody takes the body, pieces are passed on as they come, and so is their end."""
    receiver.take()
    reply.feed(b"one")
    assert receiver.pieces == [b"one"]
    reply.feed(b"two")
    assert not receiver.ends
    reply.finish()
    assert (receiver.pieces, receiver.ends) == ([b"one", b"two"], [None])


def test_held_until_taken(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """What comes before anybody takes it is held and the source stopped."""
    reply.feed(b"early")
    assert source.told == ["pause"]
    receiver.take()
    assert receiver.pieces == [b"early"]
    assert source.told == ["pause", "resume"]


def test_whole_before_taken(reply: FlowingReply, receiver: Receiver) -> None:
    """A body that is whole already is delivered whole, later."""
    reply.feed(b"early")
    reply.finish()
    receiver.take()
    assert (receiver.pieces, receiver.ends) == ([b"early"], [None])


def test_what_came_along_with_the_head(source: Source, receiver: Receiver) -> None:
    """It is delivered first, and the source is not paused for it."""
    reply = FlowingReply(200, [], source, [b"a", b"b"])
    reply.deliver_to(receiver.write)
    reply.feed(b"c")
    reply.finish()
    assert receiver.pieces == [b"a", b"b", b"c"]
    assert "pause" not in source.told


def test_failure_after_the_pieces(reply: FlowingReply, receiver: Receiver) -> None:
    """A body that broke is delivered as far as it came."""
    reply.feed(b"part")
    reply.finish(Failure(InvocationBroken("it broke")))
    receiver.take()
    assert receiver.pieces == [b"part"]
    assert receiver.failed_with(InvocationBroken)


def test_pause(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """While paused nothing is written, the end is not told, and the source is stopped anew
    whenever it sends something all the same."""
    receiver.take()
    source.told.clear()
    reply.pause()
    reply.feed(b"late")
    reply.finish()
    assert (receiver.pieces, receiver.ends) == ([], [])
    assert source.told == ["pause", "pause"]
    reply.resume()
    assert (receiver.pieces, receiver.ends) == ([b"late"], [None])


def test_resume_lets_the_source_go_on(
    source: Source, reply: FlowingReply, receiver: Receiver
) -> None:
    """What was held goes first, then the source is asked for more."""
    receiver.take()
    reply.pause()
    reply.feed(b"held")
    source.told.clear()
    receiver.then = lambda: source.told.append("write")
    reply.resume()
    assert source.told == ["write", "resume"]


def test_pause_from_within_a_write(reply: FlowingReply, receiver: Receiver) -> None:
    """A receiver may pause with the very piece it takes; the next ones wait, in order."""
    receiver.then = reply.pause
    reply.feed(b"one")
    reply.feed(b"two")
    reply.finish()
    receiver.take()
    assert receiver.pieces == [b"one"]
    reply.resume()
    assert (receiver.pieces, receiver.ends) == ([b"one", b"two"], [])
    reply.resume()
    assert receiver.ends == [None]


def test_paused_before_taken(reply: FlowingReply, receiver: Receiver) -> None:
    """A pause counts also before anybody takes the body."""
    reply.pause()
    reply.feed(b"one")
    receiver.take()
    assert receiver.pieces == []
    reply.resume()
    assert receiver.pieces == [b"one"]


def test_abort(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """Aborting lets go of the source, once; what it still sends goes nowhere."""
    receiver.take()
    reply.abort()
    reply.abort()
    reply.feed(b"late")
    reply.finish()
    assert source.told == ["resume", "abort"]
    assert receiver.pieces == []
    assert receiver.failed_with(CancelledError)


def test_abort_before_taken(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """Who takes an aborted body is told so."""
    reply.abort()
    receiver.take()
    assert source.told == ["abort"]
    assert receiver.failed_with(CancelledError)


def test_abort_after_the_source_finished(
    source: Source, reply: FlowingReply, receiver: Receiver
) -> None:
    """A source that has finished may serve somebody else: it is left alone."""
    reply.finish()
    reply.abort()
    assert source.told == []
    receiver.take()
    assert receiver.failed_with(CancelledError)


def test_abort_after_the_end(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """Aborting what has been delivered changes nothing."""
    receiver.take()
    reply.finish()
    reply.abort()
    assert source.told == ["resume"]
    assert receiver.ends == [None]


def test_cancelling_aborts(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """Cancelling the delivery is another way to abort."""
    receiver.take().cancel()
    assert source.told == ["resume", "abort"]
    assert receiver.failed_with(CancelledError)


def test_writer_that_fails(source: Source, reply: FlowingReply, receiver: Receiver) -> None:
    """A receiver's own error ends the delivery with it, and lets go of the source."""

    def fail() -> None:
        raise ZeroDivisionError

    receiver.then = fail
    receiver.take()
    reply.feed(b"one")
    reply.feed(b"two")
    assert receiver.pieces == [b"one"]
    assert source.told == ["resume", "abort"]
    assert receiver.failed_with(ZeroDivisionError)


def test_delivered_once(reply: FlowingReply, receiver: Receiver) -> None:
    """A second receiver is a mistake of the program's."""
    receiver.take()
    with pytest.raises(RuntimeError):
        reply.deliver_to(lambda _: None)
