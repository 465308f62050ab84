"""Whether there is room for a call, on a disk of paper."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from twisted.internet.task import Clock

from faasd_async.queue.space import Disk, Space

MIB = 2**20


@dataclass
class Room:
    """What the kernel says of a file system."""

    f_bavail: int
    f_frsize: int = 4096


class House:
    """A disk, and who decides by it.

    :ivar free_bytes: what the kernel would say; ``None``: it says nothing.
    :ivar asked: how often it was asked.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.free_bytes: int | None = 1000 * MIB
        self.asked = 0
        self.write_error: str | None = None
        self.disk = Disk(self.clock, "/state", self._statvfs)
        self.space = Space(self.disk, 256 * MIB, lambda: self.write_error)

    def _statvfs(self, path: str) -> Room:
        assert path == "/state"
        self.asked += 1
        if self.free_bytes is None:
            raise FileNotFoundError(path)
        return Room(self.free_bytes // 4096)

    def later(self) -> None:
        """A measurement is good no more."""
        self.clock.advance(0.3)


@pytest.fixture
def house() -> House:
    return House()


def test_where_there_is_room(house: House) -> None:
    """A call is welcome."""
    assert house.space.why_no_room(1 * MIB) is None


def test_what_has_to_stay_free(house: House) -> None:
    """Below it no call is taken, and the text says what there is and what is wanted."""
    house.free_bytes = 255 * MIB
    why = "255.0 MiB of disk are free, and 256.0 MiB have to stay free"
    assert house.space.why_no_room(0) == why
    assert house.space.why_refused() == why


def test_there_is_room_again(house: House) -> None:
    """Nobody has to say so: the next measurement does."""
    house.free_bytes = 0
    assert house.space.why_refused() is not None
    house.free_bytes = 256 * MIB
    house.later()
    assert house.space.why_refused() is None


def test_the_kernel_is_not_asked_for_each_call(house: House) -> None:
    """It is asked a few times a second, however many calls come."""
    for _ in range(1000):
        house.space.why_no_room(100)
    assert house.asked == 1
    house.later()
    house.space.why_no_room(100)
    assert house.asked == 2


def test_what_is_taken_between_two_measurements_counts(house: House) -> None:
    """A burst does not run past the mark before the kernel is asked again."""
    house.free_bytes = 300 * MIB
    taken = 0
    while house.space.why_no_room(8 * MIB) is None:
        taken += 8
    assert (taken, house.asked) == (48, 1)


def test_a_refused_call_takes_nothing(house: House) -> None:
    """Those that are refused do not make it worse."""
    house.write_error = "no space left on device"
    for _ in range(1000):
        house.space.why_no_room(8 * MIB)
    house.write_error = None
    assert house.space.why_refused() is None


def test_a_broker_that_cannot_write(house: House) -> None:
    """However much room there is again: it stores nothing until it is started anew."""
    house.write_error = "no space left on device"
    assert house.space.why_no_room(0) == (
        "the broker cannot write (no space left on device); 1000.0 MiB are free:"
        " service goes on when there is room"
    )


def test_a_disk_that_cannot_be_measured(house: House) -> None:
    """Nobody is refused for what is not known."""
    house.free_bytes = None
    assert house.disk.free_bytes() is None
    assert house.space.why_no_room(10 * MIB) is None
