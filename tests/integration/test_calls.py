"""Calls of a running daemon: limits, leases, callbacks, and what survives."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import Daemon, StartDaemon
from lifeline import Lifeline
from listener import Listener, Received, at
from raw_http import Response
from test_original import DEMO_FUNCTIONS
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults


def function(name: str, listener: Listener, settings: str = "") -> str:
    """A function in the test's own hands, at ``/<name>``."""
    return f"[functions.{name}]\nurl = '{listener.url('/' + name)}'\n{settings}\n"


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


async def push(
    daemon: Daemon, count: int, concurrency: int, path: str, **headers: str
) -> list[str]:
    """Make calls.

    :return: the ids of those that were answered 202.
    """
    slots = DeferredSemaphore(concurrency)
    answers: list[Response] = await gatherResults(
        [slots.run(daemon.request, path, b"%d" % number, **headers) for number in range(count)]
    )
    return [answer.header("X-Call-Id") or "" for answer in answers if answer.status == 202]


@pytest_twisted.ensureDeferred
async def test_the_daemon_wide_and_the_functions_limits_hold_together(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Three functions of at most two, four in all: that many run, and never more than either."""
    names = ("a", "b", "c")
    daemon = await start_daemon(
        "[worker]\nmax_inflight = 4\n"
        + "".join(function(name, listener, "max_inflight = 2") for name in names)
    )
    running: list[Received] = []
    ending: list[Deferred[None]] = []
    most_of_one = most_in_all = 0

    def begin(request: Received) -> None:
        nonlocal most_of_one, most_in_all
        running.append(request)
        of_this = sum(each.target == request.target for each in running)
        most_of_one, most_in_all = max(most_of_one, of_this), max(most_in_all, len(running))
        if most_in_all >= 4:
            # While the daemon answers this, it has every chance to begin one more.
            ending.append(daemon.get("/healthz").addCallback(lambda _: end_oldest()))

    def end_oldest() -> None:
        running.pop(0).answer()

    listener.on_request = begin
    await gatherResults([daemon.request(f"/async-function/{name}") for name in names * 10])
    await listener.when(4)
    for _ in range(3):
        end_oldest()
    await listener.when(30)
    await gatherResults(ending)
    assert (most_of_one, most_in_all) == (2, 4)


@pytest_twisted.ensureDeferred
async def test_in_static_mode_the_calls_of_a_queue_start_in_the_order_in_which_they_came(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """One at a time in all: first come, first served, whatever function it is."""
    daemon = await start_daemon(
        "[queue]\nmode = 'static'\n[worker]\nmax_inflight = 1\n"
        + function("a", listener)
        + function("b", listener)
    )
    expected = []
    for number in range(12):
        name = "ab"[number % 3 == 0]
        await daemon.request(f"/async-function/{name}/{number}")
        expected.append(f"/{name}/{number}".encode())
    requests = await listener.when(12)
    assert [request.target for request in requests] == expected


@pytest_twisted.ensureDeferred
async def test_a_function_slower_than_the_lease_runs_once(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Twelve seconds at five of lease, in small: the lease is extended while it runs."""
    daemon = await start_daemon(
        "[worker]\nack_wait = '450ms'\n[functions.sleep]\n"
        "command = ['{python}', '-m', 'faasd_async.demo.sleep']\n"
    )
    await daemon.request("/async-function/sleep", b"1.2", X_Callback_Url=listener.url())
    (callback,) = await listener.when(1)
    assert callback.header("X-Function-Status") == "200"
    assert await daemon.stop() == 0
    assert daemon.log.count("sleep answered 200") == 1
    assert len(listener.requests) == 1


@pytest_twisted.ensureDeferred
async def test_past_its_time_a_functions_whole_process_group_is_gone(
    start_daemon: StartDaemon, listener: Listener, reactor: Any, tmp_path: Path
) -> None:
    """The callback says 504, and neither the process nor its child is left."""
    lifeline = Lifeline(reactor, tmp_path)
    daemon = await start_daemon(
        "[functions.family]\nasync_timeout = '1s'\n"
        f"command = ['sh', '-c', 'exec 3>{lifeline.path}; sleep 600 & sleep 600']\n"
    )
    await daemon.request("/async-function/family", X_Callback_Url=listener.url())
    (callback,) = await listener.when(1)
    assert (callback.header("X-Function-Status"), callback.body) == ("504", b"")
    await lifeline.when_cut()


@pytest_twisted.ensureDeferred
async def test_a_callback_to_a_function_runs_it_once_under_the_original_call_id(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """By either route."""
    daemon = await start_daemon(DEMO_FUNCTIONS + function("seen", listener))
    for route in ("/function/seen/now", "/async-function/seen/later"):
        url = daemon.url(route)
        await daemon.request("/async-function/echo", b"x", X_Call_Id="one", X_Callback_Url=url)
    await listener.when(2)
    assert await daemon.stop() == 0
    assert sorted(request.target for request in listener.requests) == [b"/seen/later", b"/seen/now"]
    assert {request.header("X-Call-Id") for request in listener.requests} == {"one"}


@pytest_twisted.ensureDeferred
async def test_calls_that_share_a_call_id_all_run(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Two bodies to one function, and another function: an id traces, it does not de-duplicate."""
    daemon = await start_daemon(function("a", listener) + function("b", listener))
    for path, body in (("a", b"1"), ("a", b"2"), ("a", b"2"), ("b", b"1")):
        await daemon.request(f"/async-function/{path}", body, X_Call_Id="shared")
    requests = await listener.when(4)
    seen = sorted((request.target, request.body) for request in requests)
    assert seen == [(b"/a/", b"1"), (b"/a/", b"2"), (b"/a/", b"2"), (b"/b/", b"1")]


@pytest_twisted.ensureDeferred
async def test_credentials_of_a_callback_url_are_sent_and_not_shown(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """As basic authentication, decoded; the log names the URL without them."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    url = listener.url("/cb", "us%40er:pass%3Aword-canary@")
    await daemon.request("/async-function/echo", X_Callback_Url=url)
    (callback,) = await listener.when(1)
    pair = b64encode(b"us@er:pass:word-canary").decode()
    assert callback.header("Authorization") == f"Basic {pair}"
    await daemon.says(rf"callback of .* to {listener.url('/cb')}: 200")
    assert "canary" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_callback_is_tried_as_often_as_asked_and_runs_the_function_once(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """An endpoint that says no costs its own callback, and nothing else."""
    listener.on_request = lambda request: request.answer(
        500 if request.target == b"/callback" else 200
    )
    schedule = "[callback]\nattempts = 3\nmin_wait = '100ms'\n"
    daemon = await start_daemon(schedule + function("once", listener))
    await daemon.request("/async-function/once", X_Callback_Url=listener.url("/callback"))
    await listener.when(3, at("/callback"))
    await daemon.says("is given up after 3 tries")
    assert await daemon.stop() == 0
    assert sum(request.target == b"/once/" for request in listener.requests) == 1


@pytest_twisted.ensureDeferred
async def test_a_callback_endpoint_that_never_answers_holds_up_nothing_else(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """Forty callbacks to it are waiting, and those to another endpoint all arrive."""
    silent = Listener(reactor)
    silent.on_request = lambda request: None
    await silent.open()
    try:
        daemon = await start_daemon(DEMO_FUNCTIONS)
        stuck = await push(daemon, 40, 8, "/async-function/echo", X_Callback_Url=silent.url())
        await silent.when(1)
        live = await push(daemon, 20, 8, "/async-function/echo", X_Callback_Url=listener.url())
        callbacks = await listener.when(20)
        assert len(stuck) == 40
        assert {callback.header("X-Call-Id") for callback in callbacks} == set(live)
        assert not any(request.gone.called for request in silent.requests)
    finally:
        await silent.close()


@pytest_twisted.ensureDeferred
async def test_a_thousand_calls_at_concurrency_fifty_bring_a_thousand_callbacks(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Their ids are exactly those of the 202s."""
    daemon = await start_daemon(function("noop", listener))
    callback = listener.url("/callback")
    accepted = await push(daemon, 1000, 50, "/async-function/noop", X_Callback_Url=callback)
    callbacks = await listener.when(1000, at("/callback"))
    assert len(set(accepted)) == 1000
    assert sorted(each.header("X-Call-Id") or "" for each in callbacks) == sorted(accepted)
    assert await daemon.stop() == 0
    assert sum(at("/callback")(each) for each in listener.requests) == 1000


@pytest_twisted.ensureDeferred
async def test_a_sigterm_in_the_middle_loses_nothing(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """What runs is finished, the rest runs after the next start, and nothing runs twice."""
    half_way: Deferred[None] = Deferred()

    def stop_half_way(request: Received) -> None:
        request.answer()
        ran = sum(each.target == b"/noop/" for each in listener.requests)
        if ran >= 100 and not half_way.called:
            half_way.callback(None)

    listener.on_request = stop_half_way
    config = function("noop", listener, "max_inflight = 3")
    daemon = await start_daemon(config)
    callback = listener.url("/callback")
    pushed = Deferred.fromCoroutine(
        push(daemon, 300, 20, "/async-function/noop", X_Callback_Url=callback)
    )
    accepted = await pushed
    await half_way
    broker = daemon.broker_pid
    assert await daemon.stop() == 0
    assert not runs(broker)
    before = sum(each.target == b"/noop/" for each in listener.requests)
    await start_daemon(config)
    callbacks = await listener.when(300, at("/callback"))
    assert 100 <= before < 300
    assert sorted(each.header("X-Call-Id") or "" for each in callbacks) == sorted(accepted)
    assert sum(each.target == b"/noop/" for each in listener.requests) == 300


@pytest_twisted.ensureDeferred
async def test_the_embedded_nats_server_may_be_killed_under_load(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Refusals, then service again without a restart of the daemon; every 202 is kept."""
    daemon = await start_daemon(function("noop", listener))
    callback = listener.url("/callback")
    answers: list[Response] = []
    killed = False

    async def client() -> None:
        nonlocal killed
        while True:
            answer = await daemon.request("/async-function/noop", X_Callback_Url=callback)
            answers.append(answer)
            if len(answers) >= 200 and not killed:
                killed = True
                os.kill(daemon.broker_pid, signal.SIGKILL)
            refused = any(each.status == 503 for each in answers)
            if refused and all(each.status == 202 for each in answers[-40:]):
                return

    first_broker = daemon.broker_pid
    await gatherResults([Deferred.fromCoroutine(client()) for _ in range(8)])
    refusals = [answer for answer in answers if answer.status != 202]
    assert {answer.status for answer in refusals} <= {503, 504}
    assert all(answer.header("Retry-After") for answer in refusals if answer.status == 503)
    accepted = {answer.header("X-Call-Id") for answer in answers if answer.status == 202}
    arrived: set[str | None] = set()

    def all_arrived(request: Received) -> bool:
        if at("/callback")(request):
            arrived.add(request.header("X-Call-Id"))
        return accepted <= arrived

    await listener.when(1, all_arrived)
    assert daemon.broker_pid != first_broker
    assert daemon.status is None


@pytest_twisted.ensureDeferred
async def test_the_daemon_may_be_killed(start_daemon: StartDaemon, listener: Listener) -> None:
    """The next one replaces the nats-server that was left behind, takes up at once what was in
    flight, and runs what was waiting."""
    listener.on_request = lambda request: None
    config = function("noop", listener, "max_inflight = 2")
    daemon = await start_daemon(config)
    callback = listener.url("/callback")
    accepted = await push(daemon, 10, 5, "/async-function/noop", X_Callback_Url=callback)
    in_flight = await listener.when(2)
    await daemon.kill()
    orphan = daemon.broker_pid
    listener.on_request = Received.answer
    fresh = await start_daemon(config)
    callbacks = await listener.when(10, at("/callback"))
    assert sorted(each.header("X-Call-Id") or "" for each in callbacks) == sorted(accepted)
    assert fresh.broker_pid != orphan
    assert not runs(orphan)
    ran = [each.header("X-Call-Id") for each in listener.requests if each.target == b"/noop/"]
    twice = {call_id for call_id in ran if ran.count(call_id) > 1}
    assert twice == {request.header("X-Call-Id") for request in in_flight}


@pytest_twisted.ensureDeferred
async def test_a_function_that_kills_the_daemon_is_given_up_after_three_times(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It becomes a dead letter, and its callback says so."""
    listener.on_request = lambda request: request.answer() if at("/callback")(request) else None
    config = function("deadly", listener)
    daemon = await start_daemon(config)
    callback = listener.url("/callback")
    await daemon.request("/async-function/deadly", b"poison", X_Callback_Url=callback)
    for run in range(1, 4):
        requests = await listener.when(run, at("/deadly/"))
        assert requests[-1].header("X-Attempt") == str(run)
        await daemon.kill()
        daemon = await start_daemon(config)
    (told,) = await listener.when(1, at("/callback"))
    assert told.header("X-Function-Status") == "502"
    assert len([each for each in listener.requests if at("/deadly/")(each)]) == 3
