"""How much memory large bodies take of a running daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_twisted
from daemon import Daemon, StartDaemon
from twisted.internet.defer import gatherResults

MIB = 2**20


def peak_bytes(daemon: Daemon) -> int:
    """The most that was ever resident of it."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest_twisted.ensureDeferred
async def test_large_bodies_leave_the_daemon_small(start_daemon: StartDaemon) -> None:
    """Stored ones, eight at once, in and out again, and some that a function fails on while its
    callers wait: what is left of either does not stay until the collector's usual round."""
    daemon = await start_daemon(
        "[functions.size]\ncommand = ['wc', '-c']\n[functions.away]\nurl = 'http://127.0.0.1:1'\n"
    )
    idle_bytes, body = daemon.memory_bytes, bytes(12 * MIB)
    receipts = await gatherResults([daemon.request("/async-function/size", body) for _ in range(8)])
    for receipt in receipts:
        result = await daemon.get(f"{receipt.header('Location')}/result?wait=60s")
        assert (result.status, int(result.body)) == (200, len(body))
    for _ in range(24):
        assert (await daemon.request("/function/away", bytes(4 * MIB))).status == 502
    assert peak_bytes(daemon) < idle_bytes + 56 * MIB
