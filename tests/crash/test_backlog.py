"""Many calls wait while more are pushed: the daemon's memory does not grow with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_twisted
from installation import PATIENCE_SECONDS, Amount, Install
from tables import Tables

MOST_MIB = 150


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
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    peak_mib = int(peak[1]) // 1024
    installation.function.release()
    await installation.invocations.when_begun(calls)
    count = await installation.settle()
    tables.row(
        "Calls wait while 64 callers push",
        {
            "waiting": calls,
            "the daemon's memory, at most": f"{peak_mib} MiB",
            "lost": count.lost,
            "ran again": count.again,
        },
    )
    assert peak_mib < MOST_MIB
    assert (count.lost, count.again) == (0, 0)
