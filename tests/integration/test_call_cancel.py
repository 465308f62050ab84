"""Calls of a running daemon that are cancelled, wherever they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from lifeline import Lifeline, members, when_group_ended
from listener import Listener, Received, at
from raw_http import Response
from real_nats import RealNats
from test_call_status import accepted, in_state, status, until, waiting
from test_calls import function
from twisted.internet.defer import Deferred, gatherResults


def cancel(daemon: Daemon, where: str) -> Deferred[Response]:
    return daemon.request(where, method="DELETE")


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest_twisted.ensureDeferred
async def test_a_call_that_waits_never_runs(
    start_daemon: StartDaemon, listener: Listener, durability: str
) -> None:
    """By either route; its callback is told, it is no dead letter, and it stays so."""
    config = f"[queue]\ndurability = '{durability}'\n" + function("a", listener, "max_inflight = 1")
    running: list[Received] = []
    listener.on_request = lambda request: (
        running.append(request) if at("/a/")(request) else request.answer()
    )
    daemon = await start_daemon(config)
    await accepted(daemon, "a")
    one = await accepted(daemon, "a", b"1", X_Callback_Url=listener.url("/told"))
    other = await accepted(daemon, "a", b"2")
    await listener.when(1)
    answer = await cancel(daemon, one)
    assert (answer.status, answer.body, answer.header("Location")) == (202, b"", one)
    assert (await cancel(daemon, other.replace("/call/", "/async-function/"))).status == 202
    (told,) = await listener.when(1, at("/told"))
    assert (told.header("X-Function-Status"), told.body) == ("499", b"")
    await daemon.kill()
    daemon = await start_daemon(config)
    for where in (one, other):
        sheet = await status(daemon, where)
        assert (sheet["state"], sheet["attempts"]) == ("cancelled", [])
    assert (await daemon.get(f"{one}/result")).header("X-Function-Status") == "499"
    last = await accepted(daemon, "a", b"3")
    for number in (2, 3):
        (*_, request) = await listener.when(number, at("/a/"))
        request.answer()
    await until(daemon, last, in_state("succeeded"))
    assert [each.body for each in listener.requests if at("/a/")(each)] == [b"", b"", b"3"]
    letters = await daemon.request("/system/dead-letters", method="GET", Host="localhost")
    assert letters.body == b'{"dead_letters":[]}\n'


@pytest_twisted.ensureDeferred
async def test_a_call_that_a_daemon_was_killed_over(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It started with the attempt that is known. One that is not taken up again is cancelled with
    nobody having said that it had begun."""
    config = function("a", listener) + function("b", listener)
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    again, never = [await accepted(daemon, name) for name in ("a", "b")]
    await listener.when(2)
    await daemon.request("/system/function/b/pause", Host="localhost")
    await daemon.kill()
    daemon = await start_daemon(config)
    await listener.when(3)
    for where, state in ((again, "running"), (never, "queued")):
        assert (await status(daemon, where))["state"] == state
        assert (await cancel(daemon, where)).status == 202
    sheet = await status(daemon, again)
    crashed, second = sheet["attempts"]
    assert (sheet["state"], crashed["status"], crashed["at"]) == ("cancelled", 0, None)
    assert sheet["accepted"] < second["at"] == sheet["started"] < sheet["finished"]
    sheet = await status(daemon, never)
    assert (sheet["state"], sheet["attempts"], sheet["started"]) == ("cancelled", [], None)


@pytest_twisted.ensureDeferred
async def test_a_call_that_runs_is_stopped(
    start_daemon: StartDaemon, listener: Listener, reactor: Any, tmp_path: Path
) -> None:
    """Its process and the children of that are gone from the process table, and whoever waits is
    told."""
    lifeline = Lifeline(reactor, tmp_path)
    script = f"exec 3>{lifeline.path}; sleep 600 & sleep 600"
    daemon = await start_daemon(
        f"[functions.family]\nmax_inflight = 1\ncommand = ['sh', '-c', '{script}']\n"
        + function("url", listener)
    )
    listener.on_request = lambda request: None
    family, url = [await accepted(daemon, name) for name in ("family", "url")]
    (request,) = await listener.when(1)
    await until(daemon, family, in_state("running"))
    (group,) = daemon.noted_groups
    assert members(group)
    client = await waiting(daemon, family)
    for where in (family, url):
        assert (await cancel(daemon, where)).status == 202
    await lifeline.when_cut()
    await when_group_ended(reactor, group)
    await request.gone
    answer = await client
    assert (answer.status, answer.header("X-Function-Status")) == (499, "499")
    assert (await status(daemon, url))["state"] == "cancelled"
    # Its place is free.
    await until(daemon, await accepted(daemon, "family"), in_state("running"))


