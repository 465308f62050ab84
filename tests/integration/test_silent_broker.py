"""A NATS server that stands still, and keeps its connections."""

from __future__ import annotations

import os
import signal

import pytest_twisted
from daemon import Daemon, StartDaemon
from raw_http import Response

ECHO = "[functions.echo]\ncommand = 'cat'\n"


async def ready_is(daemon: Daemon, status: int) -> Response:
    """Ask until it is so."""
    while True:
        answer = await daemon.get("/readyz")
        if answer.status == status:
            return answer


@pytest_twisted.ensureDeferred
async def test_it_is_found_out(start_daemon: StartDaemon) -> None:
    """Who pushes is refused at once, and may try again; who waits is served. When it goes on calls
    are accepted."""
    daemon = await start_daemon(ECHO)
    os.kill(daemon.broker_pid, signal.SIGSTOP)
    try:
        said = await ready_is(daemon, 503)
        assert b"the NATS server has not answered for" in said.body
        refused = await daemon.request("/async-function/echo", b"x")
        assert (refused.status, refused.header("Retry-After")) == (503, "1")
        assert b"the NATS server has not answered for" in refused.body
        assert (await daemon.request("/function/echo", b"x")).body == b"x"
    finally:
        os.kill(daemon.broker_pid, signal.SIGCONT)
    await ready_is(daemon, 200)
    assert (await daemon.request("/async-function/echo", b"x")).status == 202
