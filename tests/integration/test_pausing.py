"""Pausing, resuming and purging a running daemon's calls; and finding what a function can take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received, at
from raw_http import Response
from real_nats import RealNats
from test_call_events import follow, is_in, states
from test_call_status import accepted, waiting
from test_calls import function, push
from twisted.internet.defer import Deferred, gatherResults


def ask(daemon: Daemon, target: str, method: str = "POST") -> Deferred[Response]:
    """An operator's request: from this machine, under its own name."""
    return daemon.request(target, method=method, Host="localhost")


async def order(daemon: Daemon, target: str) -> dict[str, Any]:
    answer = await ask(daemon, f"/system/{target}")
    assert answer.status == 200, answer.body
    told: dict[str, Any] = json.loads(answer.body)
    return told


Sheet = dict[str, dict[str, Any]]


async def sheet(daemon: Daemon) -> Sheet:
    """What is known of each function, and of each queue as ``queue <name>``."""
    return await until(daemon, lambda _: True)


async def until(daemon: Daemon, wanted: Callable[[Sheet], bool]) -> Sheet:
    """Ask until it is so."""
    known: Sheet = {}
    for _ in range(1000):
        answer = await ask(daemon, "/system/queues", "GET")
        if answer.status == 200:
            queues = json.loads(answer.body)["queues"]
            known = {each["function"]: each for queue in queues for each in queue["functions"]}
            known |= {f"queue {queue['queue']}": queue for queue in queues}
            if wanted(known):
                return known
    raise AssertionError(known)


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest_twisted.ensureDeferred
async def test_a_pause_holds_calls_across_a_restart(
    start_daemon: StartDaemon, listener: Listener, durability: str
) -> None:
    """They are accepted, they wait, and they run when the function is resumed."""
    config = (
        f"[queue]\ndurability = '{durability}'\n"
        + function("a", listener)
        + function("b", listener)
    )
    daemon = await start_daemon(config)
    assert await order(daemon, "function/a/pause") == {"function": "a", "paused": True}
    await push(daemon, 3, 1, "/async-function/a")
    assert await daemon.kill() < 0
    daemon = await start_daemon(config)
    assert (await sheet(daemon))["a"]["paused"]
    await push(daemon, 2, 1, "/async-function/a")
    # A call of another function that comes last and has run: so would have the others.
    await push(daemon, 1, 1, "/async-function/b")
    await listener.when(1, at("/b/"))
    assert not [each for each in listener.requests if at("/a/")(each)]
    assert (await sheet(daemon))["a"]["waiting"] == 5
    assert await order(daemon, "function/a/resume") == {"function": "a", "paused": False}
    requests = await listener.when(5, at("/a/"))
    assert [request.header("X-Attempt") for request in requests] == ["1"] * 5


