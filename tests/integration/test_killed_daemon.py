"""What a daemon leaves behind that is killed, and how the next one ends it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import READY, StartDaemon, free_port
from lifeline import when_ended
from twisted.internet.defer import gatherResults

SERVES = f"{sys.executable} {Path(__file__).parent / 'functions' / 'serves.py'}"

#: Says its pid and that of what it has started; neither of them minds being asked to end.
STUBBORN = 'trap "" TERM; tail -f /dev/null >/dev/null & echo "pids $$ $!" >&2; wait'


class Orphans:
    """Processes that a daemon leaves behind, in the session of the first of them.

    :ivar when_ended: fires when all of them have ended.
    """

    def __init__(self, reactor: Any, *pids: int) -> None:
        self._session = pids[0]
        self._are_gone = False
        self.when_ended = gatherResults([when_ended(reactor, pid) for pid in pids])
        self.when_ended.addCallback(self._ended)

    def _ended(self, result: object) -> None:
        self._are_gone = True

    def end(self) -> None:
        """Where the daemon has failed to."""
        if not self._are_gone:
            self.when_ended.addErrback(lambda _: None)
            os.killpg(self._session, signal.SIGKILL)


@pytest.fixture
def watch(reactor: Any) -> Iterator[Callable[..., Orphans]]:
    """Watches processes that are to be left behind."""
    watched: list[Orphans] = []

    def watch(*pids: int) -> Orphans:
        watched.append(Orphans(reactor, *pids))
        return watched[-1]

    yield watch
    for orphans in watched:
        orphans.end()


@pytest_twisted.ensureDeferred
async def test_a_server_on_its_own_port(
    start_daemon: StartDaemon, watch: Callable[..., Orphans]
) -> None:
    """The server of the daemon that was killed is gone, with the shell that started it; that of
    the next daemon has the port, and answers the first call."""
    config = (
        "[functions.web]\nmode = 'http'\nready_path = '/ready'\n"
        f"port = {free_port()}\ncommand = ['sh', '-c', '{SERVES}; true']\n"
    )
    killed = await start_daemon(config)
    old = int((await killed.request("/function/web/pid")).body)
    shell = os.getsid(old)
    orphans = watch(shell, old)
    assert old != shell
    await killed.kill()
    assert not orphans.when_ended.called
    daemon = await start_daemon(config)
    answer = await daemon.request("/function/web/pid")
    assert answer.status == 200
    assert int(answer.body) != old
    await orphans.when_ended
    assert (
        f"ending sh (pid {shell}) and what it started: an earlier daemon was killed" in daemon.log
    )
    assert "is started again" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_the_process_of_a_call(
    start_daemon: StartDaemon, watch: Callable[..., Orphans]
) -> None:
    """It is killed with all that it has started before any function starts."""
    killed = await start_daemon(f"[functions.slow]\ncommand = ['sh', '-c', '{STUBBORN}']\n")
    broken = killed.request("/function/slow")
    broken.addErrback(lambda _: None)
    pids = await killed.says(r"pids (\d+) (\d+)")
    orphans = watch(*map(int, pids.groups()))
    await killed.kill()
    assert not orphans.when_ended.called
    daemon = await start_daemon("[functions.echo]\ncommand = ['cat']\n", wait_ready=False)
    await daemon.says(rf"ending sh \(pid {pids[1]}\)")
    await daemon.says("1 functions are deployed")
    await orphans.when_ended
    await daemon.says(READY)


@pytest_twisted.ensureDeferred
async def test_a_stop_leaves_no_notes(start_daemon: StartDaemon) -> None:
    """What has ended is not looked for."""
    config = f"[functions.web]\nmode = 'http'\ncommand = '{SERVES}'\n"
    daemon = await start_daemon(config)
    assert (daemon.state / "processes").read_text().split()
    await daemon.stop()
    assert not (daemon.state / "processes").read_text().split()
