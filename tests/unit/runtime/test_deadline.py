"""Invocations under their limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from faasd_async.errors import (
    InvocationBroken,
    InvocationError,
    InvocationTimedOut,
    NotHandedOver,
)
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Reply
from faasd_async.runtime.reply import FlowingReply


class Source:
    aborted = 0

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None:
        self.aborted += 1


class Call:
    """An invocation with a limit of 2 s.

    :ivar invoked: what the runtime has to say.
    """

    def __init__(self, canceller: Callable[[Deferred[Reply]], None] | None = None) -> None:
        self.clock = Clock()
        self.under_way = UnderWay(self.clock)
        self.source = Source()
        self.inner = FlowingReply(200, ((b"A", b"b"),), self.source)
        self.invoked: Deferred[Reply] = Deferred(canceller)
        self.bounded = self.under_way.bound("figlet", 2.0, self.invoked)
        self.replies: list[Reply] = []
        self.failures: list[Failure] = []
        self.delivered: list[object] = []
        self.bounded.addCallbacks(self.replies.append, self.failures.append)

    def deliver(self) -> Reply:
        self.invoked.callback(self.inner)
        [reply] = self.replies
        reply.deliver_to(lambda _: None).addBoth(self.delivered.append)
        return reply

    def over(self) -> bool:
        return len(self.under_way) == 0 and not self.clock.getDelayedCalls()

    def body_failed_with(self, kind: type[Exception]) -> bool:
        [end] = self.delivered
        return isinstance(end, Failure) and end.check(kind) is not None


def failed_with(call: Call, kind: type[Exception]) -> bool:
    [failure] = call.failures
    return failure.check(kind) is not None


def test_in_time() -> None:
    """What comes in time is passed on, and nothing is left behind."""
    call = Call()
    reply = call.deliver()
    assert (reply.status, reply.headers) == (200, ((b"A", b"b"),))
    assert len(call.under_way) == 1
    call.inner.finish()
    assert call.delivered == [None]
    assert call.over()


def test_no_head_in_time() -> None:
    """A limit that passes before the head cancels the invocation."""
    call = Call()
    call.clock.advance(2.0)
    assert failed_with(call, InvocationTimedOut)
    assert str(call.failures[0].value) == "figlet did not answer within 2 s"
    assert call.over()


def test_not_handed_over_in_time() -> None:
    """If nothing had reached the function when the limit passed, that is what counts."""
    call = Call(lambda invoked: invoked.errback(NotHandedOver("still connecting")))
    call.clock.advance(2.0)
    assert failed_with(call, NotHandedOver)


def test_body_not_whole_in_time() -> None:
    """A limit that passes within the body aborts the function."""
    call = Call()
    call.clock.advance(1.5)
    call.deliver()
    call.clock.advance(0.5)
    assert call.body_failed_with(InvocationTimedOut)
    assert call.source.aborted == 1
    assert call.over()


def test_body_not_taken_in_time() -> None:
    """A reply that nobody takes does not keep the function for ever."""
    call = Call()
    call.invoked.callback(call.inner)
    call.clock.advance(2.0)
    assert call.source.aborted == 1
    [reply] = call.replies
    reply.deliver_to(lambda _: None).addBoth(call.delivered.append)
    assert call.body_failed_with(InvocationTimedOut)


def test_failures_pass() -> None:
    """A function's own end is passed on."""
    call = Call()
    call.invoked.errback(InvocationBroken("it broke"))
    assert failed_with(call, InvocationBroken)
    assert call.over()


def test_broken_body_passes() -> None:
    """A body's own end is passed on."""
    call = Call()
    call.deliver()
    call.inner.finish(Failure(InvocationBroken("it broke")))
    assert call.body_failed_with(InvocationBroken)
    assert call.over()


def test_cancelling() -> None:
    """Whoever gives up is told just that, wherever the function was."""
    call = Call(lambda invoked: invoked.errback(NotHandedOver("still connecting")))
    call.bounded.cancel()
    assert failed_with(call, CancelledError)
    assert call.over()


def test_aborting() -> None:
    """Aborting the reply lifts the limit."""
    call = Call()
    reply = call.deliver()
    reply.abort()
    assert call.body_failed_with(CancelledError)
    assert call.source.aborted == 1
    assert call.over()


def test_head_that_comes_although_cancelled() -> None:
    """A reply that could not be held back is let go of."""
    call = Call(lambda invoked: invoked.callback(call.inner))
    call.clock.advance(2.0)
    assert failed_with(call, InvocationTimedOut)
    assert call.source.aborted == 1


@pytest.mark.parametrize(
    ("canceller", "kind"),
    [
        (None, InvocationBroken),
        (lambda invoked: invoked.errback(NotHandedOver("still connecting")), NotHandedOver),
    ],
)
def test_end_of_the_runtime_before_the_head(
    canceller: Callable[[Deferred[Reply]], None] | None, kind: type[InvocationError]
) -> None:
    """The end of the runtime breaks what has been handed over."""
    call = Call(canceller)
    call.under_way.abort()
    assert failed_with(call, kind)
    assert call.over()


def test_end_of_the_runtime_within_the_body() -> None:
    """The end of the runtime breaks bodies too."""
    call = Call()
    call.deliver()
    call.under_way.abort()
    assert call.body_failed_with(InvocationBroken)
    assert call.over()
