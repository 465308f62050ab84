"""When containers of functions that are gone are looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_engine import PaperEngine
from twisted.internet.testing import MemoryReactorClock

from faasd_async.runtime.container.installation import Installation, engine_at
from faasd_async.runtime.container.ours import FUNCTION, STATE_DIR
from faasd_async.runtime.container.sweeping import Sweeping


def nothing_is_deployed(function: str) -> bool:
    return False


def test_it_is_tried_until_the_engine_answers(tmp_path: Path) -> None:
    """An engine that comes up after the daemon is waited for."""
    paper = PaperEngine()
    paper.put("a", {STATE_DIR: str(tmp_path), FUNCTION: "gone"}, is_running=True)
    paper.refuse = "/containers/json"
    sweeping = Sweeping(paper.clock, paper.installation(tmp_path).ours, nothing_is_deployed)
    sweeping.start()
    paper.pass_time(5)
    assert paper.containers
    paper.refuse = ""
    paper.pass_time(60)
    assert not paper.containers
    assert not [each for each in paper.clock.getDelayedCalls() if each.active()]


def test_there_is_no_engine(tmp_path: Path) -> None:
    """Most machines have none, and nothing to look for: nobody waits for one."""
    clock = MemoryReactorClock()
    engine = engine_at(clock, str(tmp_path / "none.sock"), {})
    ours = Installation(engine, tmp_path, now_seconds=lambda: 0.0).ours
    Sweeping(clock, ours, nothing_is_deployed).start()
    assert not [each for each in clock.getDelayedCalls() if each.active()]


def test_the_daemon_stops(tmp_path: Path) -> None:
    """It does not wait for an engine."""
    paper = PaperEngine()
    paper.hold = "/containers/json"
    sweeping = Sweeping(paper.clock, paper.installation(tmp_path).ours, nothing_is_deployed)
    sweeping.start()
    stopped: list[Any] = []
    sweeping.stop().addCallback(stopped.append)
    paper.flush()
    assert stopped == [None]


def test_an_engine_that_cannot_be_there_is_not_asked(tmp_path: Path) -> None:
    """So that the HTTP client it would be asked by need not be imported."""
    paper = PaperEngine()
    paper.put("a", {STATE_DIR: str(tmp_path), FUNCTION: "gone"}, is_running=True)
    ours = paper.installation(tmp_path).ours
    sweeping = Sweeping(paper.clock, ours, nothing_is_deployed, lambda: False)
    sweeping.start()
    paper.flush()
    assert paper.containers
    stopped: list[Any] = []
    sweeping.stop().addCallback(stopped.append)
    assert stopped == [None]
