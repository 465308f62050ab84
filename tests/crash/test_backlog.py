"""Many calls wait, and are worked off while more are pushed: the daemon's memory grows with
neither."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_twisted
from daemon import Daemon
from installation import PATIENCE_SECONDS, Amount, Install
from tables import Tables

MOST_MIB = 150


def take_peak_mib(daemon: Daemon) -> int:
    """The most that was resident of it since this was asked last."""
    process = Path(f"/proc/{daemon.pid}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert peak is not None
    (process / "clear_refs").write_text("5")
    return int(peak[1]) // 1024


@pytest_twisted.ensureDeferred
async def test_memory_while_many_calls_wait(
    install: Install, tables: Tables, amount: Amount
) -> None:
    """They are on disk, not in the daemon; and all of them run."""
    calls = amount(1_000, 100_000)
    installation = await install()
    installation.function.seconds = lambda: None
    daemon = await installation.up(installation.function_settings())
    await installation.load.push(calls, 10 * PATIENCE_SECONDS)
    waiting_mib = take_peak_mib(daemon)
    installation.function.release()
    pushed = await installation.load.push(calls // 10, PATIENCE_SECONDS)
    await installation.invocations.when_run(installation.load.accepted)
    draining_mib = take_peak_mib(daemon)
    count = await installation.settle()
    tables.row(
        "Calls wait while 64 callers push",
        {
            "waiting": calls,
            "the daemon's memory, at most": f"{waiting_mib} MiB",
            "pushed while they run": len(pushed),
            "at most": f"{draining_mib} MiB",
            "accepted": count.accepted,
            "lost": count.lost,
            "ran again": count.again,
        },
    )
    assert max(waiting_mib, draining_mib) < MOST_MIB
    assert (count.lost, count.again) == (0, 0)
