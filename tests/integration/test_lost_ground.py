"""A running daemon whose state directory is deleted, moved or taken by another."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener
from raw_http import Response

ECHO = "[functions.echo]\ncommand = ['{python}', '-m', 'faasd_async.demo.echo']\n"
PATIENT = "[worker]\ndrain_timeout = '10m'\n"
LOST = "no call is accepted any more: "
NOT_ANEW = "nats-server is not started anew: "


@pytest.fixture
def end_at_last() -> Iterator[Callable[[int], None]]:
    """Ends brokers that nobody finds any more by what is in their state directory."""
    pids: list[int] = []
    yield pids.append
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def refused(daemon: Daemon) -> Response:
    """Call until the answer is another than 202."""
    while (answer := await daemon.request("/async-function/echo", b"x")).status == 202:
        pass
    return answer


@pytest.mark.parametrize(
    ("what", "durability"),
    [("state", "power"), ("state", "process"), ("nats", "power"), ("nats/jetstream", "power")],
)
@pytest_twisted.ensureDeferred
async def test_a_state_directory_that_is_deleted(
    start_daemon: StartDaemon, end_at_last: Callable[[int], None], what: str, durability: str
) -> None:
    """No call is accepted in a store that has no name any more, and the log says what to do. What
    cannot be written down is not waited for, and nobody says that it will run again."""
    daemon = await start_daemon(f"[queue]\ndurability = '{durability}'\n" + PATIENT + ECHO)
    assert (await daemon.request("/async-function/echo", b"x")).status == 202
    broker = daemon.broker_pid
    end_at_last(broker)
    path = daemon.state if what == "state" else daemon.state / what
    while path.exists():
        # The broker may make another file meanwhile.
        shutil.rmtree(path, ignore_errors=True)
    await daemon.says(LOST + re.escape(str(path)))
    answer = await refused(daemon)
    assert (answer.status, b"was deleted" in answer.body) == (503, True)
    ready = await daemon.get("/readyz")
    assert (ready.status, b"was deleted" in ready.body) == (503, True)
    assert (await daemon.request("/function/echo", b"x")).status == 200
    if NOT_ANEW not in daemon.log:
        with suppress(ProcessLookupError):
            os.kill(broker, signal.SIGKILL)
        await daemon.says(NOT_ANEW)
    assert "the broker is started anew" not in daemon.log
    assert (await refused(daemon)).status == 503
    assert await daemon.stop() == 0
    assert "will run again" not in daemon.log
    assert "this is a bug" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_where_the_lock_was_removed(start_daemon: StartDaemon) -> None:
    """It does not start: it leaves the server alone whose daemon lives."""
    first = await start_daemon(ECHO)
    broker = first.broker_pid
    (first.state / "daemon.lock").unlink()
    second = await start_daemon(ECHO, wait_ready=False)
    await second.says(
        rf"nats-server \(pid {broker}\) on .* is that of a faasd-async that runs"
        rf" \(pid {first.pid}\)"
    )
    assert await second.ended() == 1
    assert first.broker_runs
    assert first.broker_pid == broker
    await first.says(LOST)
    # Deleted; or replaced, if the second daemon came before anybody had looked.
    assert b"daemon.lock was " in (await first.get("/readyz")).body
    assert await first.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_state_directory_that_is_put_back(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Nothing was lost: the next daemon runs what was accepted."""
    daemon = await start_daemon("[functions.f]\nurl = 'http://127.0.0.1:1/'\n")
    accepted = await daemon.request("/async-function/f", X_Callback_Url=listener.url("/told"))
    elsewhere = daemon.state.with_name("elsewhere")
    daemon.state.rename(elsewhere)
    await daemon.says(LOST)
    assert (await refused(daemon)).status in (404, 503)
    assert await daemon.stop() == 0
    shutil.rmtree(daemon.state, ignore_errors=True)
    elsewhere.rename(daemon.state)
    again = await start_daemon(f"[functions.f]\nurl = '{listener.url('/f')}'\n")
    await listener.when(2)
    known = await again.get(f"/call/{accepted.header('X-Call-Id')}")
    assert json.loads(known.body)["state"] == "succeeded"
