"""Two daemons take turns at one queue, on a nats-server of somebody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from installation import MAX_INFLIGHT, PATIENCE_SECONDS, Amount, Install, Installation
from real_nats import RealNats
from tables import Tables
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A nats-server."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


class Runs:
    """What ran at either of them."""

    def __init__(self, both: list[Installation]) -> None:
        self._both = both

    async def when_all_ran(self, accepted: set[str]) -> None:
        """At the one or at the other."""
        while not accepted <= self.call_ids:
            begun = [each.invocations.when_begun(each.invocations.begun + 1) for each in self._both]
            await DeferredList(begun, fireOnOneCallback=True, fireOnOneErrback=True)
            for waiter in begun:
                waiter.addErrback(lambda failure: failure.trap(CancelledError))
                waiter.cancel()

    @property
    def call_ids(self) -> set[str]:
        return {call_id for each in self._both for call_id in each.invocations.runs}

    @property
    def unanswered(self) -> int:
        return sum(len(left) for each in self._both for left in each.invocations.left_in_flight)

    @property
    def again(self) -> set[str]:
        return {call_id for call_id in self.call_ids if len(self._lives(call_id)) > 1}

    @property
    def unexcused(self) -> set[str]:
        """Of these, the ones of which more than one run was not in a life that a kill ended."""
        return {call_id for call_id in self.again if sum(map(bool, self._lives(call_id))) > 1}

    def _lives(self, call_id: str) -> list[bool]:
        """For each of its runs, whether the daemon it ran at lived on."""
        return [
            run.life == each.invocations.life
            for each in self._both
            for run in each.invocations.runs.get(call_id, ())
        ]


async def start(each: Installation, nats: RealNats) -> None:
    each.function.seconds = lambda: 0.05
    await each.up(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
        "[worker]\nack_wait = '2s'\n" + each.function_settings()
    )


@pytest_twisted.ensureDeferred
async def test_one_of_two_daemons_is_killed_again_and_again(
    install: Install, nats: RealNats, tmp_path: Path, tables: Tables, amount: Amount
) -> None:
    """Whatever either accepted runs, on either; only what was in flight in the one that was killed
    runs again, once its lease has run out. They are killed in turn, under load."""
    calls, kills = amount(600, 10_002), 3
    both = [await install(tmp_path / name) for name in ("one", "other")]
    await gatherResults([Deferred.fromCoroutine(start(each, nats)) for each in both])
    for kill in range(kills):
        killed, survivor = both[kill % 2], both[1 - kill % 2]
        pushing = [
            Deferred.fromCoroutine(each.load.push(calls // (2 * kills), PATIENCE_SECONDS))
            for each in both
        ]
        await killed.invocations.when_begun(killed.invocations.begun + calls // (12 * kills))
        await killed.kill(killed.daemon.pid)
        # It stays away until what it had in hand has come back to the other.
        await survivor.invocations.when_run(killed.invocations.left_in_flight[-1])
        await killed.up()
        await gatherResults(pushing)
    accepted = {call_id for each in both for call_id in each.load.accepted}
    runs = Runs(both)
    await runs.when_all_ran(accepted)
    interrupted = [
        (left, survivor.invocations.runs.keys())
        for killed, survivor in (both, both[::-1])
        for left in killed.invocations.left_in_flight
    ]
    assert await gatherResults([each.daemon.stop() for each in both]) == [0, 0]
    tables.row(
        "Two daemons on one nats-server, killed in turn",
        {
            "times": kills,
            "accepted by one": len(both[0].load.accepted),
            "by the other": len(both[1].load.accepted),
            "accepted": len(accepted),
            "ran at one": len(both[0].invocations.runs),
            "at the other": len(both[1].invocations.runs),
            "unanswered": runs.unanswered,
            "lost": len(accepted - runs.call_ids),
            "ran again": len(runs.again),
            "unexcused": len(runs.unexcused),
        },
    )
    assert accepted <= runs.call_ids
    assert all(left <= ran for left, ran in interrupted)
    assert runs.unexcused == set()
    assert len(runs.again) <= kills * MAX_INFLIGHT
