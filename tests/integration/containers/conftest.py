"""The engine that the tests of containers have, where one can run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import IMAGE, Podman, why_there_is_none

NO_ENGINE = "needs podman, runc, busybox and the right to run containers"


@pytest.fixture(scope="session")
def _engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman | str]:
    """The engine, or why there is none."""
    why = why_there_is_none()
    if why is not None:
        yield why
        return
    podman = Podman(tmp_path_factory.mktemp("engine"))
    try:
        podman.build()
        podman.run(
            "run", "--rm", "--ulimit", "nofile=1024", "--ulimit", "nproc=1000", IMAGE, "true"
        )
    except RuntimeError as reason:
        yield str(reason)
        return
    podman.start()
    yield podman
    podman.end()


@pytest.fixture
def engine(_engine: Podman | str) -> Podman:
    """The engine; what other daemons have left on it is there too."""
    if isinstance(_engine, str):
        print(_engine)
        pytest.skip(NO_ENGINE)
    return _engine


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory of the daemons that :func:`start_daemon` starts."""
    return tmp_path / "state"
