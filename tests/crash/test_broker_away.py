"""A NATS server of somebody else's is away for long: the daemon goes on without it.

A few seconds of it are in every run; an hour of it is::

    python -m pytest tests/crash/test_broker_away.py --away-seconds 3600
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, free_port
from listener import Listener, at
from real_nats import RealNats
from tables import Tables
from twisted.internet.task import deferLater

#: So often both doors are knocked at.
PAUSE_SECONDS = 0.05

#: What the daemon may take more at the end than it took when the server had been away for a while.
MORE_MIB, MORE_DESCRIPTORS = 16, 16

#: How many calls are made before that is looked at.
WARM_CALLS = 20


class Taken:
    """What a daemon takes of the machine."""

    def __init__(self, daemon: Daemon) -> None:
        self.mib = daemon.memory_bytes // 2**20
        self.descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))


@pytest_twisted.ensureDeferred
async def test_without_the_broker(
    reactor: Any, tmp_path: Path, tables: Tables, request: pytest.FixtureRequest
) -> None:
    """Nothing is started anew, ``/function/`` is served all the while, ``/async-function/`` refuses
    at once, and accepts again when the server is back; what the daemon takes does not grow."""
    away_seconds = request.config.getoption("--away-seconds", default=None) or 3
    nats, listener = RealNats(reactor, tmp_path), Listener(reactor)
    nats.port = free_port()
    await listener.open()
    await nats.start()
    daemon = Daemon(
        reactor,
        tmp_path,
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
        f"[functions.f]\nurl = '{listener.url('/f')}'\n",
    )
    try:
        await daemon.start()
        pid = daemon.pid
        await nats.kill()
        began, served, refused = reactor.seconds(), 0, 0
        before: Taken | None = None
        while reactor.seconds() - began < away_seconds or served < 2 * WARM_CALLS:
            assert (await daemon.request("/function/f", b"now")).status == 200
            # One that was on its way when the server went is in doubt; none was.
            assert (await daemon.request("/async-function/f", b"later")).status == 503
            served, refused = served + 1, refused + 1
            if served == WARM_CALLS:
                before = Taken(daemon)
            del listener.requests[:]
            await deferLater(reactor, PAUSE_SECONDS)
        after = Taken(daemon)
        await nats.start()
        while (await daemon.get("/readyz")).status != 200:
            await deferLater(reactor, PAUSE_SECONDS)
        assert (await daemon.request("/async-function/f/again", b"again")).status == 202
        await listener.when(1, at("/f/again"))
        assert (daemon.pid, daemon.status) == (pid, None)
        assert await daemon.stop() == 0
    finally:
        await daemon.end()
        await nats.end()
        await listener.close()
    assert before is not None
    tables.row(
        "Without the NATS server",
        {
            "away": f"{away_seconds} s",
            "restarts": 0,
            "synchronous calls served": served,
            "asynchronous ones refused": refused,
            "memory, MiB": f"{before.mib} to {after.mib}",
            "descriptors": f"{before.descriptors} to {after.descriptors}",
        },
    )
    assert after.mib <= before.mib + MORE_MIB
    assert after.descriptors <= before.descriptors + MORE_DESCRIPTORS
