"""A disk whose flushes take long: callers wait, or get a 504, and nothing is lost."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest
import pytest_twisted
from daemon import Daemon
from installation import PATIENCE_SECONDS, Amount, Install
from load import Load
from tables import Tables

#: What takes longer is a 504.
DEADLINE_MS = 900

#: The slowest of the barriers in small, with a deadline to match: for runs that are not full.
SMALL_DELAY_MS, SMALL_DEADLINE_MS = 600, 300

PROGRAM = Path(__file__).with_name("slow_flush.py")


class SlowDaemon(Daemon):
    """Its barrier takes so much longer."""

    delay_seconds = 0.0

    @property
    def arguments(self) -> list[str]:
        return [sys.executable, str(PROGRAM), str(self.delay_seconds), *super().arguments[1:]]


def milliseconds(load: Load) -> tuple[str, str]:
    """The median and the 99th percentile."""
    if len(load.seconds) < 2:
        return "", ""
    p99 = statistics.quantiles(load.seconds, n=100)[-1]
    return f"{statistics.median(load.seconds) * 1000:.0f} ms", f"{p99 * 1000:.0f} ms"


@pytest.mark.parametrize("delay_ms", [50, 300, 2000])
@pytest_twisted.ensureDeferred
async def test_the_barrier_takes_long(
    install: Install, tables: Tables, amount: Amount, delay_ms: int
) -> None:
    """Under ``accept_deadline`` a 202 comes later; over it there is none, but a 504. Callers of
    ``/function/`` do not wait for the disk at all."""
    installation = await install()
    deadline_ms = DEADLINE_MS
    if delay_ms > deadline_ms and not tables.full:
        delay_ms, deadline_ms = SMALL_DELAY_MS, SMALL_DEADLINE_MS
    slow = type("Slow", (SlowDaemon,), {"delay_seconds": delay_ms / 1000})
    settings = (
        f"[queue]\naccept_deadline = '{deadline_ms}ms'\n"
        f"[functions.noted]\nurl = '{installation.function.url}'\nmax_inflight = 200\n"
    )
    await installation.up(settings, kind=slow)
    load = installation.load
    at_once = Load(
        installation.reactor, installation.port, "/function/noted", callers=4, accepted_status=200
    )
    at_once.begin()
    await at_once.when_accepted(4, PATIENCE_SECONDS)
    load.begin()
    await load.when_answered(amount(64, 1280), PATIENCE_SECONDS)
    load.stop()
    at_once.stop()
    # The disk is as fast as ever from here on.
    assert await installation.daemon.stop() == 0, installation.daemon.log
    await installation.up()
    count = await installation.settle()
    p50, p99 = milliseconds(load)
    sync_p50, sync_p99 = milliseconds(at_once)
    tables.row(
        "Each flush of the disk takes longer, 64 callers",
        {
            "by": f"{delay_ms} ms",
            "accepted": len(load.accepted),
            "p50": p50,
            "p99": p99,
            "504": load.refused[504],
            "other": load.refused.total() - load.refused[504],
            "lost": count.lost,
            "ran again": count.again,
            "/function/": len(at_once.accepted),
            "p50 ": sync_p50,
            "p99 ": sync_p99,
        },
    )
    assert (count.lost, count.again) == (0, 0)
    assert at_once.refused.total() == 0
    assert load.refused.keys() <= {504}
    if delay_ms > deadline_ms:
        assert load.accepted == []
    else:
        assert load.accepted
        assert statistics.median(load.seconds) >= delay_ms / 1000
    assert statistics.median(at_once.seconds) < max(delay_ms / 1000, 0.25)
