"""What the daemon stands on: that it is gone, or another's, is noticed and told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from faasd_async.daemon.ground import LOOK_SECONDS, Ground


class House:
    """A state directory with a lock and a store in it."""

    def __init__(self, state: Path) -> None:
        self.clock = Clock()
        self.state = state
        self.lock, self.store = state / "daemon.lock", state / "nats"
        self.store.mkdir(parents=True)
        self.lock.touch()
        self.ground = Ground(self.clock, [state, self.lock, self.store, self.store / "later"])
        self.ground.take()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "state")
    yield house
    house.ground.release()
    assert house.clock.getDelayedCalls() == []


def test_it_stands(house: House) -> None:
    """What was not there at first is nobody's loss."""
    assert house.ground.look() is None
    house.clock.advance(LOOK_SECONDS)
    assert house.ground.lost is None


@pytest.mark.parametrize("which", ["state", "lock", "store"])
def test_it_is_moved_away(house: House, which: str) -> None:
    """Any part of it."""
    path: Path = getattr(house, which)
    path.rename(path.with_name("elsewhere"))
    why = house.ground.look()
    assert why is not None
    assert "was deleted or moved away under the running daemon" in why


@pytest.mark.parametrize("which", ["state", "store"])
def test_a_glance_is_enough_for_the_store(house: House, which: str) -> None:
    """Whatever around it is moved away; what lies beside it is not looked at."""
    house.lock.unlink()
    assert house.ground.glance() is None
    path: Path = getattr(house, which)
    path.rename(path.with_name("elsewhere"))
    assert str(house.store) in (house.ground.glance() or "")


def test_it_is_deleted_and_made_anew(house: House) -> None:
    """What the path names now is another one."""
    shutil.rmtree(house.store)
    house.store.mkdir()
    assert house.ground.look() == f"{house.store} was replaced by another under the running daemon"


def test_what_came_later_is_looked_after_when_it_was_taken(house: House) -> None:
    """So the store's inner directories are, once the broker has made them."""
    later = house.store / "later"
    later.mkdir()
    house.ground.take()
    later.rmdir()
    assert str(later) in (house.ground.look() or "")


def test_what_is_lost_stays_lost(house: House) -> None:
    """It may have missed something while it was away."""
    elsewhere = house.store.with_name("elsewhere")
    house.store.rename(elsewhere)
    why = house.ground.look()
    elsewhere.rename(house.store)
    assert house.ground.look() == why is not None


def test_it_is_told_once(house: House) -> None:
    """Critically, with what to do, though nobody asks; and to who has to know."""
    told: list[str | None] = []
    house.ground.when_lost = lambda: told.append(house.ground.lost)
    house.lock.unlink()
    with capturedLogs() as events:
        for _ in range(3):
            house.clock.advance(LOOK_SECONDS)
    (event,) = events
    assert event["log_level"] is LogLevel.critical
    assert str(house.lock) in formatEvent(event)
    assert "Stop the daemon" in formatEvent(event)
    assert told == [house.ground.lost]
    assert told != [None]
