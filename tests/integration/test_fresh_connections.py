"""Connections that come while processes end: a number that one had is soon another's."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from daemon import StartDaemon
from raw_http import exchange
from twisted.internet.defer import Deferred, gatherResults

CALLERS, CALLS_OF_EACH = 32, 60


@pytest_twisted.ensureDeferred
async def test_each_is_answered(reactor: Any, start_daemon: StartDaemon) -> None:
    """What the reactor saw of a process that has ended is not taken for the end of a client who
    has just come: each of many callers, with a connection for each call, gets a 202."""
    daemon = await start_daemon(
        "[queue]\naccept_deadline = '30s'\n"
        "[functions.f]\ncommand = ['sh', '-c', 'cat']\nmax_inflight = 8\n"
    )
    statuses: list[int] = []

    async def call() -> None:
        for _ in range(CALLS_OF_EACH):
            answer = await exchange(reactor, daemon.port, "POST", "/async-function/f", [], b"x")
            statuses.append(answer.status)

    await gatherResults([Deferred.fromCoroutine(call()) for _ in range(CALLERS)])
    assert statuses == [202] * (CALLERS * CALLS_OF_EACH)
