"""Fixtures of the trials: real processes, real blows, and the counts printed at the end.

``pytest`` runs a few of each. The numbers that the documentation quotes come from::

    python -m pytest tests/crash --full
"""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from installation import Amount, Install, Installation
from loop_disk import LoopDisk, NoDisk
from tables import Tables
from twisted.internet.defer import Deferred

_TABLES = pytest.StashKey[Tables]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="the trials' full numbers: a quarter of an hour"
    )
    parser.addoption("--crash-report", type=Path, help="write the tables to this file, too")
    parser.addoption(
        "--away-seconds", type=int, help="how long test_broker_away.py does without a NATS server"
    )
    parser.addoption("--crash-seed", type=int, help="draw the moments of the trials from it")


def _tables(config: pytest.Config) -> Tables:
    if _TABLES not in config.stash:
        seed = config.getoption("--crash-seed", default=None)
        if seed is None:
            seed = random.randrange(1_000_000)
        config.stash[_TABLES] = Tables(seed, bool(config.getoption("--full", default=False)))
    return config.stash[_TABLES]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tables = config.stash.get(_TABLES, None)
    if tables is not None:
        terminalreporter.section(f"trials (--crash-seed {tables.seed})")
        for line in tables.lines():
            terminalreporter.write_line(line)
        report: Path | None = config.getoption("--crash-report", default=None)
        if report is not None:
            report.write_text("\n".join(tables.lines()) + "\n")


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Tables:
    return _tables(request.config)


@pytest.fixture
def dice(request: pytest.FixtureRequest, tables: Tables) -> random.Random:
    """Where moments come from: the same for a test whenever the seed is the same."""
    return random.Random(f"{tables.seed} {request.node.name}")


@pytest.fixture
def amount(tables: Tables) -> Amount:
    """``amount(few, many)``: the first in every run, the second in a full one."""
    return lambda few, many: many if tables.full else few


@pytest.fixture
def reactor() -> Any:
    """The reactor that runs the tests."""
    from twisted.internet import reactor

    return reactor


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """A disk whose power can be cut."""
    disk = LoopDisk(tmp_path)
    try:
        disk.open()
        yield disk
    except NoDisk:
        pytest.skip("needs root, loop devices and mkfs.ext4")
    finally:
        disk.close()


@pytest_twisted.async_yield_fixture
async def install(
    reactor: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Install]:
    """Makes installations; nothing of them is left afterwards."""
    if "disk" in request.fixturenames:
        request.getfixturevalue("disk")  # before this: it outlives the processes on it
    installations: list[Installation] = []

    async def make(directory: Path) -> Installation:
        directory.mkdir(exist_ok=True)
        installation = Installation(reactor, directory)
        installations.append(installation)
        await installation.open()
        return installation

    yield lambda directory=tmp_path: Deferred.fromCoroutine(make(directory))
    for installation in installations:
        await installation.close()
