"""Calls that are put off start at their times, across a SIGKILL in the middle."""

from __future__ import annotations

import random
import time

import pytest_twisted
from installation import MAX_INFLIGHT, Amount, Install
from raw_http import Response
from tables import Tables
from twisted.internet.defer import DeferredSemaphore, gatherResults
from twisted.internet.task import deferLater

#: How long after its time, or after the daemon is back if that is later, a call may start.
MOST_LATE_SECONDS = 1.0


@pytest_twisted.ensureDeferred
async def test_calls_that_are_put_off_start_at_their_times(
    install: Install, dice: random.Random, tables: Tables, amount: Amount
) -> None:
    """None early, each within a second, and none twice but what was in flight at the kill."""
    calls, most_seconds = amount(60, 1_000), amount(5, 60)
    installation = await install()
    invocations, reactor = installation.invocations, installation.reactor
    daemon = await installation.up(installation.function_settings())
    slots = DeferredSemaphore(8)
    delays = [round(dice.uniform(most_seconds / 5, most_seconds), 3) for _ in range(calls)]
    answers: list[Response] = await gatherResults(
        [
            slots.run(daemon.request, "/async-function/noted", b"x", X_Delay=f"{delay}s")
            for delay in delays
        ]
    )
    assert {answer.status for answer in answers} == {202}
    to_reactor = reactor.seconds() - time.time()
    due = {
        answer.header("X-Call-Id") or "": int(answer.header("X-Start-Time") or "") / 1e9
        + delay
        + to_reactor
        for answer, delay in zip(answers, delays, strict=True)
    }
    middle = sorted(due.values())[calls // 2]
    await deferLater(reactor, max(middle - reactor.seconds(), 0.0))
    await installation.kill(daemon.pid)
    killed_at = reactor.seconds()
    await installation.up()
    back_at = installation.ups[-1]
    await invocations.when_run(due)
    assert await installation.daemon.stop() == 0
    count = invocations.count(due)
    lateness = []
    for call_id, at in due.items():
        for run in invocations.runs[call_id][:1]:
            was_away = killed_at - MOST_LATE_SECONDS < at < back_at and run.life == 1
            lateness.append(run.began - (max(at, back_at) if was_away else at))
    early = sum(invocations.runs[call_id][0].began < at for call_id, at in due.items())
    tables.row(
        "Calls are put off, SIGKILL in the middle",
        {
            "accepted": count.accepted,
            "by up to": f"{most_seconds} s",
            "early": early,
            "latest": f"{max(lateness):.2f} s",
            "unanswered": count.in_flight,
            "lost": count.lost,
            "ran again": count.again,
            "unexcused": count.unexcused,
        },
    )
    assert (count.lost, count.unexcused, early) == (0, 0, 0)
    assert count.most_again <= MAX_INFLIGHT
    assert max(lateness) <= MOST_LATE_SECONDS
    assert len(lateness) == calls
