"""SIGKILL under load, at moments drawn by lot: nothing that was accepted is lost, and a call runs
again only if it was in flight."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from function_server import FunctionServer
from installation import (
    MAX_INFLIGHT,
    PATIENCE_SECONDS,
    Amount,
    Install,
    Installation,
)
from invocations import Count, Invocations
from load import Load
from noted_process import NotedProcess
from tables import Tables
from twisted.internet.task import deferLater

TITLE = "SIGKILL, 64 callers"

#: With the default lease of 30 s, what was in flight is to run again in a fraction of it.
LONGEST_RETURN_SECONDS = 5.0

#: Likewise, until the last callback of what was accepted before a nats-server was stopped: all of
#: these calls have to run first.
LONGEST_TOLD_SECONDS = 20.0
FEW_CALLS = 200

#: A moment is one of the next so many 202s, or beginnings of invocations.
MOST_CALLS = 300


def tell(
    tables: Tables, killed: str, kills: int, count: Count, slowest_return: float | None = None
) -> None:
    tables.row(
        TITLE,
        {
            "killed": killed,
            "times": kills,
            "accepted": count.accepted,
            "unanswered": count.in_flight,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
            "back within": "" if slowest_return is None else f"{slowest_return:.2f} s",
        },
    )


def slow_down(installation: Installation, dice: random.Random) -> None:
    """Each invocation takes up to 20 ms: at any moment some are under way, and others wait."""
    installation.function.seconds = lambda: dice.uniform(0, 0.02)


@pytest.mark.parametrize("killed", ["the daemon", "the daemon and its nats-server"])
@pytest_twisted.ensureDeferred
async def test_the_daemon_is_killed(
    install: Install, dice: random.Random, tables: Tables, amount: Amount, killed: str
) -> None:
    """What was in flight runs again soon after the next start, not after its lease."""
    kills = amount(3, 20)
    installation = await install()
    slow_down(installation, dice)
    await installation.up(installation.function_settings())
    for _ in range(kills):
        await installation.moment(dice, MOST_CALLS)
        pids = [installation.daemon.pid]
        if killed != "the daemon":
            pids.append(installation.daemon.broker_pid)
        await installation.kill(*pids)
        await installation.up()
    count = await installation.settle()
    slowest = max(
        installation.invocations.slowest_return(life, up_at)
        for life, up_at in enumerate(installation.ups[1 : kills + 1], start=1)
    )
    tell(tables, killed, kills, count, slowest)
    assert (count.lost, count.unexcused) == (0, 0)
    assert count.most_again <= MAX_INFLIGHT
    assert slowest < LONGEST_RETURN_SECONDS


@pytest_twisted.ensureDeferred
async def test_the_nats_server_is_killed(
    install: Install, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """The daemon starts it again and goes on; it knows what it has in hand, and nothing runs
    again."""
    kills = amount(3, 20)
    installation = await install()
    slow_down(installation, dice)
    installation.load = Load(installation.reactor, installation.port, named=True)
    settings = "[worker]\nack_wait = '2s'\n" + installation.function_settings()
    daemon = await installation.up(settings)
    for _ in range(kills):
        await installation.moment(dice, MOST_CALLS)
        while not daemon.broker_runs:
            # What began just now was in hand since before the last kill.
            await installation.moment(dice, MOST_CALLS)
        await installation.kill(daemon.broker_pid)
    count = await installation.settle()
    tell(tables, "its nats-server", kills, count)
    assert (count.lost, count.again) == (0, 0)
    assert installation.load.never.isdisjoint(installation.invocations.runs)


@pytest_twisted.ensureDeferred
async def test_the_nats_server_is_stopped(
    install: Install, dice: random.Random, tables: Tables, amount: Amount, reactor: Any
) -> None:
    """What it had handed out and nobody got, callbacks above all, comes again at once: it has
    written down whom it lent them to."""
    stops = amount(3, 20)
    installation = await install()
    slow_down(installation, dice)
    receiver = FunctionServer(reactor, Invocations(reactor, PATIENCE_SECONDS))
    receiver.seconds = lambda: dice.uniform(0, 0.02)
    await receiver.open()
    fields = (("X-Callback-Url", receiver.url),)
    load = installation.load = Load(reactor, installation.port, fields=fields, named=True)
    daemon = await installation.up(installation.function_settings())
    slowest = 0.0
    for _ in range(stops):
        # Few enough that nothing waits for its turn for long: what is timed is the way back.
        load.begin(FEW_CALLS)
        moment = len(load.accepted) + dice.randrange(1, FEW_CALLS)
        await load.when_accepted(moment, PATIENCE_SECONDS)
        before = load.accepted.copy()
        os.kill(daemon.broker_pid, signal.SIGTERM)
        await daemon.says("nats-server ended unexpectedly")
        # Its next start waits the longer, the more often it has ended.
        while not daemon.broker_runs or (await daemon.get("/readyz")).status != 200:
            await deferLater(reactor, 0.05)
        up_at = reactor.seconds()
        await receiver.invocations.when_run(before)
        slowest = max(slowest, reactor.seconds() - up_at)
    await receiver.invocations.when_run(load.accepted)
    count = await installation.settle()
    await receiver.close()
    told = receiver.invocations.count(load.accepted)
    tell(tables, "its nats-server, by SIGTERM", stops, count, slowest)
    assert (count.lost, count.again, told.lost) == (0, 0, 0)
    assert load.never.isdisjoint(installation.invocations.runs)
    assert slowest < LONGEST_TOLD_SECONDS


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_stopped(
    install: Install, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """SIGTERM: what runs is brought to its end, and nothing runs again."""
    stops = amount(3, 20)
    installation = await install()
    slow_down(installation, dice)
    await installation.up(installation.function_settings())
    for _ in range(stops):
        await installation.moment(dice, MOST_CALLS)
        assert await installation.daemon.stop() == 0
        await installation.up()
    count = await installation.settle()
    tell(tables, "the daemon, by SIGTERM", stops, count)
    assert (count.lost, count.again) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_a_function_process_is_killed(
    install: Install,
    dice: random.Random,
    tables: Tables,
    amount: Amount,
    tmp_path: Path,
    reactor: Any,
) -> None:
    """A policy that names 502 has the calls tried again that were in its hands; the others wait
    until there is another process."""
    kills = amount(3, 20)
    installation = await install()
    invocations = installation.invocations
    process = NotedProcess(reactor, tmp_path, invocations)
    try:
        retry = "retry = { codes = [502], min_wait = '50ms', backoff = 'exponential' }\n"
        await installation.up(process.settings(MAX_INFLIGHT, retry))
        for _ in range(kills):
            installation.load.begin(MOST_CALLS)
            await invocations.when_begun(invocations.begun + dice.randrange(1, MOST_CALLS))
            pid = process.pid
            await installation.kill_function(process)
            await process.when_serves(pid, PATIENCE_SECONDS)
        count = await installation.settle()
    finally:
        process.close()
    tell(tables, "a function's process", kills, count)
    assert (count.lost, count.unexcused) == (0, 0)
    assert count.most_again <= MAX_INFLIGHT
