"""A clock on the wall that is not set yet is waited for, and not for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from faasd_async.wallclock import WallClock, newest_below

EARLIEST_SECONDS = 1.7e9
NOW = EARLIEST_SECONDS + 1e7
DAY = 86400.0


class Machine:
    """One with a clock that a test sets.

    :ivar shows: the clock on the wall.
    :ivar newest: when something was stored last.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.shows = NOW
        self.newest = 0.0
        self.believed: list[object] = []

    def starts(self, patience_seconds: float = 60.0) -> Deferred[None]:
        wall = WallClock(
            self.clock,
            lambda: self.shows,
            lambda: self.newest,
            earliest_seconds=EARLIEST_SECONDS,
            patience_seconds=patience_seconds,
        )
        waiting = wall.when_believed()
        waiting.addBoth(self.believed.append)
        return waiting

    def passes(self, seconds: float) -> None:
        """By a clock that runs; that on the wall does, too."""
        for _ in range(round(seconds)):
            self.shows += 1
            self.clock.advance(1)


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    assert machine.clock.getDelayedCalls() == []


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as events:
        yield events


@pytest.mark.parametrize("newest", [0.0, NOW - DAY, NOW, NOW + 1])
def test_a_clock_that_is_right_is_believed_at_once(machine: Machine, newest: float) -> None:
    """It shows no less than what is stored, a moment aside."""
    machine.newest = newest
    machine.starts()
    assert machine.believed == [None]


@pytest.mark.parametrize("shows", [0.0, EARLIEST_SECONDS - 1, NOW - DAY])
def test_a_clock_that_is_behind_is_waited_for(
    machine: Machine, events: list[LogEvent], shows: float
) -> None:
    """1970, and a day behind what is stored; until it is set, which is logged."""
    machine.shows, machine.newest = shows, NOW
    machine.starts()
    machine.passes(30)
    assert machine.believed == []
    machine.shows = NOW + 30
    machine.passes(1)
    assert machine.believed == [None]
    first, last = map(formatEvent, events)
    assert "waiting for it to be set, for 60 s at most" in first
    assert "the clock was set" in last


def test_nothing_stored_and_1970(machine: Machine) -> None:
    """The program itself is younger than that."""
    machine.shows = 0.0
    machine.starts()
    assert machine.believed == []
    machine.shows = NOW
    machine.passes(1)
    assert machine.believed == [None]


def test_a_clock_that_nobody_sets(machine: Machine, events: list[LogEvent]) -> None:
    """One that was a day ahead when something was stored, say: it goes on, and says so."""
    machine.newest = NOW + DAY
    machine.starts()
    machine.passes(59)
    assert machine.believed == []
    machine.passes(1)
    assert machine.believed == [None]
    assert "nobody has set the clock" in formatEvent(events[-1])


def test_no_patience(machine: Machine, events: list[LogEvent]) -> None:
    """It is logged, and not waited for."""
    machine.shows = 0.0
    machine.starts(0.0)
    assert machine.believed == [None]
    assert len(events) == 2


def test_a_daemon_that_is_stopped_meanwhile(machine: Machine) -> None:
    """Waits no longer."""
    machine.shows = 0.0
    machine.starts().cancel()
    (failure,) = machine.believed
    assert failure.check(CancelledError)  # type: ignore[attr-defined]


def test_when_something_was_stored_last(tmp_path: Path) -> None:
    """The newest of all files below a directory; nothing is no time at all."""
    assert newest_below(str(tmp_path / "none")) == newest_below(str(tmp_path)) == 0.0
    for name, at in (("a/b/old", NOW - 5), ("a/new", NOW), ("older", NOW - 9)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (NOW - 99, at))
    (tmp_path / "dangling").symlink_to("nowhere")
    assert newest_below(str(tmp_path)) == NOW
