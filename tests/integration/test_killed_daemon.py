"""What a daemon leaves behind that is killed, and how the next one ends it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import READY, StartDaemon, free_port
from lifeline import when_ended
from twisted.internet.defer import gatherResults

SERVES = f"{sys.executable} {Path(__file__).parent / 'functions' / 'serves.py'}"

#: Says its pid and that of what it has started; neither of them minds being asked to end.
STUBBORN = 'trap "" TERM; tail -f /dev/null >/dev/null & echo "pids $$ $!" >&2; wait'


@pytest_twisted.ensureDeferred
async def test_a_server_on_its_own_port(start_daemon: StartDaemon, reactor: Any) -> None:
    """The server of the daemon that was killed is gone, with the shell that started it; that of
    the next daemon has the port, and answers the first call."""
    config = (
        "[functions.web]\nmode = 'http'\nready_path = '/ready'\n"
        f"port = {free_port()}\ncommand = ['sh', '-c', '{SERVES}; true']\n"
    )
    killed = await start_daemon(config)
    old = int((await killed.request("/function/web/pid")).body)
    shell = os.getsid(old)
    ended = gatherResults([when_ended(reactor, pid) for pid in (old, shell)])
    assert old != shell
    await killed.kill()
    assert not ended.called
    daemon = await start_daemon(config)
    answer = await daemon.request("/function/web/pid")
    await ended
    assert answer.status == 200
    assert int(answer.body) != old
    assert (
        f"ending sh (pid {shell}) and what it started: an earlier daemon was killed" in daemon.log
    )
    assert "is started again" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_the_process_of_a_call(start_daemon: StartDaemon, reactor: Any) -> None:
    """It is killed with all that it has started before any function starts."""
    killed = await start_daemon(f"[functions.slow]\ncommand = ['sh', '-c', '{STUBBORN}']\n")
    broken = killed.request("/function/slow")
    broken.addErrback(lambda _: None)
    pids = await killed.says(r"pids (\d+) (\d+)")
    ended = gatherResults([when_ended(reactor, int(pid)) for pid in pids.groups()])
    await killed.kill()
    assert not ended.called
    daemon = await start_daemon("[functions.echo]\ncommand = ['cat']\n", wait_ready=False)
    await daemon.says(rf"ending sh \(pid {pids[1]}\)")
    await daemon.says("1 functions are deployed")
    await daemon.says(READY)
    await ended


@pytest_twisted.ensureDeferred
async def test_a_stop_leaves_no_notes(start_daemon: StartDaemon) -> None:
    """What has ended is not looked for."""
    config = f"[functions.web]\nmode = 'http'\ncommand = '{SERVES}'\n"
    daemon = await start_daemon(config)
    assert (daemon.state / "processes").read_text().split()
    await daemon.stop()
    assert not (daemon.state / "processes").read_text().split()
