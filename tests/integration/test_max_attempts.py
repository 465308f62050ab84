"""Calls whose callers want them tried less often, through the daemon."""

from __future__ import annotations

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener
from test_call_status import accepted, in_state, status, until
from test_calls import function

RETRY = "retry = { attempts = 3, min_wait = '1ms', max_wait = '2ms' }"


@pytest.mark.parametrize(("asked", "attempts"), [("1", 1), ("2", 2), ("50", 3)])
@pytest_twisted.ensureDeferred
async def test_a_caller_lowers_the_attempts_and_never_raises_them(
    start_daemon: StartDaemon, listener: Listener, asked: str, attempts: int
) -> None:
    """After the last one the call is dead, and the function was not told of the limit."""
    listener.on_request = lambda request: request.answer(503)
    daemon = await start_daemon(function("a", listener, RETRY))
    where = await accepted(daemon, "a", X_Max_Attempts=asked)
    sheet = await until(daemon, where, in_state("dead"))
    assert [each["status"] for each in sheet["attempts"]] == [503] * attempts
    assert len(listener.requests) == attempts
    assert {each.header("X-Max-Attempts") for each in listener.requests} == {None}


@pytest_twisted.ensureDeferred
async def test_the_limit_outlives_the_daemon(start_daemon: StartDaemon, listener: Listener) -> None:
    """It is stored with the call, and holds for whichever daemon tries it."""
    config = function("a", listener, RETRY + "\nmax_inflight = 1")
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    await accepted(daemon, "a", b"first")
    where = await accepted(daemon, "a", b"limited", X_Max_Attempts="1")
    await listener.when(1)
    await daemon.kill()
    listener.on_request = lambda request: request.answer(503 if request.body == b"limited" else 200)
    daemon = await start_daemon(config)
    await until(daemon, where, in_state("dead"))
    assert len((await status(daemon, where))["attempts"]) == 1
