"""When a function counts as one that nobody calls."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.runtime.container.idle import when_idle


class Calls:
    def __init__(self) -> None:
        self.clock = Clock()
        self.count = 0
        self.busy = False
        self.idle = Deferred.fromCoroutine(
            when_idle(self.clock, 10.0, lambda: self.count, lambda: self.busy)
        )

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds * 4):
            self.clock.advance(0.25)


def test_nobody_calls() -> None:
    """It is idle when the time is over, and not before."""
    calls = Calls()
    calls.pass_seconds(9)
    assert not calls.idle.called
    calls.pass_seconds(2)
    assert calls.idle.called
    assert not calls.clock.getDelayedCalls()


def test_a_call_begins_it_anew() -> None:
    """However short it was, the time is counted from its end at the earliest."""
    calls = Calls()
    calls.pass_seconds(9)
    calls.count += 1
    calls.pass_seconds(10)
    assert not calls.idle.called
    calls.pass_seconds(3)
    assert calls.idle.called


def test_a_long_call_holds_it_up() -> None:
    """A function is not idle while a call is under way, however long that takes, nor for the
    time after it."""
    calls = Calls()
    calls.count, calls.busy = 1, True
    calls.pass_seconds(60)
    calls.busy = False
    calls.pass_seconds(9)
    assert not calls.idle.called
    calls.pass_seconds(3)
    assert calls.idle.called


def test_it_is_not_waited_for_any_more() -> None:
    """Nothing is left of it."""
    calls = Calls()
    calls.idle.addErrback(lambda _: None)
    calls.idle.cancel()
    assert not calls.clock.getDelayedCalls()
