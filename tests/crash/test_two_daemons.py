"""Two daemons take turns at one queue, on a nats-server of somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from installation import MAX_INFLIGHT, PATIENCE_SECONDS, Amount, Install, Installation
from real_nats import RealNats
from tables import Tables
from twisted.internet.defer import Deferred, gatherResults


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A nats-server."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


async def start(each: Installation, nats: RealNats) -> None:
    each.function.seconds = lambda: 0.05
    await each.up(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
        "[worker]\nack_wait = '2s'\n" + each.function_settings()
    )


@pytest_twisted.ensureDeferred
async def test_one_of_two_daemons_is_killed_midway(
    install: Install, nats: RealNats, tmp_path: Path, tables: Tables, amount: Amount
) -> None:
    """Whatever either accepted runs, on either; only what was in flight in the one that was killed
    runs again, once its lease has run out."""
    calls = amount(300, 10_000)
    both = [await install(tmp_path / name) for name in ("killed", "other")]
    killed, other = both
    await gatherResults([Deferred.fromCoroutine(start(each, nats)) for each in both])
    pushing = [
        Deferred.fromCoroutine(each.load.push(calls // 2, PATIENCE_SECONDS)) for each in both
    ]
    await killed.load.when_accepted(calls // 2, PATIENCE_SECONDS)
    await killed.invocations.when_begun(max(calls // 5, killed.invocations.begun + 1))
    await killed.kill(killed.daemon.pid)
    await gatherResults(pushing)
    accepted = {*killed.load.accepted, *other.load.accepted}
    await other.invocations.when_run(accepted - killed.invocations.runs.keys())
    in_flight = killed.invocations.left_in_flight[0]
    await other.invocations.when_run(in_flight)
    other_count = await other.settle(losses=True)
    ran_at_killed = killed.invocations.runs.keys()
    ran_at_other = other.invocations.runs.keys()
    again = ran_at_killed & ran_at_other
    tables.row(
        "Two daemons on one nats-server, one is killed",
        {
            "accepted by the killed": len(killed.load.accepted),
            "by the other": len(other.load.accepted),
            "ran at the killed": len(ran_at_killed),
            "at the other": len(ran_at_other & accepted),
            "unanswered": len(in_flight),
            "lost": len(accepted - ran_at_killed - ran_at_other),
            "ran again": len(again),
        },
    )
    assert accepted <= ran_at_killed | ran_at_other
    assert len(again) <= MAX_INFLIGHT
    assert other_count.again == 0
    assert all(len(runs) == 1 for runs in killed.invocations.runs.values())
