"""What the broker is to hand out again at once is not left to the end of its lease.

Each lease here lasts ten minutes: what was left to its end would come after every patience.
"""

from __future__ import annotations

import time

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener, Received, at
from test_call_cancel import cancel
from test_call_status import accepted, status
from test_calls import function
from test_pausing import order

LEASES = "[worker]\nack_wait = '10m'\n"


@pytest_twisted.ensureDeferred
async def test_a_call_in_flight_at_a_crash_beside_one_that_was_settled(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """An older call of another function is under way, too: so there may be settled messages that a
    power cut has brought back, and they are looked for."""
    config = LEASES + function("a", listener) + function("b", listener)
    first: list[Received] = []
    listener.on_request = first.append
    daemon = await start_daemon(config)
    for name, count in (("a", 1), ("b", 2)):
        await accepted(daemon, name)
        await listener.when(count)
        if name == "b":
            first.pop().answer()
    await accepted(daemon, "b")
    await listener.when(3)
    await daemon.kill()
    listener.on_request = Received.answer
    await start_daemon(config)
    await listener.when(2, at("/a/"))
    await listener.when(3, at("/b/"))


@pytest.mark.parametrize("names", ["ab", "ba"])
@pytest_twisted.ensureDeferred
async def test_calls_in_flight_at_a_crash_beside_fresh_ones(
    start_daemon: StartDaemon, listener: Listener, names: str
) -> None:
    """Two calls of ``b`` had the only two places there are, and ``a`` would have them now: it has
    to wait for as long as ``b`` takes, though it may be the first that is asked for."""
    config = "[worker]\nmax_inflight = 2\n" + "".join(function(name, listener) for name in names)
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    await order(daemon, "function/a/pause")  # so that none of its calls is fetched beforehand
    in_flight = {await accepted(daemon, "b") for _ in range(2)}
    await listener.when(2)
    await order(daemon, "function/a/resume")
    for _ in range(4):
        await accepted(daemon, "a")
    await daemon.kill()
    await start_daemon(config)
    again = (await listener.when(4))[2:]
    assert {f"/call/{request.header('X-Call-Id')}" for request in again} == in_flight


@pytest_twisted.ensureDeferred
async def test_a_retry_whose_time_has_come_beside_a_call_that_is_cancelled(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It waits for the one place there is, and gets it as soon as that is free."""
    retries = "max_inflight = 1\n[functions.a.retry]\nmin_wait = '10ms'\nmax_wait = '10ms'\n"
    daemon = await start_daemon(LEASES + function("a", listener, retries))
    running: list[Received] = []
    listener.on_request = running.append
    await accepted(daemon, "a", b"busy at first")
    await listener.when(1)
    await accepted(daemon, "a", b"in the way")
    cancelled = await accepted(daemon, "a", b"cancelled")
    running.pop().answer(503)
    (*_, request) = await listener.when(2)
    assert request.body == b"in the way"
    # The broker is asked and answers, for much longer than the wait.
    over = time.monotonic() + 0.5
    while time.monotonic() < over:
        await status(daemon, cancelled)
    assert (await cancel(daemon, cancelled)).status == 202
    running.pop().answer()
    (*_, request) = await listener.when(3)
    assert request.body == b"busy at first"
