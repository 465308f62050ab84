"""Functions that the daemon calls at their times, through the daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, at
from real_nats import RealNats
from test_calls import function
from test_pausing import ask
from twisted.internet.defer import gatherResults

EACH_SECOND = "schedule = '* * * * * *'\npayload = 'tick'\n"


def ticks(listener: Listener) -> list[int]:
    """Which seconds of the day the function was called for, in the order of its calls."""
    found = []
    for request in listener.requests:
        if request.target != b"/told":
            time = (request.header("X-Scheduled-At") or "").partition("T")[2].rstrip("Z")
            hours, minutes, seconds = map(int, time.split(":"))
            found.append(hours * 3600 + minutes * 60 + seconds)
    return found


@pytest_twisted.ensureDeferred
async def test_a_function_is_called_at_each_of_its_times_across_a_crash(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Once for each, those included that came while no daemon ran, which was not for long."""
    config = function("f", listener, EACH_SECOND)
    daemon = await start_daemon(config)
    (first, *_) = await listener.when(2)
    assert first.body == b"tick"
    # What is in hand when the daemon dies may run again: so it dies when nothing is.
    last = listener.requests[-1].header("X-Call-Id")
    assert (await daemon.get(f"/call/{last}/result?wait=30s")).status == 200
    await daemon.kill()
    daemon = await start_daemon(config)
    await listener.when(5)
    assert await daemon.stop() == 0
    seen = sorted(ticks(listener))
    assert seen == list(range(seen[0], seen[0] + len(seen)))


@pytest_twisted.ensureDeferred
async def test_a_function_brings_its_schedule_as_openfaas_has_it(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Among its annotations: it counts beside that topic alone."""
    annotations = "annotations = {{ topic = '{}', schedule = '@every 1s' }}\n"
    daemon = await start_daemon(
        function("f", listener, annotations.format("cron-function"))
        + function("g", listener, annotations.format("another"))
    )
    await listener.when(2)
    (line,) = (await told(daemon, "GET", ""))["schedules"]
    assert (line["function"], line["schedule"]) == ("f", "@every 1s")
    assert await daemon.stop() == 0
    assert {request.target for request in listener.requests} == {b"/f/"}


@pytest_twisted.ensureDeferred
async def test_many_daemons_make_one_call_for_each_time(
    start_daemon: StartDaemon, listener: Listener, nats: RealNats, reactor: Any, tmp_path: Path
) -> None:
    """On one NATS server; when one of them dies the others go on."""
    where = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    config = where + function("f", listener, EACH_SECOND)
    first = await start_daemon(config)
    (tmp_path / "other").mkdir()
    (tmp_path / "third").mkdir()
    others = [Daemon(reactor, tmp_path / name, config) for name in ("other", "third")]
    try:
        for other in others:
            await other.start()
        await listener.when(2)
        await first.stop()
        await listener.when(4)
        assert await gatherResults([other.stop() for other in others]) == [0, 0]
    finally:
        for other in others:
            await other.end()
    seen = sorted(ticks(listener))
    assert seen == list(range(seen[0], seen[0] + len(seen)))


async def told(daemon: Daemon, method: str, target: str) -> dict[str, Any]:
    answer = await ask(daemon, f"/system/schedules{target}", method)
    assert answer.status == 200, answer.body
    sheet: dict[str, Any] = json.loads(answer.body)
    return sheet


@pytest_twisted.ensureDeferred
async def test_a_schedule_is_removed_across_a_crash_and_restored(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Another function's goes on meanwhile."""
    config = function("f", listener, EACH_SECOND) + function("g", listener, EACH_SECOND)
    daemon = await start_daemon(config)
    await listener.when(1, at("/f/"))
    assert (await told(daemon, "DELETE", "/f"))["removed"]
    await daemon.kill()
    daemon = await start_daemon(config)
    called = [request for request in listener.requests if request.target == b"/f/"]
    await listener.when(len(listener.requests) + 2, lambda _: True)
    lines = {line["function"]: line for line in (await told(daemon, "GET", ""))["schedules"]}
    assert lines["f"]["removed"]
    assert lines["f"]["next"] is None
    assert lines["g"]["next"] > lines["g"]["seen_to"]
    assert called == [request for request in listener.requests if request.target == b"/f/"]
    assert not (await told(daemon, "POST", "/f/restore"))["removed"]
    await listener.when(len(called) + 1, at("/f/"))
    assert await daemon.stop() == 0
