"""NATS Streaming is killed under load and comes back with what it had stored: what was accepted
runs, and nothing that was handed out before runs again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from installation import PATIENCE_SECONDS, Amount, Install
from real_nats import RealNats
from stan_double import StanDouble, Store
from tables import Tables

#: How often a session is lost.
LOSSES = 5

TITLE = "NATS Streaming is killed, 64 callers"


class NatsStreaming:
    """A server as far as anybody can tell, which keeps what it stores."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        self._reactor = reactor
        self._nats = RealNats(reactor, directory, jetstream=False)
        self._store = Store()
        self._double: StanDouble

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._nats.port}"

    async def start(self) -> None:
        await self._nats.start()
        self._double = StanDouble(await self._nats.client(), self._reactor, self._store)
        self._double.start()

    async def kill(self) -> None:
        await self._nats.kill()
        self._double.kill()

    async def end(self) -> None:
        self._double.kill()
        await self._nats.end()


@pytest_twisted.async_yield_fixture
async def streaming(reactor: Any, tmp_path: Path) -> AsyncIterator[NatsStreaming]:
    """One that runs."""
    streaming = NatsStreaming(reactor, tmp_path)
    await streaming.start()
    yield streaming
    await streaming.end()


@pytest_twisted.ensureDeferred
async def test_sessions_are_lost(
    install: Install,
    streaming: NatsStreaming,
    dice: random.Random,
    tables: Tables,
    amount: Amount,
) -> None:
    """Each at a moment between two receipts that is drawn by lot."""
    calls = amount(1000, 10_000)
    installation = await install()
    # At any moment some are under way.
    installation.function.seconds = lambda: dice.uniform(0, 0.02)
    await installation.up(
        f"[queue]\nbackend = 'nats-streaming'\n[nats.streaming]\nurls = ['{streaming.url}']\n"
        + installation.function_settings()
    )
    load = installation.load
    for loss in range(1, LOSSES + 1):
        part = calls * loss // (LOSSES + 1)
        load.begin(part - len(load.accepted) + dice.randrange(calls // 10))
        await load.when_accepted(part, PATIENCE_SECONDS)
        await streaming.kill()
        installation.invocations.end_life()
        await streaming.start()
    await load.push(calls - len(load.accepted), PATIENCE_SECONDS)
    count = await installation.settle()
    tables.row(
        TITLE,
        {
            "sessions lost": LOSSES,
            "accepted": count.accepted,
            "unanswered": count.in_flight,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
            "refused meanwhile": load.refused.total(),
        },
    )
    assert count.accepted >= calls
    assert (count.lost, count.unexcused) == (0, 0)
    assert count.again <= count.in_flight
