"""Alarms on one clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.wheel import TURN_SECONDS, Wheel


class Alarms:
    """Alarms on a wheel.

    :ivar rung: which rang, and when.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.rung: list[tuple[float, str]] = []

    def calls(self, name: str) -> Callable[[], None]:
        return lambda: self.rung.append((self.clock.seconds(), name))

    def names(self) -> list[str]:
        return [name for _, name in self.rung]


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0, 3.0, 60.0, 300.0])
def test_whole_turns_are_exact(alarms: Alarms, seconds: float) -> None:
    """A whole or half number of seconds is kept to the moment."""
    alarms.wheel.after(seconds, alarms.calls("a"))
    alarms.clock.advance(seconds - TURN_SECONDS / 2)
    assert alarms.rung == []
    alarms.clock.advance(TURN_SECONDS / 2)
    assert alarms.rung == [(seconds, "a")]


@given(
    st.lists(st.floats(min_value=0, max_value=100), max_size=20),
    st.lists(st.floats(min_value=0.001, max_value=10), max_size=40),
)
def test_never_early_and_late_by_less_than_a_turn(waits: list[float], steps: list[float]) -> None:
    """However the clock goes on, an alarm rings between its time and a turn later."""
    clock = Clock()
    wheel = Wheel(clock)
    rung: dict[int, float] = {}
    for number, wait in enumerate(waits):
        wheel.after(wait, lambda number=number: rung.setdefault(number, clock.seconds()))
    before = 0.0
    for step in steps:
        clock.advance(step)
        now = clock.seconds()
        for number, wait in enumerate(waits):
            if number not in rung:
                assert now < wait + TURN_SECONDS
            elif rung[number] == now:
                assert before < wait + TURN_SECONDS
                assert wait <= now
        before = now
    assert len(wheel) == len(waits) - len(rung)


def test_order(alarms: Alarms) -> None:
    """What is due earlier rings earlier, in whatever order it was set."""
    for seconds in (2.0, 1.0, 3.0):
        alarms.wheel.after(seconds, alarms.calls(f"{seconds}"))
    alarms.clock.advance(10.0)
    assert alarms.names() == ["1.0", "2.0", "3.0"]


def test_one_timer_for_all(alarms: Alarms) -> None:
    """The clock holds one call, however many alarms there are: that of the earliest."""
    for seconds in (5.0, 2.0, 9.0, 2.0):
        alarms.wheel.after(seconds, alarms.calls("a"))
    [timer] = alarms.clock.getDelayedCalls()
    assert timer.getTime() == 2.0


def test_later_alarms_touch_no_timer(alarms: Alarms) -> None:
    """While an earlier alarm is set, setting and cancelling others costs the clock nothing."""
    alarms.wheel.after(1.0, alarms.calls("first"))
    [timer] = alarms.clock.getDelayedCalls()
    for _ in range(3):
        alarms.wheel.after(60.0, alarms.calls("never")).cancel()
        assert alarms.clock.getDelayedCalls() == [timer]
    alarms.clock.advance(100.0)
    assert alarms.names() == ["first"]


def test_cancelling_leaves_nothing(alarms: Alarms) -> None:
    """With the last alarm the timer goes; cancelling again does nothing."""
    first, second = (alarms.wheel.after(1.0, alarms.calls("a")) for _ in range(2))
    first.cancel()
    first.cancel()
    assert len(alarms.wheel) == 1
    second.cancel()
    assert len(alarms.wheel) == 0
    assert not alarms.clock.getDelayedCalls()


def test_set_again_for_the_same_turn(alarms: Alarms) -> None:
    """A wheel that was empty in between wakes for a turn it had been waiting for before."""
    alarms.wheel.after(1.0, alarms.calls("first")).cancel()
    alarms.wheel.after(1.0, alarms.calls("second"))
    alarms.clock.advance(1.0)
    assert alarms.names() == ["second"]


def test_ringing_leaves_nothing(alarms: Alarms) -> None:
    """An alarm that rang is gone; cancelling it then does nothing."""
    alarm = alarms.wheel.after(1.0, alarms.calls("a"))
    alarms.clock.advance(1.0)
    alarm.cancel()
    assert len(alarms.wheel) == 0
    assert not alarms.clock.getDelayedCalls()


def test_cancelled_by_another_of_its_turn(alarms: Alarms) -> None:
    """An alarm may cancel one that is due with it."""
    alarms.wheel.after(1.0, lambda: second.cancel())
    second = alarms.wheel.after(1.0, alarms.calls("second"))
    alarms.clock.advance(1.0)
    assert alarms.rung == []
    assert not alarms.clock.getDelayedCalls()


def test_set_by_another(alarms: Alarms) -> None:
    """An alarm may set another one."""
    alarms.wheel.after(1.0, lambda: alarms.wheel.after(1.0, alarms.calls("second")))
    alarms.wheel.after(9.0, alarms.calls("third"))
    alarms.clock.pump((1.0, 1.0))
    assert alarms.rung == [(2.0, "second")]


def test_emptied_turns_are_passed_over(alarms: Alarms) -> None:
    """The clock is not woken for turns whose alarms are all cancelled, one after the other."""
    emptied = [alarms.wheel.after(float(seconds), alarms.calls("a")) for seconds in range(1, 50)]
    alarms.wheel.after(60.0, alarms.calls("last"))
    for each in emptied:
        each.cancel()
    alarms.clock.advance(1.0)
    [timer] = alarms.clock.getDelayedCalls()
    assert timer.getTime() == 60.0


def test_failing_call_keeps_no_other_from_ringing(alarms: Alarms) -> None:
    """What an alarm calls may fail; that is logged, and the others ring."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    alarms.wheel.after(1.0, lambda: 1 / 0)
    alarms.wheel.after(1.0, alarms.calls("second"))
    alarms.clock.advance(1.0)
    globalLogPublisher.removeObserver(events.append)
    assert alarms.names() == ["second"]
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError]


def test_clock_that_wakes_a_hair_early(alarms: Alarms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock whose rounding calls too early does not make the wheel wait another turn."""
    alarms.wheel.after(1.0, alarms.calls("a"))
    [timer] = alarms.clock.getDelayedCalls()
    alarms.clock.rightNow = 1.0 - 1e-9
    alarms.clock.calls.remove(timer)
    timer.func()
    assert alarms.names() == ["a"]
