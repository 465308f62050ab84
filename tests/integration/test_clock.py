"""A machine that does not know the time when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest_twisted
from daemon import StartDaemon
from listener import Listener
from test_calls import function

DAY = 86400


@pytest_twisted.ensureDeferred
async def test_a_daemon_waits_for_a_clock_that_is_behind_what_is_stored(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It says for how long, refuses calls meanwhile, and goes on then with what it has."""
    config = function("f", listener)
    daemon = await start_daemon(config)
    answer = await daemon.request("/async-function/f", b"x", X_Delay="1s")
    assert answer.status == 202
    await daemon.kill()
    os.kill(daemon.broker_pid, 9)
    tomorrow = time.time() + DAY
    os.utime(daemon.state / "nats" / "server.pid", (tomorrow, tomorrow))
    daemon = await start_daemon(f"[queue]\nclock_wait = '500ms'\n{config}", wait_ready=False)
    await daemon.says("waiting for it to be set, for 0.5 s at most")
    ready = await daemon.get("/readyz")
    assert (ready.status, ready.body) == (503, b"the clock is not set yet\n")
    assert (await daemon.request("/async-function/f", b"y")).status == 503
    await daemon.says("nobody has set the clock")
    await listener.when(1)
    assert await daemon.stop() == 0
    assert [request.body for request in listener.requests] == [b"x"]


def test_waits_are_measured_by_the_monotonic_clock() -> None:
    """In the daemon, whatever Twisted would take; unless something waits already."""
    program = (
        "import time\n"
        "from twisted.internet import reactor\n"
        "from faasd_async.tap import keep_monotonic\n"
        "waiting = reactor.callLater(1, lambda: None)\n"
        "keep_monotonic(reactor)\n"
        "assert reactor.seconds is not time.monotonic\n"
        "waiting.cancel()\n"
        "keep_monotonic(reactor)\n"
        "assert reactor.seconds is time.monotonic\n"
        "reactor.callLater(0.01, reactor.stop)\n"
        "reactor.run()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
