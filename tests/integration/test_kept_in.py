"""Functions of a running daemon that are kept in. The tests share the daemon."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from daemon import Daemon
from test_call_status import accepted, in_state, until
from test_dead_letters import dead

SERVES = Path(__file__).parent / "functions" / "serves.py"
CONFIG = f"""
[defaults]
memory = '200MiB'
[functions.look]
command = 'cat /proc/self/status /proc/self/limits'
[functions.serves]
command = ['{{python}}', '{SERVES}']
mode = 'http'
open_files = 99
[functions.hog]
command = ['{{python}}', '-c', 'bytearray(10**9)']
"""


@pytest_twisted.async_yield_fixture(scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    from twisted.internet import reactor

    daemon = Daemon(reactor, tmp_path_factory.mktemp("kept-in"), CONFIG)
    await daemon.start()
    yield daemon
    await daemon.end()


@pytest_twisted.ensureDeferred
async def test_no_process_may_gain_privileges(daemon: Daemon) -> None:
    """Neither that of a call, nor a server, nor the broker; and each has its limits alone."""
    answer = await daemon.request("/function/look")
    server = Path("/proc") / (await daemon.request("/function/serves/pid")).body.decode()
    broker = Path("/proc") / str(daemon.broker_pid)
    assert b"\nNoNewPrivs:\t1\n" in answer.body
    for process in (server, broker):
        assert "\nNoNewPrivs:\t1\n" in (process / "status").read_text()
    assert re.search(rb"Max data size +209715200 +209715200 ", answer.body)
    limits = (server / "limits").read_text()
    assert re.search(r"Max data size +209715200 +209715200 ", limits)
    assert re.search(r"Max open files +99 +99 ", limits)
    assert re.search(r"Max data size +unlimited ", (broker / "limits").read_text())


@pytest_twisted.ensureDeferred
async def test_a_hog_has_a_clear_end(daemon: Daemon) -> None:
    """Its queued call fails and is a dead letter; what there is to say about it is the answer, and
    stands in the log with the call's id, below what the program said itself."""
    where = await accepted(daemon, "hog")
    sheet = await until(daemon, where, in_state("failed"))
    why = "hog exited with 1 (its limits: memory 200MiB)"
    result = await daemon.get(f"{where}/result")
    assert (result.status, result.body.decode()) == (500, f"{why}\n")
    assert f"{why}, call {sheet['id']}" in daemon.log
    assert "hog: MemoryError" in daemon.log
    [letter] = await dead(daemon, 1)
    assert letter["function"] == "hog"
