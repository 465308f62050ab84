"""Consumers that ask at the end of a turn of the reactor."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from faasd_async.queue.jetstream.asking import Round


@dataclass(eq=False)
class Consumer:
    """Counts how often it asks; may fail over it."""

    fails: bool = False
    asked: int = 0

    def ask(self) -> None:
        self.asked += 1
        if self.fails:
            raise RuntimeError("no")


def test_each_asks_once_when_the_turn_is_over() -> None:
    """However often it was told to, and with one timer for all of them."""
    clock = Clock()
    asking = Round(clock)
    consumers = [Consumer() for _ in range(3)]
    for each in (*consumers, *consumers):
        asking.join(each)
    assert [each.asked for each in consumers] == [0, 0, 0]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0)
    assert [each.asked for each in consumers] == [1, 1, 1]
    assert not clock.getDelayedCalls()


def test_who_leaves_does_not_ask() -> None:
    """The others do; when nobody is left, no timer is."""
    clock = Clock()
    asking = Round(clock)
    one, other = Consumer(), Consumer()
    asking.join(one)
    asking.join(other)
    asking.leave(one)
    clock.advance(0)
    assert (one.asked, other.asked) == (0, 1)
    asking.join(one)
    asking.leave(other)
    asking.leave(one)
    assert not clock.getDelayedCalls()


def test_one_who_fails_keeps_no_other_from_asking() -> None:
    """It is a bug, and the log says so."""
    clock = Clock()
    asking = Round(clock)
    failing, other = Consumer(fails=True), Consumer()
    asking.join(failing)
    asking.join(other)
    with capturedLogs() as events:
        clock.advance(0)
    assert other.asked == 1
    assert [event["log_failure"].value.args for event in events] == [("no",)]
