"""What callers learn of their calls from a running daemon: state, result, the moment of its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received, at
from raw_http import Response
from real_nats import RealNats
from test_calls import function
from twisted.internet.defer import Deferred, gatherResults

Sheet = dict[str, Any]


async def accepted(daemon: Daemon, name: str, body: bytes = b"", **headers: str) -> str:
    """Make a call.

    :return: where it can be asked after.
    """
    answer = await daemon.request(f"/async-function/{name}", body, **headers)
    assert answer.status == 202, answer.body
    return answer.header("Location") or ""


async def status(daemon: Daemon, where: str) -> Sheet:
    answer = await daemon.get(where)
    assert answer.status == 200, answer.body
    sheet: Sheet = json.loads(answer.body)
    return sheet


async def until(daemon: Daemon, where: str, wanted: Callable[[Sheet], object]) -> Sheet:
    """Ask until it is so."""
    sheet: Sheet = {}
    for _ in range(1000):
        sheet = await status(daemon, where)
        if wanted(sheet):
            return sheet
    raise AssertionError(sheet)


def in_state(state: str) -> Callable[[Sheet], bool]:
    return lambda sheet: bool(sheet["state"] == state)


def polled(daemon: Daemon, where: str, seconds: int = 30) -> Deferred[Response]:
    """A client that waits for a result."""
    return daemon.get(f"{where}/result?wait={seconds}s")


async def waiting(daemon: Daemon, where: str, seconds: int = 30) -> Deferred[Response]:
    """As :func:`polled`; by now it waits: a further request has been answered after it."""
    response = polled(daemon, where, seconds)
    for _ in range(3):
        await daemon.get(where)
    assert not response.called
    return response


# -- its state


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest_twisted.ensureDeferred
async def test_every_state_on_the_way_of_a_call(
    start_daemon: StartDaemon, listener: Listener, durability: str
) -> None:
    """Queued behind another, running, retrying, running again, succeeded; its callback told."""
    config = f"[queue]\ndurability = '{durability}'\n" + function(
        "a", listener, "max_inflight = 1\nretry = { min_wait = '50ms', max_wait = '50ms' }"
    )
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    first = await accepted(daemon, "a")
    where = await accepted(daemon, "a", X_Callback_Url=listener.url("/told"))
    (blocking,) = await listener.when(1)
    sheet = await status(daemon, where)
    assert (sheet["state"], sheet["queue"], sheet["attempts"]) == ("queued", "default", [])
    assert sheet["callback"]["state"] == "pending"
    assert (await status(daemon, first))["state"] == "running"
    blocking.answer()
    (_, request) = await listener.when(2)
    sheet = await status(daemon, where)
    assert (sheet["state"], len(sheet["attempts"])) == ("running", 1)
    request.answer(503, Retry_After="1")
    sheet = await until(daemon, where, in_state("retrying"))
    assert [each["status"] for each in sheet["attempts"]] == [503]
    assert sheet["next_attempt"] > sheet["accepted"]
    (*_, request) = await listener.when(3)
    sheet = await status(daemon, where)
    assert [each["status"] for each in sheet["attempts"]] == [503, None]
    request.answer(200, b"done")
    (told,) = await listener.when(1, at("/told"))
    sheet = await status(daemon, where)
    assert (sheet["state"], sheet["status"]) == ("succeeded", 200)
    assert [each["status"] for each in sheet["attempts"]] == [503, 200]
    assert sheet["accepted"] <= sheet["started"] <= sheet["finished"]
    assert sheet["callback"]["state"] == "waiting"
    told.answer()
    await until(daemon, where, lambda sheet: sheet["callback"]["state"] == "delivered")


@pytest_twisted.ensureDeferred
async def test_what_is_known_outlasts_the_daemon(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Killed in the middle: what waits, what is tried again, what has ended and what died."""
    config = function("a", listener) + function(
        "busy", listener, "retry = { min_wait = '1h', max_wait = '1h' }"
    )
    answers = {b"good": 200, b"bad": 500, b"busy": 503}
    listener.on_request = lambda request: request.answer(answers[request.body], b"answer")
    daemon = await start_daemon(config)
    good, bad = [await accepted(daemon, "a", body) for body in (b"good", b"bad")]
    busy = await accepted(daemon, "busy", b"busy")
    assert (await polled(daemon, good)).status == 200
    assert (await polled(daemon, bad)).status == 500
    before = [await status(daemon, good), await status(daemon, bad)]
    retrying = await until(daemon, busy, in_state("retrying"))
    await daemon.request("/system/function/a/pause", Host="localhost")
    queued = await accepted(daemon, "a", b"good")
    await daemon.kill()
    daemon = await start_daemon(config)
    assert [await status(daemon, good), await status(daemon, bad)] == before
    assert [sheet["state"] for sheet in before] == ["succeeded", "failed"]
    assert (await status(daemon, queued))["state"] == "queued"
    again = await status(daemon, busy)
    assert again["attempts"] == retrying["attempts"]
    assert (again["state"], again["accepted"]) == ("retrying", retrying["accepted"])
    result = await daemon.get(f"{good}/result")
    assert (result.status, result.body) == (200, b"answer")
    assert (await daemon.get(f"{bad}/result")).header("X-Function-Status") == "500"


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_put_off_says_until_when(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """A wait longer than a lease is the broker's own schedule."""
    config = "[worker]\nack_wait = '2s'\n" + function("a", listener)
    listener.on_request = lambda request: request.answer(503, Retry_After="3600")
    daemon = await start_daemon(config)
    where = await accepted(daemon, "a")
    sheet = await until(daemon, where, in_state("retrying"))
    sheet = await until(daemon, where, lambda sheet: sheet["next_attempt"] is not None)
    assert sheet["next_attempt"] > sheet["attempts"][0]["at"]


@pytest_twisted.ensureDeferred
async def test_a_shared_id_a_short_one_and_one_that_nobody_knows(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """The newest is shown; a short one to the operator alone; 404."""
    daemon = await start_daemon(function("a", listener) + function("b", listener))
    for name in ("a", "b"):
        where = await accepted(daemon, name, X_Call_Id="shared/by-two.calls")
        await polled(daemon, where)
    sheet = await status(daemon, where)
    assert (sheet["function"], [each["function"] for each in sheet["others"]]) == ("b", ["a"])
    assert (await status(daemon, sheet["others"][0]["self"]))["function"] == "a"
    short = await accepted(daemon, "a", X_Call_Id="short")
    assert (await daemon.get(short)).status == 403
    assert (await daemon.request(short, method="GET", Host="localhost")).status == 200
    assert (await daemon.get("/call/00000000-0000-0000-0000-000000000000")).status == 404


# -- its result


@pytest_twisted.ensureDeferred
async def test_the_result_is_there_the_moment_the_call_ends(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """As the function gave it, to everybody who waits."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(function("a", listener))
    where = await accepted(daemon, "a")
    (request,) = await listener.when(1)
    pending = await daemon.get(f"{where}/result")
    assert (pending.status, pending.header("Retry-After")) == (202, "1")
    clients = [await waiting(daemon, where) for _ in range(5)]
    request.answer(418, b"\x00\xff", X_Own="1", Content_Type="image/x")
    for response in await gatherResults(clients):
        assert (response.status, response.body) == (418, b"\x00\xff")
        assert response.header("X-Own") == "1"
        assert response.header("Content-Type") == "image/x"
        assert response.header("X-Function-Status") == "418"
        assert response.header("Content-Security-Policy") == "sandbox"
    head = await daemon.request(f"{where}/result", method="HEAD")
    assert (head.status, head.header("Content-Length")) == (418, "2")


@pytest_twisted.ensureDeferred
async def test_who_has_the_answer_is_not_sent_it_again(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """By its tag, which the next run of the daemon knows too; waiting is preferred as well."""
    config = function("a", listener)
    listener.on_request = lambda request: request.answer(200, b"long")
    daemon = await start_daemon(config)
    result = f"{await accepted(daemon, 'a')}/result"
    answer = await daemon.request(result, method="GET", Prefer="wait=30")
    assert (answer.status, answer.body) == (200, b"long")
    assert answer.header("Preference-Applied") == "wait=30"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert float(answer.header("X-Duration-Seconds") or "") > 0
    await daemon.kill()
    daemon = await start_daemon(config)
    tag = answer.header("ETag") or ""
    again = await daemon.request(result, method="GET", If_None_Match=tag)
    assert (again.status, again.body, again.header("ETag")) == (304, b"", tag)
    other = await daemon.request(result, method="GET", If_None_Match='"another"')
    assert (other.status, other.body) == (200, b"long")
    by_query = await daemon.request(f"{result}?wait=1s", method="GET", Prefer="wait=30")
    assert by_query.header("Preference-Applied") is None


@pytest_twisted.ensureDeferred
async def test_a_client_waits_on_across_a_restart(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """When the daemon stops it is sent away with 202; the next one has the result."""
    config = function("a", listener)
    running: list[Received] = []
    listener.on_request = running.append
    daemon = await start_daemon(config)
    where = await accepted(daemon, "a")
    await listener.when(1)
    client = await waiting(daemon, where)
    stopping = daemon.stop()
    response = await client
    assert (response.status, response.header("Retry-After")) == (202, "1")
    running[0].answer(200, b"in time")
    assert await stopping == 0
    daemon = await start_daemon(config)
    result = await polled(daemon, where)
    assert (result.status, result.body) == (200, b"in time")


@pytest_twisted.ensureDeferred
async def test_a_call_that_runs_again_after_a_crash_can_be_waited_for(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """The client of the daemon that was killed is cut off; the call is known to the next one."""
    config = function("a", listener)
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    where = await accepted(daemon, "a")
    await listener.when(1)
    client = await waiting(daemon, where)
    await daemon.kill()
    with pytest.raises(ConnectionError):
        await client
    daemon = await start_daemon(config)
    (_, request) = await listener.when(2)
    client = await waiting(daemon, where)
    request.answer(200, b"at last")
    assert (await client).body == b"at last"
    sheet = await status(daemon, where)
    assert [each["status"] for each in sheet["attempts"]] == [0, 200]


@pytest_twisted.ensureDeferred
async def test_a_result_that_is_not_kept(start_daemon: StartDaemon, listener: Listener) -> None:
    """410; the state is known all the same."""
    listener.on_request = lambda request: request.answer(200, b"large")
    daemon = await start_daemon(
        function("a", listener, "results = { keep = '0s' }")
        + function("b", listener, "results = { max_bytes = 4 }")
    )
    for name in ("a", "b"):
        where = await accepted(daemon, name)
        assert (await polled(daemon, where)).status == 410
        assert (await status(daemon, where))["state"] == "succeeded"


@pytest_twisted.ensureDeferred
async def test_two_hundred_wait_and_each_hears(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Of their own call, with no thread for any of them."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(
        "[worker]\nmax_inflight = 200\n" + function("a", listener, "max_inflight = 200")
    )
    places = await gatherResults(
        [Deferred.fromCoroutine(accepted(daemon, "a", b"%d" % n)) for n in range(200)]
    )
    requests = await listener.when(200)
    threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
    clients = [polled(daemon, where) for where in places]
    for _ in range(3):
        await daemon.get(places[0])
    assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) == threads
    for request in requests:
        request.answer(200, request.body)
    bodies = [response.body for response in await gatherResults(clients)]
    assert bodies == [b"%d" % n for n in range(200)]


# -- preferences


@pytest_twisted.ensureDeferred
async def test_a_little_patience_is_rewarded(start_daemon: StartDaemon, listener: Listener) -> None:
    """The result itself if it is there in time, otherwise the receipt; by either route."""
    daemon = await start_daemon(function("a", listener))
    listener.on_request = lambda request: request.answer(201, b"quick")
    for route, done in (("async-", "wait=30"), ("", "respond-async, wait=30")):
        answer = await daemon.request(f"/{route}function/a", Prefer="respond-async, wait=30")
        assert (answer.status, answer.body) == (201, b"quick")
        assert answer.header("Preference-Applied") == done
        assert answer.header("X-Function-Status") == "201"
    listener.on_request = lambda request: None
    answer = await daemon.request("/async-function/a", Prefer="wait=1")
    assert (answer.status, answer.header("Preference-Applied")) == (202, "wait=1")
    assert (await status(daemon, answer.header("Location") or ""))["state"] == "running"
    answer = await daemon.request("/function/a", Prefer="respond-async")
    assert (answer.status, answer.header("Preference-Applied")) == (202, "respond-async")
    assert answer.body == b""


# -- more than one daemon


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A server of somebody else's."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


@pytest_twisted.ensureDeferred
async def test_any_daemon_on_a_server_knows_of_a_call(
    start_daemon: StartDaemon, listener: Listener, nats: RealNats, reactor: Any, tmp_path: Path
) -> None:
    """That another one runs it, and the moment it ends; across a restart of the server, too."""
    where_nats = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    (tmp_path / "other").mkdir()
    # Only one of them has the function.
    other = Daemon(reactor, tmp_path / "other", where_nats + function("b", listener))
    one = await start_daemon(where_nats + function("a", listener))
    running: list[Received] = []
    listener.on_request = running.append
    try:
        await other.start()
        where = await accepted(one, "a")
        await listener.when(1)
        sheet = await status(other, where)
        assert (sheet["state"], len(sheet["attempts"])) == ("running", 1)
        client = await waiting(other, where)
        running[0].answer(200, b"over there")
        assert (await client).body == b"over there"
        assert (await status(other, where))["state"] == "succeeded"
        second = await accepted(one, "a")
        await listener.when(2)
        client = await waiting(other, second)
        await nats.kill()
        await gatherResults([each.says("the connection to NATS ended") for each in (one, other)])
        await nats.start()
        await gatherResults([each.says("connected to NATS") for each in (one, other)])
        running[1].answer(200, b"afterwards")
        assert (await client).body == b"afterwards"
    finally:
        await other.end()
