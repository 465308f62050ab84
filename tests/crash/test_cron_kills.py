"""A function that the daemon calls each second: one call for each, whatever is killed meanwhile."""

from __future__ import annotations

import random
from datetime import datetime

import pytest_twisted
from installation import Amount, Install
from tables import Tables
from twisted.internet.task import deferLater

#: The daemon is killed so soon after it has come up, at most: a time comes within it, or two.
MOST_SECONDS = 2.0


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_killed_between_ticks_and_in_them(
    install: Install, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """Those that came while none ran are made up for; none comes twice."""
    kills = amount(3, 20)
    installation = await install()
    reactor, server, invocations = (
        installation.reactor,
        installation.function,
        installation.invocations,
    )
    server.seconds = lambda: dice.uniform(0, 0.02)
    each_second = "schedule = '* * * * * *'\npayload = 'tick'\n"
    await installation.up(installation.function_settings(each_second))
    await invocations.when_begun(1)
    for _ in range(kills):
        await deferLater(reactor, dice.uniform(0, MOST_SECONDS))
        await installation.kill(installation.daemon.pid)
        await installation.up()
    # What was missed is made up for before the next is due; that two more come shows it.
    await invocations.when_begun(invocations.begun + 2)
    assert await installation.daemon.stop() == 0
    count = invocations.count([call_id for calls in server.ticks.values() for call_id in calls])
    seconds = sorted(round(datetime.fromisoformat(tick).timestamp()) for tick in server.ticks)
    missed = sorted(set(range(seconds[0], seconds[-1] + 1)) - set(seconds))
    twice = [tick for tick, calls in server.ticks.items() if len(calls) > 1]
    tables.row(
        "A schedule of each second, the daemon is killed",
        {
            "kills": kills,
            "times": len(seconds),
            "missed": len(missed),
            "with two calls": len(twice),
            "unanswered": count.in_flight,
            "ran again": count.again,
            "unexcused": count.unexcused,
        },
    )
    assert (missed, twice, count.unexcused) == ([], [], 0)
