"""How a server that an earlier daemon left behind is ended, on a clock."""

import os
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.nats.server import orphan
from faasd_async.nats.server.configuration import ServerFiles

ORPHAN_PID = 4321


class Scene:
    """A lock that an orphan holds, and the attempt to take it."""

    def __init__(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.signals: list[tuple[int, int]] = []
        self.orphans = [ORPHAN_PID]
        files = ServerFiles(state_dir)
        self.held = Flock(files.lock)
        self.held.acquire()
        monkeypatch.setattr(orphan, "servers_on", lambda files: list(self.orphans))
        monkeypatch.setattr(os, "kill", lambda pid, number: self.signals.append((pid, number)))
        self.lock = Flock(files.lock)
        self.taken = Deferred.fromCoroutine(
            orphan.take_lock(self.lock, files, self.clock, self.pause, stop_seconds=10)
        )

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait on the clock."""
        return deferLater(self.clock, seconds, lambda: None)

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps shorter than the polling."""
        self.clock.pump([0.05] * round(seconds / 0.05))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """An orphan that holds the lock; afterwards nothing may be pending."""
    scene = Scene(tmp_path, monkeypatch)
    yield scene
    scene.held.release()
    scene.lock.release()
    assert scene.clock.getDelayedCalls() == []


def test_it_is_asked_once_and_waited_for(scene: Scene) -> None:
    """One SIGTERM, and the lock is taken when the orphan is gone."""
    scene.wait(5)
    assert scene.signals == [(ORPHAN_PID, SIGTERM)]
    assert not scene.taken.called
    scene.held.release()
    scene.wait(0.2)
    assert scene.taken.called
    assert not scene.held.acquire()


def test_it_is_killed_when_it_does_not_go(scene: Scene) -> None:
    """After the time it has to stop in, SIGKILL follows."""
    scene.wait(9.9)
    assert (ORPHAN_PID, SIGKILL) not in scene.signals
    scene.wait(0.3)
    assert (ORPHAN_PID, SIGKILL) in scene.signals
    scene.held.release()
    scene.wait(0.2)
    assert scene.taken.called


def test_what_cannot_be_killed_stops_the_start(scene: Scene) -> None:
    """One that stays for all that is an error, not an endless wait."""
    failures: list[object] = []
    scene.taken.addErrback(lambda failure: failures.append(failure.value))
    scene.wait(10 + orphan.DYING_SECONDS + 0.2)
    (error,) = failures
    assert isinstance(error, StartError)
    assert f"pid {ORPHAN_PID}" in str(error)
    assert "cannot be killed" in str(error)


def test_one_that_is_no_longer_seen_gets_no_more_signals(scene: Scene) -> None:
    """While a dying orphan still holds the lock, only waiting helps."""
    scene.orphans.clear()
    scene.wait(12)
    assert scene.signals == [(ORPHAN_PID, SIGTERM)]
    scene.held.release()
    scene.wait(0.2)
    assert scene.taken.called
