"""``faasd-async migrate``: a channel of NATS Streaming is emptied into a daemon, each call once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest_twisted
from command_line import Running, command
from daemon import StartDaemon
from listener import Listener, at
from stan_double import StanDouble

from faasd_async.call.openfaas.message import OpenFaasMessage
from faasd_async.call.openfaas.url import GoUrl

CALLS = 60


def message(number: int, callback: str, function: str = "f.openfaas-fn") -> bytes:
    return OpenFaasMessage(
        function=function,
        header={
            "X-Call-Id": [f"a-call-of-theirs-{number}"],
            "X-Number": [str(number)],
            "Prefer": ["wait=20"],
        },
        path="/a b",
        query_string=f"n={number}",
        body=b"\x00body",
        callback_url=GoUrl.of(callback.encode()),
    ).write()


@pytest_twisted.ensureDeferred
async def test_a_channel_is_emptied(
    reactor: Any, start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """Killed in the midst of it and begun again, it brings each call to the daemon once, with path,
    query, fields, body, id and callback, and waits for none of them; what the daemon does not want
    stays, and is told."""
    listener.on_request = lambda request: request.answer(200, b"done")
    daemon = await start_daemon(
        f"[functions.f]\nurl = '{listener.url()}'\nmax_inflight = 20\n"
        "[functions.g]\nurl = 'http://127.0.0.1:1'\n"
    )
    for number in range(CALLS):
        nats_streaming.put("faas-request", message(number, listener.url("/back")))
    arguments = ("migrate", "--from", nats_streaming.url, "--idle", "1.5")
    interrupted = Running(reactor, daemon, *arguments)
    await listener.when(10, at("/a%20b"))
    await interrupted.kill()
    nats_streaming.put("faas-request", message(CALLS, listener.url("/back"), "nobody"))
    nats_streaming.put("faas-request", b"{}")
    resumed = await command(reactor, daemon, "--json", *arguments)
    calls = await listener.when(CALLS, at("/a%20b"))
    callbacks = await listener.when(CALLS, at("/back"))
    assert len(callbacks) == CALLS
    told = json.loads(resumed.printed)
    assert resumed.status == 1
    assert sorted(told["left"]) == [str(CALLS + 1), str(CALLS + 2)]
    assert "404" in told["left"][str(CALLS + 1)]
    assert {request.header("X-Call-Id") for request in callbacks} == {
        f"a-call-of-theirs-{number}" for number in range(CALLS)
    }
    first = next(each for each in calls if each.header("X-Number") == "0")
    assert (first.target, first.body) == (b"/a%20b?n=0", b"\x00body")
    assert len([each for each in listener.requests if at("/a%20b")(each)]) == CALLS
    unacknowledged = {CALLS + 1, CALLS + 2}
    assert {sequence for _, sequence in nats_streaming.acked} == (
        set(range(1, CALLS + 1)) - unacknowledged
    )


@pytest_twisted.ensureDeferred
async def test_nobody_there(reactor: Any, start_daemon: StartDaemon) -> None:
    """Where no NATS Streaming is the command says so."""
    daemon = await start_daemon("[functions.f]\ncommand = 'cat'\n")
    told = await command(
        reactor, daemon, "migrate", "--from", "nats://127.0.0.1:1", "--idle", "0.1"
    )
    assert told.status == 3


@pytest_twisted.ensureDeferred
async def test_without_protobuf(reactor: Any, start_daemon: StartDaemon, tmp_path: Path) -> None:
    """It says how to get it."""
    daemon = await start_daemon("[functions.f]\ncommand = 'cat'\n")
    (tmp_path / "without" / "google").mkdir(parents=True)
    (tmp_path / "without" / "google" / "__init__.py").touch()
    told = await command(
        reactor,
        daemon,
        *("migrate", "--from", "nats://127.0.0.1:1"),
        PYTHONPATH=str(tmp_path / "without"),
    )
    assert (told.status, "Traceback" in told.said) == (1, False)
    assert "pip install 'faasd-async[streaming]'" in told.said