@pytest_twisted.ensureDeferred
async def test_a_paused_queue_holds_the_calls_of_its_functions(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Those of other queues run, and whoever waits for an answer is served."""
    daemon = await start_daemon(
        function("a", listener, "queue = 'slow'")
        + function("b", listener, "queue = 'slow'")
        + function("c", listener)
    )
    await order(daemon, "queues/slow/pause")
    for name in ("a", "b", "c"):
        await push(daemon, 1, 1, f"/async-function/{name}")
    await listener.when(1, at("/c/"))
    assert (await daemon.request("/function/a")).status == 200
    known = await sheet(daemon)
    assert known["queue slow"]["paused"]
    assert known["queue slow"]["waiting"] == 2
    assert not known["queue default"]["paused"]
    await order(daemon, "queues/slow/resume")
    await listener.when(1, at("/b/"))
    await listener.when(2, at("/a/"))


@pytest_twisted.ensureDeferred
async def test_in_static_mode_a_paused_function_lets_the_others_pass(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Those begin in their order, and its own in theirs when it is resumed."""
    daemon = await start_daemon(
        "[queue]\nmode = 'static'\n[worker]\nmax_inflight = 1\n"
        + function("a", listener)
        + function("b", listener)
    )
    await order(daemon, "function/a/pause")
    for number in range(12):
        await daemon.request(f"/async-function/{'ab'[number % 3 == 0]}/{number}")
    requests = await listener.when(4)
    assert [request.target for request in requests] == [b"/b/0", b"/b/3", b"/b/6", b"/b/9"]
    await order(daemon, "function/a/resume")
    requests = await listener.when(12)
    expected = [f"/a/{number}".encode() for number in (1, 2, 4, 5, 7, 8, 10, 11)]
    assert [request.target for request in requests[4:]] == expected
    assert {request.header("X-Attempt") for request in requests} == {"1"}


@pytest_twisted.ensureDeferred
async def test_a_purge_removes_what_waits_and_says_how_much(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """What runs comes to its end, and is called back; what has gone is not."""
    daemon = await start_daemon(
        function("a", listener, "max_inflight = 1\nretry = { min_wait = '60s' }")
        + function("b", listener)
    )
    running: list[Received] = []

    def answer(request: Received) -> None:
        if not at("/a/")(request):
            request.answer()
        elif request.body == b"put off":
            request.answer(503, Retry_After="1")
        else:
            running.append(request)

    listener.on_request = answer
    told = {"X_Callback_Url": listener.url("/told")}
    await daemon.request("/async-function/a", b"put off", **told)
    await daemon.says("a answered 503")
    await order(daemon, "function/a/pause")
    await push(daemon, 20, 4, "/async-function/a", **told)
    await order(daemon, "function/a/resume")
    await listener.when(2, at("/a/"))
    known = (await sheet(daemon))["a"]
    assert (known["waiting"], known["in_flight"], known["scheduled"]) == (19, 1, 1)
    assert await order(daemon, "function/a/purge") == {"function": "a", "purged": 20}
    # The one that runs has been put where it comes to its end after a crash, too.
    assert (await sheet(daemon))["a"]["waiting"] == 1
    running[0].answer(200, b"done")
    (callback,) = await listener.when(1, at("/told"))
    assert (callback.body, callback.header("X-Function-Status")) == (b"done", "200")
    await push(daemon, 1, 1, "/async-function/a", **told)
    await listener.when(3, at("/a/"))
    running[1].answer(200, b"later")
    callbacks = await listener.when(2, at("/told"))
    assert callbacks[1].body == b"later"


@pytest_twisted.ensureDeferred
async def test_who_waits_for_what_is_purged_is_told(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """They are let go at once, not when the wait is over or never; who comes back learns that
    there is no such call."""
    daemon = await start_daemon(function("a", listener, "max_inflight = 1"))
    listener.on_request = lambda request: None
    await accepted(daemon, "a")
    await listener.when(1)
    where = await accepted(daemon, "a", b"2")
    polling, events = await waiting(daemon, where), await follow(reactor, daemon, where)
    await is_in(events, "queued")
    assert (await order(daemon, "function/a/purge"))["purged"] == 1
    let_go = await polling
    assert (let_go.status, let_go.header("Retry-After")) == (202, "1")
    await events.when_answers(1)
    assert states(events) == ["queued"]
    for target in (where, f"{where}/result?wait=30s", f"{where}/events"):
        assert (await daemon.get(target)).status == 404


@pytest_twisted.ensureDeferred
async def test_what_runs_at_a_purge_comes_to_its_end_after_a_crash(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It is known all the while, and runs again; what ended before the crash does not."""
    config = function("a", listener, "max_inflight = 2")
    running: list[Received] = []
    listener.on_request = lambda request: (
        running.append(request) if at("/a/")(request) else request.answer()
    )
    daemon = await start_daemon(config)
    told = {"X_Callback_Url": listener.url("/told")}
    calls = [await accepted(daemon, "a", body, **told) for body in (b"1", b"2", b"3")]
    await listener.when(2, at("/a/"))
    running.sort(key=lambda request: request.body)
    assert await order(daemon, "function/a/purge") == {"function": "a", "purged": 1}
    states = [(await daemon.get(call)).status for call in calls]
    assert states == [200, 200, 404]
    running.pop(0).answer(200, b"before")
    (callback,) = await listener.when(1, at("/told"))
    assert callback.body == b"before"
    await daemon.kill()
    listener.on_request = Received.answer
    daemon = await start_daemon(config)
    # The callback that was under way at the kill may come twice.
    await listener.when(2, lambda request: at("/a/")(request) and request.body == b"2")
    assert [each.body for each in listener.requests if at("/a/")(each)].count(b"1") == 1


@pytest_twisted.ensureDeferred
async def test_a_replayed_call_that_runs_at_a_purge_comes_to_its_end_after_a_crash(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """As any other, although the very same call was put into the queue a moment ago."""
    config = function("a", listener)
    listener.on_request = lambda request: request.answer(400)
    daemon = await start_daemon(config)
    call = await accepted(daemon, "a", b"1")
    await daemon.says("is a dead letter now")
    await until(daemon, lambda known: known["a"]["in_flight"] == 0)
    listener.on_request = lambda request: None
    letters = "/system/dead-letters" + call.removeprefix("/call")
    replayed = await daemon.request(f"{letters}/replay", method="POST", Host="localhost")
    assert replayed.status == 202
    await listener.when(2)
    assert await order(daemon, "function/a/purge") == {"function": "a", "purged": 0}
    await daemon.kill()
    listener.on_request = Received.answer
    await start_daemon(config)
    await listener.when(3)


@pytest_twisted.ensureDeferred
async def test_a_call_that_asks_for_a_retry_after_a_purge_ends(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """With the answer that it has, which goes to its caller."""
    daemon = await start_daemon(function("a", listener))
    running: list[Received] = []
    listener.on_request = lambda request: (
        running.append(request) if at("/a/")(request) else request.answer()
    )
    await daemon.request("/async-function/a", X_Callback_Url=listener.url("/told"))
    await listener.when(1)
    assert await order(daemon, "queues/default/purge") == {"queue": "default", "purged": 0}
    running[0].answer(503, b"busy")
    (callback,) = await listener.when(1, at("/told"))
    assert (callback.body, callback.header("X-Function-Status")) == (b"busy", "503")
    await until(daemon, lambda known: known["a"]["in_flight"] == 0)


@pytest_twisted.ensureDeferred
async def test_orders_about_what_there_is_not(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Unknown functions and queues are not found, unknown orders neither."""
    daemon = await start_daemon(function("a", listener))
    for target in ("function/b/pause", "queues/other/purge", "function/a/stop"):
        assert (await ask(daemon, f"/system/{target}")).status == 404
    assert (await ask(daemon, "/system/function/a.openfaas-fn/pause")).status == 200
    assert (await ask(daemon, "/system/function/a/pause", "GET")).status == 405


@pytest_twisted.ensureDeferred
async def test_the_figures_tell_what_waits_and_how_many_may_run(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Asked for when they are shown."""
    daemon = await start_daemon(function("a", listener, "max_inflight = 7"))
    await order(daemon, "function/a/pause")
    await push(daemon, 3, 1, "/async-function/a")
    shown = await daemon.figures()
    pending = b'queue_worker_pending_messages{function_name="a",queue_name="default"} 3.0'
    assert pending in shown.body
    assert b'faasd_async_function_concurrency{function_name="a"} 7.0' in shown.body


# -- as much as the function can take


@pytest_twisted.ensureDeferred
async def test_what_a_function_can_take_is_found_out(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """One that refuses a fourth call at a time is soon asked for three, and all succeed."""
    calls, size = 400, 3
    daemon = await start_daemon(
        function(
            "a",
            listener,
            "max_inflight = 20\nretry = { attempts = 100, min_wait = '50ms', max_wait = '50ms' }",
        )
    )
    running: list[Received] = []
    answers: list[int] = []
    pending: list[Deferred[None]] = []

    def begin(request: Received) -> None:
        if len(running) == size:
            answers.append(429)
            request.answer(429)
            return
        running.append(request)
        # While the daemon answers this, it has every chance to begin more.
        pending.append(daemon.get("/healthz").addCallback(lambda _: end(request)))

    def end(request: Received) -> None:
        running.remove(request)
        answers.append(200)
        request.answer()

    listener.on_request = begin
    await order(daemon, "function/a/pause")
    await push(daemon, calls, 16, "/async-function/a")
    await order(daemon, "function/a/resume")
    done = 0
    while done < calls:
        await daemon.says(r"a answered 200")
        done += 1
    await gatherResults(pending)
    assert answers.count(200) == calls
    assert answers[-200:].count(429) < 25
    assert (await sheet(daemon))["a"]["concurrency"] < 10


# -- more than one daemon


@pytest_twisted.ensureDeferred
async def test_every_daemon_on_a_server_knows_of_a_pause(
    start_daemon: StartDaemon, listener: Listener, nats: RealNats, reactor: Any, tmp_path: Path
) -> None:
    """Whichever was told, and when the server was away, too."""
    config = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n" + function(
        "a", listener
    )
    one = await start_daemon(config)
    (tmp_path / "other").mkdir()
    other = Daemon(reactor, tmp_path / "other", config)
    try:
        await other.start()
        await order(one, "function/a/pause")
        await until(other, lambda known: known["a"]["paused"])
        await push(one, 2, 1, "/async-function/a")
        await push(other, 2, 1, "/async-function/a")
        await nats.kill()
        await gatherResults([each.says("the connection to NATS ended") for each in (one, other)])
        await nats.start()
        await gatherResults([each.says("connected to NATS") for each in (one, other)])
        for each in (one, other):
            await until(
                each, lambda known: (known["a"]["paused"], known["a"]["waiting"]) == (True, 4)
            )
        assert listener.requests == []
        await order(other, "function/a/resume")
        await listener.when(4)
    finally:
        await other.end()
