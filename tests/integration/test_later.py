"""Calls that are put off, through the daemon."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener, Received, at
from raw_http import Response
from test_calls import function
from test_pausing import order
from twisted.internet.defer import gatherResults

PATH = "/async-function/late"


class Arrivals:
    """When requests came, by their call ids."""

    def __init__(self, listener: Listener) -> None:
        self.at: dict[str, list[float]] = {}
        listener.on_request = self._came

    def _came(self, request: Received) -> None:
        self.at.setdefault(request.header("X-Call-Id") or "", []).append(time.time())
        request.answer()


def id_of(answer: Response) -> str:
    assert answer.status == 202, answer
    return answer.header("X-Call-Id") or ""


@pytest_twisted.ensureDeferred
async def test_calls_start_when_they_are_due_across_a_crash(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """None early, none twice, each within a second; those whose time came while no daemon ran
    start when one does."""
    arrivals = Arrivals(listener)
    config = function("late", listener)
    daemon = await start_daemon(config)
    due: dict[str, float] = {}
    for number in range(15):
        seconds = 0.2 + 0.2 * number
        answer = await daemon.request(PATH, b"x", X_Delay=f"{seconds:g}")
        due[id_of(answer)] = int(answer.header("X-Start-Time") or "") / 1e9 + seconds
    until = datetime.now(UTC) + timedelta(seconds=3.4)
    answer = await daemon.request(PATH, b"x", X_Not_Before=until.isoformat())
    due[id_of(answer)] = until.timestamp()
    # What is in hand when the daemon dies may run again: so it dies between two.
    ended = await daemon.get(f"/call/{list(due)[4]}/result?wait=30s")
    assert ended.status == 200
    await daemon.kill()
    daemon = await start_daemon(config)
    back = time.time()
    await listener.when(len(due))
    assert await daemon.stop() == 0
    assert arrivals.at.keys() == due.keys()
    for call_id, moment in due.items():
        (came, *again) = arrivals.at[call_id]
        assert not again
        assert moment <= came < max(moment, back) + 1


@pytest_twisted.ensureDeferred
async def test_a_keyed_call_is_put_off_once_by_many_at_a_time(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """However often, with a delay or without, and while it waits, it is one call."""
    arrivals = Arrivals(listener)
    daemon = await start_daemon(function("late", listener))
    put_off = {"Idempotency_Key": "one", "X_Delay": "1s"}
    answers = await gatherResults([daemon.request(PATH, b"x", **put_off) for _ in range(20)])
    answers.append(await daemon.request(PATH, b"x", Idempotency_Key="one"))
    assert len({id_of(answer) for answer in answers}) == 1
    assert len([each for each in answers if not each.header("Idempotency-Replayed")]) == 1
    mixed = await gatherResults(
        [
            daemon.request(PATH, b"x", Idempotency_Key="two", **({"X_Delay": "1s"} if odd else {}))
            for odd in (True, False) * 10
        ]
    )
    assert len({id_of(answer) for answer in mixed}) == 1
    await daemon.request(PATH, b"x", X_Call_Id="last", X_Delay="2s")
    await listener.when(3)
    assert await daemon.stop() == 0
    assert {len(times) for times in arrivals.at.values()} == {1}
    assert set(arrivals.at) == {id_of(answers[0]), id_of(mixed[0]), "last"}


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_put_off_is_told_of(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its state is ``scheduled``, with the time; after a crash too."""
    config = function("late", listener)
    daemon = await start_daemon(config)
    answer = await daemon.request(PATH, b"x", X_Not_Before="2099-01-01T00:00:00Z")
    assert answer.status == 400
    until = (datetime.now(UTC) + timedelta(days=300)).replace(microsecond=0)
    answer = await daemon.request(PATH, b"x", X_Not_Before=until.isoformat())
    await daemon.kill()
    daemon = await start_daemon(config)
    sheet = json.loads((await daemon.get(f"/call/{id_of(answer)}")).body)
    assert sheet["state"] == "scheduled"
    assert datetime.fromisoformat(sheet["next_attempt"]) == until
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_call_that_comes_too_late_never_runs(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its function is paused, and the daemon dies before the time that its caller has named: the
    callback says 504 all the same, the state is ``expired``, and a resumption changes nothing."""
    config = function("late", listener)
    daemon = await start_daemon(config)
    await order(daemon, "function/late/pause")
    callback = listener.url("/told")
    late = await daemon.request(PATH, b"x", X_Expires="1s", X_Callback_Url=callback)
    in_time = await daemon.request(PATH, b"y", X_Expires="1h")
    await daemon.kill()
    daemon = await start_daemon(config)
    (told,) = await listener.when(1, at("/told"))
    assert told.header("X-Function-Status") == "504"
    assert told.header("X-Call-Id") == id_of(late)
    await order(daemon, "function/late/resume")
    ended = await daemon.get(f"/call/{id_of(in_time)}/result?wait=30s")
    assert ended.status == 200
    sheet = json.loads((await daemon.get(f"/call/{id_of(late)}")).body)
    assert sheet["state"] == "expired"
    assert await daemon.stop() == 0
    assert [request.body for request in listener.requests if request.target == b"/late/"] == [b"y"]


@pytest.mark.parametrize("mode", ["function", "static"])
@pytest_twisted.ensureDeferred
async def test_a_call_expires_behind_one_that_runs(
    start_daemon: StartDaemon, listener: Listener, mode: str
) -> None:
    """At its time, while its function has no room; whole as a dead letter. What runs is left alone,
    though its own time is past."""
    listener.on_request = lambda request: None if request.target == b"/late/" else request.answer()
    daemon = await start_daemon(
        f"[queue]\nmode = '{mode}'\n" + function("late", listener, "max_inflight = 1")
    )
    runs = await daemon.request(PATH, b"runs", X_Expires="1s")
    (running,) = await listener.when(1, at("/late/"))
    callback = listener.url("/told")
    late = await daemon.request(PATH, b"late", X_Expires="1s", X_Callback_Url=callback)
    waits = await daemon.request(PATH, b"waits", X_Expires="1h")
    (told,) = await listener.when(1, at("/told"))
    assert told.header("X-Function-Status") == "504"
    assert told.header("X-Call-Id") == id_of(late)
    kept = await daemon.request(
        f"/system/dead-letters/{id_of(late)}", method="GET", Host="localhost"
    )
    (letter,) = json.loads(kept.body)["dead_letters"]
    assert (letter["reason"], letter["body"]) == ("expired", "late")
    listener.on_request = lambda request: request.answer()
    running.answer()
    for each in (runs, waits):
        assert (await daemon.get(f"/call/{id_of(each)}/result?wait=30s")).status == 200
    assert await daemon.stop() == 0
    ran = [request.body for request in listener.requests if request.target == b"/late/"]
    assert ran == [b"runs", b"waits"]
