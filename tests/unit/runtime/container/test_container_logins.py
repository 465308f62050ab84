"""Logins to registries, as docker login keeps them."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from paper_engine import PaperEngine
from twisted.internet.defer import Deferred

from faasd_async.runtime.container.engine import Engine
from faasd_async.runtime.container.errors import EngineError
from faasd_async.runtime.container.logins import logins_in, registry_of


def auth(said: str) -> dict[str, str]:
    return {"auth": b64encode(said.encode()).decode()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "auths": {
                    "ghcr.io": auth("me:s3:cret"),
                    "https://index.docker.io/v1/": auth("hub:pw"),
                    "https://old.example:5000/v2/": {"username": "a", "password": "b"},
                    "token.example": {"auth": "", "identitytoken": "tok"},
                    "broken.example": {"auth": "?"},
                },
                "HttpHeaders": {"User-Agent": "Docker-Client"},
            }
        )
    )
    return path


def login(path: Path, image: str) -> Any:
    written = logins_in(str(path))(image)
    return None if written is None else json.loads(urlsafe_b64decode(written))


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("figlet", "docker.io"),
        ("functions/figlet:1", "docker.io"),
        ("ghcr.io/openfaas/figlet@sha256:0", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("host:5000/a:b", "host:5000"),
    ],
)
def test_where_an_image_is_pulled_from(image: str, registry: str) -> None:
    """The first part names a host if it looks like one."""
    assert registry_of(image) == registry


def test_each_registry_has_its_own_login(path: Path) -> None:
    """Whatever way it is written in the file; of others there is none."""
    said = login(path, "ghcr.io/a")
    assert said == {"username": "me", "password": "s3:cret", "serveraddress": "ghcr.io"}
    assert login(path, "a")["username"] == "hub"
    assert login(path, "old.example:5000/a")["password"] == "b"
    assert login(path, "token.example/a")["identitytoken"] == "tok"
    assert login(path, "other.example/a") is None
    assert logins_in(None)("ghcr.io/a") is None


@pytest.mark.parametrize("content", [None, "{", '{"auths": {"ghcr.io": 1}}'])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    """It is named, and what stands in it is not shown."""
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(EngineError, match=r"config\.json (cannot be read|is no file)"):
        login(path, "ghcr.io/a")


def test_a_login_that_is_none(path: Path) -> None:
    """The registry is named."""
    with pytest.raises(EngineError, match=r"the login of broken\.example is no base64"):
        login(path, "broken.example/a")


def test_the_engine_is_told_with_the_image(path: Path) -> None:
    """In the field that Docker's API has for it; and nothing where there is no login."""
    paper = PaperEngine()
    paper.registry = {"ghcr.io/a:1": "x", "other.example/a:1": "y"}
    engine = Engine(paper.clock, paper.agent, logins_in(str(path)))
    for image in paper.registry:
        Deferred.fromCoroutine(engine.pull(image))
        paper.flush()
    first, second = paper.logins
    assert first is not None
    assert json.loads(urlsafe_b64decode(first))["username"] == "me"
    assert second is None
