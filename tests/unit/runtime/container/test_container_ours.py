"""Which containers are taken over, and which are removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from paper_engine import IMAGE_ID, PaperEngine
from twisted.internet.defer import Deferred

from faasd_async.runtime.container.errors import EngineError
from faasd_async.runtime.container.ours import FUNCTION, MADE_AS, STATE_DIR, Ours


@pytest.fixture
def engine() -> PaperEngine:
    return PaperEngine()


@pytest.fixture
def ours(engine: PaperEngine, tmp_path: Path) -> Ours:
    return engine.installation(tmp_path).ours


def labels(state_dir: Path, function: str = "web", made_as: str = "d") -> dict[str, str]:
    return {STATE_DIR: str(state_dir), FUNCTION: function, MADE_AS: made_as}


def adopt(ours: Ours) -> str | None:
    adopted = []
    Deferred.fromCoroutine(ours.adopt("web", "d", IMAGE_ID)).addCallback(adopted.append)
    [name] = adopted
    return name


def test_one_that_is_as_it_would_be_made(engine: PaperEngine, ours: Ours, tmp_path: Path) -> None:
    """It is taken over; a second one is removed, for there are never two."""
    engine.put("a", labels(tmp_path), is_running=True)
    engine.put("b", labels(tmp_path), is_running=True)
    assert adopt(ours) == "a"
    assert set(engine.containers) == {"a"}


def test_another_cannot_be_removed(engine: PaperEngine, ours: Ours, tmp_path: Path) -> None:
    """Then the one that would have been taken over is found again when it can."""
    engine.put("a", labels(tmp_path), is_running=True)
    engine.put("b", labels(tmp_path), is_running=True)
    engine.refuse = "DELETE"
    failed = Deferred.fromCoroutine(ours.adopt("web", "d", IMAGE_ID))
    failed.addErrback(lambda reason: reason.trap(EngineError) and None)
    engine.refuse = ""
    assert adopt(ours) == "a"
    assert set(engine.containers) == {"a"}


@pytest.mark.parametrize(
    ("made_as", "image_id", "is_running"),
    [("other", IMAGE_ID, True), ("d", "older", True), ("d", IMAGE_ID, False)],
)
def test_one_that_is_not(
    made_as: str, image_id: str, is_running: bool, engine: PaperEngine, ours: Ours, tmp_path: Path
) -> None:
    """Made otherwise, of an image that has changed, or ended: it is removed."""
    engine.put("a", labels(tmp_path, made_as=made_as), image_id=image_id, is_running=is_running)
    assert adopt(ours) is None
    assert not engine.containers


def test_those_of_others(engine: PaperEngine, ours: Ours, tmp_path: Path) -> None:
    """Another function's, another daemon's and somebody else's are left alone, and so is one that
    is in hand already."""
    engine.put("a", labels(tmp_path, "web"), is_running=True)
    assert adopt(ours) == "a"
    engine.put("b", labels(tmp_path, "other"), is_running=True)
    engine.put("c", labels(tmp_path / "x"), is_running=True)
    engine.put("d", {}, is_running=True)
    assert adopt(ours) is None
    assert set(engine.containers) == {"a", "b", "c", "d"}


def test_sweep(engine: PaperEngine, ours: Ours, tmp_path: Path) -> None:
    """Those of functions that are gone are removed, with their secrets; those of functions that
    are there are for their runtimes, and those in hand are left alone."""
    engine.put("a", labels(tmp_path, "web"), is_running=True)
    adopt(ours)
    for name, function in (("b", "kept"), ("c", "gone")):
        engine.put(name, labels(tmp_path, function), is_running=True)
    for name in ("a", "b", "c", "long-gone"):
        (tmp_path / "containers" / name).mkdir(parents=True)
    Deferred.fromCoroutine(ours.sweep({"kept"}.__contains__))
    assert set(engine.containers) == {"a", "b"}
    assert {each.name for each in (tmp_path / "containers").iterdir()} == {"a", "b"}


def test_one_that_does_not_start(engine: PaperEngine, ours: Ours, tmp_path: Path) -> None:
    """Nothing is left of it, nor of the secrets it was given."""
    engine.refuse = "/start"
    failed = Deferred.fromCoroutine(
        ours.create("web", {"Labels": {}, "HostConfig": {}}, {"k": b"v"})
    )
    reasons: list[str] = []
    failed.addErrback(lambda reason: reasons.append(reason.getErrorMessage()))
    assert reasons == ["no can do"]
    assert not engine.containers
    assert not list((tmp_path / "containers").iterdir())


def test_secrets_are_for_the_container_alone(
    engine: PaperEngine, ours: Ours, tmp_path: Path
) -> None:
    """Whatever user it runs as can read them; on the machine nobody but the daemon's comes near."""
    made: list[str] = []
    description = {"Labels": {}, "HostConfig": {}}
    Deferred.fromCoroutine(ours.create("web", description, {"k": b"v"})).addCallback(made.append)
    [copy] = (tmp_path / "containers" / made[0]).iterdir()
    assert (copy.name, copy.read_bytes(), copy.stat().st_mode & 0o777) == ("k", b"v", 0o444)
    assert (tmp_path / "containers").stat().st_mode & 0o777 == 0o700
    assert copy.parent.stat().st_mode & 0o777 == 0o555
