"""A clock that is not the broker's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.logger import LogEvent, capturedLogs, formatEvent

from faasd_async.nats.jetstream import StreamConfig, StreamInfo, StreamState
from faasd_async.queue.jetstream.clocks import Clocks

NOON = 1_800_000_000.0


class Machine:
    """One whose broker's clock shows noon.

    :ivar shows: its own clock.
    :ivar says: whether the broker says what its clock shows.
    :ivar waits: until when it was waited, and what ends that.
    """

    def __init__(self) -> None:
        self.shows = NOON
        self.says = True
        self.took_seconds = 0.0
        self.waits: list[tuple[float, Deferred[None]]] = []
        self.agreed: list[None] = []
        self._clocks = Clocks(self, lambda: self.shows, self._wait)  # type: ignore[arg-type]

    def stream_info(self, name: str) -> Deferred[StreamInfo]:
        self.shows += self.took_seconds
        state = StreamState(0, 0, 0, 0, 0)
        noon = datetime.fromtimestamp(NOON, UTC)
        says = noon if self.says else None
        return succeed(StreamInfo(StreamConfig(name=name), noon, state, says))

    def _wait(self, least_seconds: float) -> Deferred[None]:
        self.waits.append((least_seconds, Deferred()))
        return self.waits[-1][1]

    def agrees(self, *, patient: bool = True) -> None:
        comparing = Deferred.fromCoroutine(self._clocks.agree("S", patient=patient))
        comparing.addCallback(self.agreed.append)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged."""
    with capturedLogs() as events:
        yield events


@pytest.fixture
def machine() -> Machine:
    return Machine()


def said(events: list[LogEvent]) -> list[str]:
    return [formatEvent(event).partition(":")[0] for event in events]


@pytest.mark.parametrize("apart", [-1.9, 0.0, 1.9])
def test_clocks_that_are_nearly_the_same(
    machine: Machine, events: list[LogEvent], apart: float
) -> None:
    """Nothing is waited for, nothing is said."""
    machine.shows += apart
    machine.agrees()
    assert (machine.agreed, machine.waits, said(events)) == ([None], [], [])


def test_an_answer_that_takes_its_time(machine: Machine, events: list[LogEvent]) -> None:
    """Is no clock that is wrong, whichever of the two moments it tells of."""
    machine.took_seconds = 10.0
    machine.shows -= 5.0
    machine.agrees()
    assert (machine.agreed, machine.waits, said(events)) == ([None], [], [])


def test_a_clock_that_is_behind_is_waited_for(machine: Machine, events: list[LogEvent]) -> None:
    """Until it shows what the broker's does; then nothing is the matter."""
    machine.shows -= 86400
    machine.agrees()
    assert machine.agreed == []
    ((least_seconds, wait),) = machine.waits
    assert least_seconds == NOON
    machine.shows = NOON
    wait.callback(None)
    assert (machine.agreed, said(events)) == ([None], [])


def test_a_clock_that_stays_behind_is_gone_on_with(
    machine: Machine, events: list[LogEvent]
) -> None:
    """Somebody is told, once, however often it is looked; and that it is right again."""
    machine.shows -= 3600
    machine.agrees()
    machine.waits[0][1].callback(None)
    machine.agrees(patient=False)
    warning = "the clock of this machine is 3600 s behind that of the NATS server"
    assert (machine.agreed, said(events)) == ([None, None], [warning])
    assert "too early" in formatEvent(events[0])
    machine.shows = NOON
    machine.agrees(patient=False)
    assert said(events)[1:] == ["the clock of this machine is that of the NATS server again"]


def test_a_clock_that_is_ahead_is_told_of(machine: Machine, events: list[LogEvent]) -> None:
    """There is nothing to wait for."""
    machine.shows += 3600
    machine.agrees()
    assert (machine.agreed, machine.waits) == ([None], [])
    assert said(events) == ["the clock of this machine is 3600 s ahead of that of the NATS server"]
    assert "too late" in formatEvent(events[0])


def test_a_broker_that_does_not_say(machine: Machine, events: list[LogEvent]) -> None:
    """An old one: nothing is known."""
    machine.says = False
    machine.shows -= 3600
    machine.agrees()
    assert (machine.agreed, machine.waits, said(events)) == ([None], [], [])