@pytest.mark.parametrize("seconds", ["1", "3600"])
@pytest_twisted.ensureDeferred
async def test_a_call_that_is_to_be_tried_again_is_not(
    start_daemon: StartDaemon, listener: Listener, seconds: str
) -> None:
    """Whether it waits in the queue or was put off; what was tried of it is known."""
    listener.on_request = lambda request: (
        request.answer(503, Retry_After=seconds) if at("/a/")(request) else request.answer()
    )
    daemon = await start_daemon(function("a", listener) + function("b", listener))
    where = await accepted(daemon, "a")
    await until(daemon, where, in_state("retrying"))
    assert (await cancel(daemon, where)).status == 202
    sheet = await status(daemon, where)
    assert (sheet["state"], [each["status"] for each in sheet["attempts"]]) == (
        "cancelled",
        [503],
    )
    assert (await daemon.figures()).status == 200
    assert await daemon.stop() == 0
    assert len([each for each in listener.requests if at("/a/")(each)]) == 1


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_scheduled_never_comes(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """After a restart neither; another one for the same time does."""
    config = function("a", listener)
    daemon = await start_daemon(config)
    one = await accepted(daemon, "a", b"1", X_Delay="2.5s")
    other = await accepted(daemon, "a", b"2", X_Delay="2.5s")
    sheet = await status(daemon, one)
    assert (sheet["state"], sheet["started"]) == ("scheduled", None)
    assert sheet["next_attempt"] > sheet["accepted"]
    assert (await cancel(daemon, one)).status == 202
    await daemon.kill()
    daemon = await start_daemon(config)
    assert (await status(daemon, one))["state"] == "cancelled"
    result = await daemon.get(f"{other}/result?wait=30s")
    assert result.status == 200
    assert [each.body for each in listener.requests] == [b"2"]


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_cancelled(start_daemon: StartDaemon, listener: Listener) -> None:
    """What is over, what nobody knows, and one of several that is not named."""
    daemon = await start_daemon(function("a", listener))
    where = await accepted(daemon, "a")
    await until(daemon, where, in_state("succeeded"))
    assert (await cancel(daemon, where)).status == 409
    unknown = "/call/00000000-0000-0000-0000-000000000000"
    assert (await cancel(daemon, unknown)).status == 404
    listener.on_request = lambda request: None
    for _ in range(2):
        shared = await accepted(daemon, "a", X_Call_Id="shared-by-two-calls")
    await listener.when(3)
    assert (await cancel(daemon, shared)).status == 409
    sheet = await status(daemon, shared)
    assert (await cancel(daemon, sheet["links"]["self"])).status == 202
    assert (await cancel(daemon, sheet["links"]["self"])).status == 202
    other = sheet["others"][0]["self"]
    assert (await status(daemon, other))["state"] == "running"


@pytest_twisted.ensureDeferred
async def test_many_cancel_a_call_at_once(start_daemon: StartDaemon, listener: Listener) -> None:
    """Each is told that it is cancelled, and it is cancelled once."""
    daemon = await start_daemon(function("a", listener))
    listener.on_request = lambda request: request.answer() if at("/told")(request) else None
    for number in range(5):
        where = await accepted(daemon, "a", X_Callback_Url=listener.url("/told"))
        await listener.when(number + 1, at("/a/"))
        answers = await gatherResults([cancel(daemon, where) for _ in range(20)])
        assert [answer.status for answer in answers] == [202] * 20
        await listener.when(number + 1, at("/told"))
    assert daemon.log.count("is cancelled") == 5


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A server of somebody else's."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


@pytest_twisted.ensureDeferred
async def test_any_daemon_can_cancel_a_call(
    start_daemon: StartDaemon, listener: Listener, nats: RealNats, reactor: Any, tmp_path: Path
) -> None:
    """The one that runs it lets go."""
    where_nats = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    (tmp_path / "other").mkdir()
    other = Daemon(reactor, tmp_path / "other", where_nats + function("b", listener))
    one = await start_daemon(where_nats + function("a", listener))
    listener.on_request = lambda request: None
    try:
        await other.start()
        where = await accepted(one, "a")
        (request,) = await listener.when(1)
        client = await waiting(one, where)
        assert (await cancel(other, where)).status == 202
        await request.gone
        assert (await client).status == 499
        assert (await status(one, where))["state"] == "cancelled"
    finally:
        await other.end()
