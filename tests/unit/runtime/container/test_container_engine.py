"""What is asked of an engine, and what its answers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paper_engine import IMAGE, IMAGE_ID, PaperEngine
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from faasd_async.runtime.container.engine import ANSWER_SECONDS, Engine, tagged
from faasd_async.runtime.container.errors import (
    EngineError,
    EngineUnreachable,
    NoEngine,
    NoSuchThing,
)
from faasd_async.runtime.container.installation import engine_at
from faasd_async.runtime.container.socket import EngineEndpoint, candidates


@pytest.fixture
def paper() -> PaperEngine:
    return PaperEngine()


def ask(asked: Any) -> list[Any]:
    """What comes of a question, as soon as there is something."""
    results: list[Any] = []
    Deferred.fromCoroutine(asked).addBoth(results.append)
    return results


def test_the_version_is_asked_for_once(paper: PaperEngine) -> None:
    """Every question says which version of the API it means: the engine's own."""
    assert ask(paper.engine.image_id(IMAGE)) == [IMAGE_ID]
    assert ask(paper.engine.image_id(IMAGE)) == [IMAGE_ID]
    assert paper.asked == ["GET /_ping", *[f"GET /v1.41/images/{IMAGE}/json"] * 2]


def test_there_is_no_such_thing(paper: PaperEngine) -> None:
    """404 has a name of its own; what is not there need not be removed."""
    [failure] = ask(paper.engine.inspect("none"))
    assert failure.check(NoSuchThing)
    assert str(failure.value) == "no such thing"
    assert ask(paper.engine.remove("none")) == [None]


def test_the_engine_refuses(paper: PaperEngine) -> None:
    """What it says of it is what is told."""
    paper.refuse = "labelled"
    paper.refuse = "/containers/json"
    [failure] = ask(paper.engine.labelled("a=b"))
    assert failure.check(EngineError)
    assert str(failure.value) == "no can do"


def test_the_engine_does_not_answer(paper: PaperEngine) -> None:
    """It is not waited for without end, but for the end of a container it is."""
    paper.hold = "/images"
    answer = ask(paper.engine.image_id(IMAGE))
    paper.put("a", {}, is_running=True)
    ended = ask(paper.engine.when_ended("a"))
    paper.clock.advance(ANSWER_SECONDS)
    [failure] = answer
    assert failure.check(EngineUnreachable)
    paper.clock.advance(10**6)
    paper.crash("a", 7)
    assert ended == [7]


def test_the_engine_refuses_the_connection() -> None:
    """That is told in one word for all that can go wrong on the way."""

    class Nobody:
        def request(self, *_: object, **__: object) -> Deferred[Any]:
            return fail(ConnectionRefusedError())

    [failure] = ask(Engine(Clock(), Nobody()).inspect("a"))  # type: ignore[arg-type]
    assert failure.check(EngineUnreachable)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a", "a:latest"),
        ("a:1", "a:1"),
        ("host:5000/a", "host:5000/a:latest"),
        ("host:5000/a:1", "host:5000/a:1"),
        ("a@sha256:0", "a@sha256:0"),
    ],
)
def test_a_tag(image: str, expected: str) -> None:
    """Without one an engine would fetch them all."""
    assert tagged(image) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DOCKER_HOST": "unix:///a.sock", "XDG_RUNTIME_DIR": "/u"}, ["/a.sock"]),
        ({"DOCKER_HOST": "tcp://h:1"}, []),
        ({"XDG_RUNTIME_DIR": "/u"}, ["/u/docker.sock", "/u/podman/podman.sock"]),
    ],
)
def test_where_engines_are(environment: dict[str, str], expected: list[str]) -> None:
    """Docker's own variable says where; without it the usual places are looked at."""
    usual = ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]
    alone = "unix" in environment.get("DOCKER_HOST", "")
    assert list(candidates(environment)) == (expected if alone else [*usual, *expected])


def test_there_is_none(tmp_path: Path) -> None:
    """It says where was looked, and what to do."""
    engine = engine_at(MemoryReactorClock(), str(tmp_path / "none.sock"), {})
    [failure] = ask(engine.image_id(IMAGE))
    assert failure.check(NoEngine)
    assert str(failure.value) == (
        f"there is no container engine at {tmp_path / 'none.sock'}; start it, or set [containers]"
        " socket"
    )


def test_the_one_that_has_answered_stays_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine is not asked because this one is away: it would run everything twice."""
    answering = {"/b"}
    tried: list[str] = []

    class Endpoint:
        def __init__(self, reactor: object, path: str, timeout: float) -> None:
            self.path = path

        async def connect(self, factory: object) -> object:
            tried.append(self.path)
            if self.path not in answering:
                raise ConnectionRefusedError
            return self

    from faasd_async.runtime.container import socket

    monkeypatch.setattr(socket, "UNIXClientEndpoint", Endpoint)
    monkeypatch.setattr(socket, "is_socket", lambda path: path != "/none")
    endpoint = EngineEndpoint(object(), ("/none", "/a", "/b"))
    results: list[Any] = []
    endpoint.connect(None).addBoth(results.append)  # type: ignore[arg-type]
    assert tried == ["/a", "/b"]
    answering.clear()
    answering.add("/a")
    endpoint.connect(None).addBoth(results.append)  # type: ignore[arg-type]
    assert tried == ["/a", "/b", "/b"]
    assert isinstance(results[1], Failure)
    assert results[1].check(EngineUnreachable)
