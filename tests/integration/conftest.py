"""Fixtures of the tests that run the daemon, or a part of it, for real."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon, listened_to
from listener import Listener
from real_nats import RealNats
from stan_double import StanDouble
from twisted.internet.defer import Deferred

#: So much of what a process wrote tells why a test failed.
LAST_CHARACTERS = 8_000


def pytest_runtest_setup(item: pytest.Item) -> None:
    listened_to[:] = [each for each in listened_to if each.status is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call":
        for number, each in enumerate(listened_to, 1):
            report.sections.append((f"process {number} wrote", each.log[-LAST_CHARACTERS:]))
    return report


@pytest.fixture
def reactor() -> Any:
    """The reactor that runs the tests."""
    from twisted.internet import reactor

    return reactor


@pytest_twisted.async_yield_fixture
async def start_daemon(reactor: Any, tmp_path: Path) -> AsyncIterator[StartDaemon]:
    """Starts daemons on one state directory, one after the other; what is left is killed."""
    daemons: list[Daemon] = []

    async def start(config: str, **options: Any) -> Daemon:
        daemon = Daemon(reactor, tmp_path, config, **options)
        daemons.append(daemon)
        await daemon.start()
        return daemon

    yield lambda config, **options: Deferred.fromCoroutine(start(config, **options))
    for daemon in daemons:
        await daemon.end()


@pytest_twisted.async_yield_fixture
async def listener(reactor: Any) -> AsyncIterator[Listener]:
    """Where callbacks go, and where functions of kind ``url`` can be."""
    listening = Listener(reactor)
    await listening.open()
    yield listening
    await listening.close()


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A running server, which is nobody's child here."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


@pytest_twisted.async_yield_fixture
async def nats_streaming(reactor: Any, tmp_path: Path) -> AsyncIterator[StanDouble]:
    """A NATS Streaming server, as far as anybody can tell, on a NATS server without JetStream."""
    nats = RealNats(reactor, tmp_path, jetstream=False)
    await nats.start()
    server = StanDouble(await nats.client(), reactor)
    server.url = f"nats://{nats.address.host}:{nats.port}"
    server.start()
    yield server
    server.kill()
    await nats.end()


@pytest_twisted.async_yield_fixture(scope="module")
async def shared_daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Daemon]:
    """One daemon for all tests of a file, which says in ``SHARED`` how it is configured."""
    from twisted.internet import reactor

    daemon = Daemon(reactor, tmp_path_factory.mktemp("shared"), request.module.SHARED)
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.end()
