"""The command line, against a running daemon."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from typing import Any

import pytest_twisted
from command_line import command
from daemon import StartDaemon
from listener import Listener, at
from twisted.internet.defer import Deferred, gatherResults


def function(listener: Listener, name: str = "f", settings: str = "") -> str:
    """A function in the test's own hands, at ``/<name>``."""
    return f"[functions.{name}]\nurl = '{listener.url('/' + name)}'\n{settings}\n"


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_waited_for(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """``invoke`` sends standard input, fields, path and query, and prints the answer's bytes; an
    answer of 400 and more makes the exit code 1, whether the call was queued or not."""
    answers = {b"/f/a%20b?x=1%262": (200, b"\xff\x1b[31m"), b"/f/": (418, b"no")}
    listener.on_request = lambda request: request.answer(*answers[request.target])
    run = partial(command, reactor, await start_daemon(function(listener)))
    done = await run(
        *("invoke", "f", "--path", "/a%20b", "--query", "x=1&2", "-H", "X-One: 1", "-H", "x-two=2"),
        stdin=b"in\x00put",
    )
    failed = await run("invoke", "f", "-d", "x")
    queued = await run("invoke", "f", "-d", "x", "--wait")
    assert (done.status, done.printed) == (0, b"\xff\x1b[31m")
    asked = listener.requests[0]
    assert (asked.header("X-One"), asked.header("X-Two")) == ("1", "2")
    assert (asked.method, asked.body) == ("POST", b"in\x00put")
    assert (failed.status, failed.printed) == (1, b"no")
    assert "418" in failed.said
    assert (queued.status, queued.printed) == (1, b"no")
    assert "418" in queued.said


@pytest_twisted.ensureDeferred
async def test_an_answer_for_programs(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """It is JSON, with status, header and body, whether the call was queued or not; what is no text
    is in base64."""
    bodies = {b"/f/": "Grüße".encode(), b"/f/raw": b"\xff\x00"}
    listener.on_request = lambda request: request.answer(418, bodies[request.target])
    run = partial(command, reactor, await start_daemon(function(listener)))
    for wait in ((), ("--wait",)):
        done = await run("--json", "invoke", "f", "-d", "x", *wait)
        raw = await run("--json", "invoke", "f", "--path", "raw", "-d", "x", *wait)
        sheet = json.loads(done.printed)
        assert (done.status, sheet["status"]) == (1, 418)
        assert (sheet["body"], sheet["body_encoding"]) == ("Grüße", "utf-8")
        assert any(name.lower() == "x-call-id" for name, _ in sheet["headers"])
        sheet = json.loads(raw.printed)
        assert (sheet["body"], sheet["body_encoding"]) == ("/wA=", "base64")


@pytest_twisted.ensureDeferred
async def test_a_queued_call(reactor: Any, start_daemon: StartDaemon, listener: Listener) -> None:
    """``invoke --async`` prints the id, with which one asks, follows, waits for and cancels."""
    listener.on_request = lambda request: None
    run = partial(command, reactor, await start_daemon(function(listener)))
    accepted = await run("invoke", "f", "--async", "-d", "x")
    call_id = accepted.text.strip()
    (running,) = await listener.when(1)
    pending, sheet = await gatherResults(
        [
            Deferred.fromCoroutine(run("result", call_id)),
            Deferred.fromCoroutine(run("--json", "call", call_id)),
        ]
    )
    waiting = Deferred.fromCoroutine(run("result", call_id, "--wait"))
    running.answer(200, b"done")
    result = await waiting
    followed, shown, cancelled, unknown = await gatherResults(
        [
            Deferred.fromCoroutine(run("call", call_id, "--follow")),
            Deferred.fromCoroutine(run("call", call_id)),
            Deferred.fromCoroutine(run("cancel", call_id)),
            Deferred.fromCoroutine(run("call", "00000000-0000-4000-8000-000000000000")),
        ]
    )
    assert (pending.status, pending.printed) == (1, b"")
    assert json.loads(sheet.printed)["state"] == "running"
    assert (result.status, result.printed) == (0, b"done")
    assert followed.text == "succeeded, status 200, attempt 1\n"
    assert "succeeded" in shown.text
    assert call_id in shown.text
    assert cancelled.status == 4
    assert "409" in cancelled.said
    assert unknown.status == 4
    assert "404" in unknown.said


@pytest_twisted.ensureDeferred
async def test_a_field_of_queued_calls(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """``-H X-Callback-Url=…`` makes it one without ``--async``, which is said: the id is printed,
    and the answer is sent there."""
    run = partial(command, reactor, await start_daemon(function(listener)))
    accepted = await run("invoke", "f", "-d", "x", "-H", f"X-Callback-Url={listener.url('/back')}")
    [callback] = await listener.when(1, at("/back"))
    assert (accepted.status, accepted.text.strip()) == (0, callback.header("X-Call-Id"))
    assert accepted.said == "X-Callback-Url is for queued calls: --async is implied\n"


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_in_doubt(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """The broker did not say in time whether it has it: the command tells how to ask after it."""
    daemon = await start_daemon(function(listener))
    run = partial(command, reactor, daemon)
    daemon.stop_broker()
    try:
        doubtful = await run("invoke", "f", "--async", "-d", "x")
    finally:
        os.kill(daemon.broker_pid, signal.SIGCONT)
    [came] = await listener.when(1)
    assert (doubtful.status, doubtful.printed) == (4, b"")
    assert "the call may still run" in doubtful.said
    assert doubtful.said.strip().endswith(f"faasd-async call {came.header('X-Call-Id')}")


@pytest_twisted.ensureDeferred
async def test_a_call_that_runs_is_cancelled(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """``cancel`` ends it, and says so; ``calls`` has it in its list."""
    listener.on_request = lambda request: None
    run = partial(command, reactor, await start_daemon(function(listener)))
    call_id = (await run("invoke", "f", "--async", "-d", "x")).text.strip()
    await listener.when(1)
    cancelled = await run("cancel", call_id)
    sheet, listed, one = await gatherResults(
        [
            Deferred.fromCoroutine(run("--json", "call", call_id)),
            Deferred.fromCoroutine(run("calls", "--function", "f", "--state", "cancelled")),
            Deferred.fromCoroutine(run("--json", "calls", "--limit", "1")),
        ]
    )
    assert call_id in listed.text
    assert "cancelled" in listed.text
    assert [each["id"] for each in json.loads(one.printed)["calls"]] == [call_id]
    assert (cancelled.status, cancelled.text) == (0, f"{call_id} is cancelled\n")
    assert json.loads(sheet.printed)["state"] == "cancelled"


@pytest_twisted.ensureDeferred
async def test_figures_and_orders(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """``status``, ``functions`` and ``queue`` show what is on its way; a queue and a function are
    paused, resumed, and, if somebody says yes, purged."""
    run = partial(command, reactor, await start_daemon(function(listener, settings="queue = 'q'")))
    paused = await run("queue", "pause", "q")
    await run("queue", "pause", "f", "--function")
    await run("invoke", "f", "--async", "-d", "x")
    status, functions, kept = await gatherResults(
        [
            Deferred.fromCoroutine(run("--json", "status")),
            Deferred.fromCoroutine(run("--json", "functions")),
            Deferred.fromCoroutine(run("queue", "purge", "q", stdin=b"n\n")),
        ]
    )
    purged = await run("queue", "purge", "q", "--yes")
    await run("queue", "resume", "f", "--function")
    resumed = await run("queue", "resume", "q")
    listed = await run("queue", "list")
    assert (paused.status, paused.text) == (0, "q is paused\n")
    sheet = json.loads(status.printed)
    assert (sheet["ready"], sheet["queues"][0]["paused"]) == (True, True)
    (shown,) = json.loads(functions.printed)
    assert (shown["function"], shown["queue"], shown["waiting"]) == ("f", "q", 1)
    assert shown["paused"] is True
    assert kept.status == 1
    assert (purged.status, purged.text) == (0, "1 calls of q are gone\n")
    assert resumed.text == "q goes on\n"
    assert listed.text.splitlines()[1].split()[:2] == ["q", "0"]


@pytest_twisted.ensureDeferred
async def test_dead_letters(reactor: Any, start_daemon: StartDaemon, listener: Listener) -> None:
    """``dead`` lists, shows, replays with changes and purges; it wants to know which."""
    statuses = iter((500, 200, 500))
    listener.on_request = lambda request: request.answer(next(statuses), b"")
    run = partial(command, reactor, await start_daemon(function(listener)))
    failed = await run("invoke", "f", "-d", "x", "-H", "X-Token: wrong", "--wait")
    call_id = failed.said.split("accepted as ")[1].split()[0]
    while call_id not in (listed := await run("dead", "list", "--function", "f")).text:
        assert listed.status == 0
    shown = await run("dead", "show", call_id)
    which = await run("dead", "replay")
    replayed = await run("dead", "replay", call_id, "-H", "X-Token: right", "--without", "accept")
    again = await run("result", call_id, "--wait")
    gone = await run("dead", "show", call_id)
    purged = await run("--json", "dead", "purge", "--all", "--yes")
    (letter,) = json.loads(shown.printed)["dead_letters"]
    assert letter["body"] == "x"
    assert (which.status, "--all" in which.said) == (2, True)
    assert (replayed.status, replayed.text) == (0, "1 replayed, 0 not\n")
    assert again.status == 0
    assert listener.requests[1].header("X-Token") == "right"
    assert gone.status == 4
    assert json.loads(purged.printed) == {"purged": 0}


@pytest_twisted.ensureDeferred
async def test_schedules(reactor: Any, start_daemon: StartDaemon, listener: Listener) -> None:
    """``schedules`` lists, removes and restores."""
    daemon = await start_daemon(function(listener, settings="schedule = '30 2 * * *'"))
    run = partial(command, reactor, daemon)
    removed = await run("schedules", "remove", "f")
    listed = await run("--json", "schedules", "list")
    restored = await run("schedules", "restore", "f")
    assert removed.text == "f is not called at its times any more\n"
    assert json.loads(listed.printed)["schedules"][0]["removed"] is True
    assert restored.text.startswith("f is called next at ")


@pytest_twisted.ensureDeferred
async def test_what_was_typed_wrongly_and_nobody_there(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """2 for a mistake, 3 where no daemon answers, 4 where it refuses; none with a traceback."""
    run = partial(command, reactor, await start_daemon(function(listener)))
    ends = await gatherResults(
        Deferred.fromCoroutine(each)
        for each in (
            run("invoke", "f", "-H", "no field", "-d", "x"),
            run("status", FAASD_ASYNC_URL="http://127.0.0.1:1"),
            run("invoke", "nobody", "--async", "-d", "x"),
            run("--credentials", "/nowhere", "status"),
            run("invoke", "nobody", "-d", "x"),
            run("--url", "foo", "status"),
        )
    )
    assert [each.status for each in ends] == [2, 3, 4, 2, 4, 2]
    assert "nobody" in ends[4].said
    assert "http://127.0.0.1:1" in ends[1].said
    assert not any("Traceback" in each.said for each in ends)


@pytest_twisted.ensureDeferred
async def test_a_refusal_for_programs(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """It is an object on standard error, with the exit code and, of a daemon's, the status of HTTP;
    what cannot be taken back is not asked about, but refused without ``--yes``."""
    run = partial(command, reactor, await start_daemon(function(listener)))
    ends = await gatherResults(
        Deferred.fromCoroutine(each)
        for each in (
            run("--json", "invoke", "nobody", "--async", "-d", "x"),
            run("status", "--json", FAASD_ASYNC_URL="http://127.0.0.1:1"),
            run("--json", "dead", "purge", "--all", stdin=b"y\n"),
            run("--json", "--unknown"),
        )
    )
    told = [json.loads(each.said) for each in ends]
    assert [each.printed for each in ends] == [b""] * 4
    assert [each.status for each in ends] == [4, 3, 2, 2]
    assert [each["exit_code"] for each in told] == [4, 3, 2, 2]
    assert [each["kind"] for each in told] == ["refused", "unreachable", "usage", "usage"]
    assert (told[0]["status"], "nobody" in told[0]["error"]) == (404, True)
    assert "--yes" in told[2]["error"]


@pytest_twisted.ensureDeferred
async def test_nothing_a_stranger_wrote_moves_the_cursor(
    reactor: Any, start_daemon: StartDaemon, listener: Listener
) -> None:
    """What a call's sheet holds is shown with its control characters written out."""
    run = partial(command, reactor, await start_daemon(function(listener)))
    listener.on_request = lambda request: request.answer(500, b"")
    await run("invoke", "f", "--wait", "-d", "x", "-H", "X-Call-Id: 0123456789abcdef%1b[2J")
    shown = await run("call", "0123456789abcdef%1b[2J")
    assert shown.status == 0
    assert b"\x1b" not in shown.printed
