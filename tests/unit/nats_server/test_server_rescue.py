"""When a server that stores no more is started anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from faasd_async.nats.server.rescue import LONGEST_WAIT_SECONDS, WELL_AFTER_SECONDS, Rescue

MIB = 2**20


class PaperServer:
    """A server that counts its restarts."""

    def __init__(self) -> None:
        self.on_write_error: list[Callable[[str], object]] = []
        self.on_exit: list[Callable[[str], object]] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1
        self.ends()

    def fails(self) -> None:
        for observer in self.on_write_error:
            observer("no space left on device")

    def ends(self) -> None:
        for observer in self.on_exit:
            observer("exit code 0")


class House:
    """A server, its disk and who watches over it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = PaperServer()
        self.free_bytes: int | None = 0
        self.why_not: str | None = None
        Rescue(
            self.clock,
            self.server,  # type: ignore[arg-type]
            lambda: self.free_bytes,
            64 * MIB,
            lambda: self.why_not,
        )

    def seconds_until_restart(self) -> float:
        """How long it takes from a write error, with room on the disk."""
        began, before = self.clock.seconds(), self.server.restarts
        self.server.fails()
        while self.server.restarts == before:
            self.clock.advance(0.5)
        return self.clock.seconds() - began


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    assert house.clock.getDelayedCalls() == []


def test_a_full_disk_is_waited_for(house: House) -> None:
    """However long it takes, and until there is enough, not just a little."""
    house.server.fails()
    house.clock.pump([1.0] * 1000)
    house.free_bytes = 63 * MIB
    house.clock.pump([1.0] * 1000)
    assert house.server.restarts == 0
    house.free_bytes = 64 * MIB
    house.clock.advance(1.0)
    assert house.server.restarts == 1


def test_the_operator_is_told(house: House) -> None:
    """What is the matter, and what will end it."""
    with capturedLogs() as events:
        house.server.fails()
    (event,) = events
    assert event["log_level"] is LogLevel.critical
    assert "started anew by itself when 64 MiB are free" in formatEvent(event)
    house.server.ends()


def test_a_disk_with_room_does_not_help_at_once(house: House) -> None:
    """The error was there a moment ago: whoever took the room may still be at it."""
    house.free_bytes = 100 * MIB
    assert house.seconds_until_restart() == 1.0


@pytest.mark.parametrize("noticed_seconds", [0.0, 0.5])
def test_a_store_that_is_gone(house: House, noticed_seconds: float) -> None:
    """That it cannot be written is no matter of room, and a start would bring nothing back."""
    house.free_bytes = 100 * MIB
    if not noticed_seconds:
        house.why_not = "it was deleted"
    house.server.fails()
    house.clock.advance(noticed_seconds)
    house.why_not = "it was deleted"
    house.clock.pump([1.0] * 100)
    assert house.server.restarts == 0


def test_a_disk_that_cannot_be_measured(house: House) -> None:
    """Trying is the only way to know."""
    house.free_bytes = None
    assert house.seconds_until_restart() == 1.0


def test_one_error_after_the_other(house: House) -> None:
    """The waits double up to a minute."""
    house.free_bytes = 100 * MIB
    waits = [house.seconds_until_restart() for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, *[LONGEST_WAIT_SECONDS] * 3]


def test_a_server_that_was_well_again(house: House) -> None:
    """It is brought back as quickly as the first time."""
    house.free_bytes = 100 * MIB
    for _ in range(3):
        house.seconds_until_restart()
    house.clock.advance(WELL_AFTER_SECONDS)
    assert house.seconds_until_restart() == 1.0


def test_a_server_that_ends_by_itself(house: House) -> None:
    """The next one begins afresh: it is left alone."""
    house.server.fails()
    house.server.ends()
    house.free_bytes = 100 * MIB
    house.clock.advance(100)
    assert house.server.restarts == 0
