"""Dead letters of a running daemon: listed, shown, replayed and purged."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon, free_port
from listener import Listener, Received, at
from raw_http import Response
from test_pausing import until
from twisted.internet.defer import gatherResults

LETTERS = "/system/dead-letters"


def function(listener: Listener, name: str = "f", settings: str = "") -> str:
    """A function in the test's own hands, at ``/<name>``."""
    return f"[functions.{name}]\nurl = '{listener.url('/' + name)}'\n{settings}\n"


async def order(daemon: Daemon, method: str, target: str, body: object = None) -> Response:
    """What an operator at this machine asks for."""
    raw = b"" if body is None else json.dumps(body).encode()
    return await daemon.request(target, raw, method=method, Host="localhost")


async def told(daemon: Daemon, method: str, target: str, body: object = None) -> Any:
    """The answer to an order that is fulfilled."""
    answer = await order(daemon, method, target, body)
    assert answer.status in (200, 202), answer.body
    return json.loads(answer.body)


async def listed(daemon: Daemon, query: str = "") -> list[Any]:
    letters: list[Any] = (await told(daemon, "GET", LETTERS + query))["dead_letters"]
    return letters


async def dead(daemon: Daemon, count: int, query: str = "") -> list[Any]:
    """Ask until there are so many dead letters: each is written after its call's callback."""
    for _ in range(1000):
        letters = await listed(daemon, query)
        if len(letters) >= count:
            return letters
    raise AssertionError(f"only {letters}")


def wants(fields: dict[str, str], otherwise: int = 500) -> Any:
    """A function that succeeds only with these header fields; callbacks are taken in any case."""

    def answer(request: Received) -> None:
        content = all(request.header(name) == value for name, value in fields.items())
        is_callback = request.header("X-Function-Status") is not None
        request.answer(200 if content or is_callback else otherwise, b"answer")

    return answer


@pytest_twisted.ensureDeferred
async def test_a_failed_call_is_listed_shown_edited_and_replayed(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It runs again under its id, succeeds, and says so to its callback."""
    listener.on_request = wants({"X-Token": "right"})
    daemon = await start_daemon(function(listener))
    accepted = await daemon.request(
        "/async-function/f/a%2Fb?c",
        b"body",
        X_Token="wrong",
        Authorization="Bearer secret",
        X_Callback_Url=listener.url("/told"),
    )
    call_id = accepted.header("X-Call-Id")
    (first,) = await listener.when(1, at("/told"))
    assert first.header("X-Function-Status") == "500"

    (line,) = await dead(daemon, 1)
    assert (line["id"], line["kind"], line["reason"]) == (call_id, "call", "failed")
    assert [each["status"] for each in line["attempts"]] == [500]
    assert line["size"] == 4

    (whole,) = (await told(daemon, "GET", f"{LETTERS}/{call_id}"))["dead_letters"]
    assert (whole["target"], whole["body"]) == ("/a%2Fb?c", "body")
    assert ["X-Token", "wrong"] in whole["headers"]
    assert ["Authorization", "(hidden)"] in whole["headers"]

    edits = {"headers": {"X-Token": "right", "Authorization": None}}
    answer = await told(daemon, "POST", f"{LETTERS}/{call_id}/replay", edits)
    assert answer == {"replayed": 1, "failed": []}
    _, second = await listener.when(2, at("/told"))
    assert second.header("X-Function-Status") == "200"
    assert second.header("X-Call-Id") == call_id
    assert second.header("Webhook-Id") != first.header("Webhook-Id")
    _, run = await listener.when(2, at("/f/a%2Fb"))
    assert (run.target, run.body) == (b"/f/a%2Fb?c", b"body")
    assert (run.header("X-Call-Id"), run.header("X-Attempt")) == (call_id, "1")
    assert run.header("Authorization") is None
    assert await listed(daemon) == []


@pytest_twisted.ensureDeferred
async def test_a_dead_letter_outlives_daemon_and_broker(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It is there after a crash, can be replayed then, and fails anew: a later generation."""
    listener.on_request = wants({"X-Token": "right"})
    config = function(listener)
    daemon = await start_daemon(config)
    await daemon.request("/async-function/f", b"body")
    await dead(daemon, 1)
    await until(daemon, lambda known: known["f"]["in_flight"] == 0)
    await daemon.kill()

    daemon = await start_daemon(config)
    (line,) = await listed(daemon)
    await told(daemon, "POST", f"{LETTERS}/{line['id']}/replay")
    (again,) = await dead(daemon, 1)
    assert (again["id"], again["replays"]) == (line["id"], 1)
    assert [each["status"] for each in again["attempts"]] == [500]
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_dead_callback_is_replayed(start_daemon: StartDaemon, listener: Listener) -> None:
    """It is the same callback, and the function does not run again."""

    def gone_at_first(request: Received) -> None:
        told_before = len([each for each in listener.requests if at("/told")(each)]) > 1
        request.answer(410 if at("/told")(request) and not told_before else 200)

    listener.on_request = gone_at_first
    daemon = await start_daemon(function(listener))
    await daemon.request("/async-function/f", X_Callback_Url=listener.url("/told", "u:p@"))
    (line,) = await dead(daemon, 1, "?kind=callback")
    assert (line["reason"], line["status"], line["tries"]) == ("gone", 410, 1)
    assert line["callback_url"] == listener.url("/told")
    await told(daemon, "POST", f"{LETTERS}/{line['id']}/replay")
    first, second = await listener.when(2, at("/told"))
    assert second.header("Webhook-Id") == first.header("Webhook-Id")
    assert second.header("Authorization") == first.header("Authorization") is not None
    assert second.body == first.body
    assert len([each for each in listener.requests if at("/f/")(each)]) == 1
    assert await listed(daemon) == []


@pytest_twisted.ensureDeferred
async def test_many_are_replayed_once_their_function_works(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """All of a function, and none of another's; with what they lacked."""
    broken = True

    def answer(request: Received) -> None:
        is_callback = request.header("X-Function-Status") is not None
        request.answer(500 if broken and not is_callback else 200)

    listener.on_request = answer
    daemon = await start_daemon(function(listener) + function(listener, "g"))
    callback = {"X_Callback_Url": listener.url("/told")}
    await gatherResults(
        [
            daemon.request(f"/async-function/{name}", **callback)
            for name in ("f", "g")
            for _ in range(30)
        ]
    )
    await dead(daemon, 60)
    pages = [await told(daemon, "GET", f"{LETTERS}?function=f&limit=20")]
    pages.append(
        await told(daemon, "GET", f"{LETTERS}?function=f&limit=20&after={pages[0]['next']}")
    )
    assert [len(page["dead_letters"]) for page in pages] == [20, 10]
    broken = False
    edits = {"reason": "failed", "headers": {"X-Token": "right"}}
    answer_told = await told(daemon, "POST", f"{LETTERS}/replay?function=f", edits)
    assert answer_told == {"replayed": 30, "failed": []}
    await listener.when(90, at("/told"))
    replayed = [each for each in listener.requests if at("/f/")(each)][-30:]
    assert {each.header("X-Token") for each in replayed} == {"right"}
    assert len(await listed(daemon)) == 30
    assert await told(daemon, "DELETE", f"{LETTERS}?all=true") == {"purged": 30}
    assert await listed(daemon) == []


@pytest_twisted.ensureDeferred
async def test_who_is_not_admitted(start_daemon: StartDaemon, listener: Listener) -> None:
    """Somebody who asks under another name, or through a proxy, learns and does nothing."""
    listener.on_request = wants({"X-Token": "right"})
    daemon = await start_daemon(function(listener))
    accepted = await daemon.request("/async-function/f")
    await dead(daemon, 1)
    letter = f"{LETTERS}/{accepted.header('X-Call-Id')}"
    for method, target in (("GET", letter), ("POST", f"{letter}/replay"), ("DELETE", letter)):
        for fields in ({}, {"Host": "localhost", "X_Forwarded_For": "192.0.2.1"}):
            answer = await daemon.request(target, method=method, **fields)
            assert answer.status == 403
    assert len(await listed(daemon)) == 1


@pytest_twisted.ensureDeferred
async def test_a_function_that_is_gone(start_daemon: StartDaemon, listener: Listener) -> None:
    """Its dead letters stay until it is back."""
    listener.on_request = wants({"X-Token": "right"})
    daemon = await start_daemon(function(listener) + function(listener, "g"))
    await daemon.request("/async-function/f")
    (line,) = await dead(daemon, 1)
    daemon.configure(function(listener, "g"))
    daemon.signal(signal.SIGHUP)
    await daemon.says("1 functions are deployed now")
    answer = await order(daemon, "POST", f"{LETTERS}/{line['id']}/replay")
    assert answer.status == 409
    assert b"not deployed" in answer.body
    assert await listed(daemon) == [line]


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_is_killed_while_it_replays_loses_nothing(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """What it had not replayed is there, and is replayed by the next one; all calls succeed."""
    count, broken = 200, True
    succeeded: set[str | None] = set()
    config = function(listener, settings="max_inflight = 4")

    def answer(request: Received) -> None:
        if not broken:
            succeeded.add(request.header("X-Call-Id"))
        request.answer(500 if broken else 200)

    listener.on_request = answer
    daemon = await start_daemon(config)
    accepted = await gatherResults([daemon.request("/async-function/f") for _ in range(count)])
    await dead(daemon, count, "?limit=1000")
    broken = False
    replaying = daemon.request(f"{LETTERS}/replay?all=true", Host="localhost")
    replaying.addErrback(lambda _: None)
    await listener.when(count + 5)
    await daemon.kill()
    await replaying

    daemon = await start_daemon(config)
    await told(daemon, "POST", f"{LETTERS}/replay?all=true")
    ids = {each.header("X-Call-Id") for each in accepted}
    while not ids <= succeeded:
        await listener.when(len(listener.requests) + 1)
    assert await listed(daemon) == []


@pytest_twisted.ensureDeferred
async def test_a_call_that_cannot_begin_expires(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its function is never reached; replayed, it has its time again."""
    config = f"[functions.f]\nurl = 'http://127.0.0.1:{free_port()}/'\nexpires = '1s'\n"
    daemon = await start_daemon(config)
    await daemon.request("/async-function/f", b"body", X_Callback_Url=listener.url("/told"))
    (callback,) = await listener.when(1, at("/told"))
    assert callback.header("X-Function-Status") == "504"
    (line,) = await dead(daemon, 1)
    assert (line["reason"], line["status"], line["attempts"]) == ("expired", 504, [])
    daemon.configure(function(listener))
    daemon.signal(signal.SIGHUP)
    await daemon.says("1 functions are deployed now")
    await told(daemon, "POST", f"{LETTERS}/replay?reason=expired")
    _, callback = await listener.when(2, at("/told"))
    assert callback.header("X-Function-Status") == "200"


@pytest.mark.parametrize("mode", ["function", "static"])
@pytest_twisted.ensureDeferred
async def test_a_call_without_a_function_is_an_orphan_in_the_end(
    start_daemon: StartDaemon, listener: Listener, mode: str
) -> None:
    """Whoever asked for it is told, and it can be replayed once its function is back."""
    queue = f"[queue]\nmode = '{mode}'\norphan_ttl = '1s'\n"
    unreachable = f"[functions.f]\nurl = 'http://127.0.0.1:{free_port()}/'\n"
    daemon = await start_daemon(queue + unreachable)
    await daemon.request("/async-function/f", b"body", X_Callback_Url=listener.url("/told"))
    daemon.configure(queue + function(listener, "g"))
    daemon.signal(signal.SIGHUP)
    (callback,) = await listener.when(1, at("/told"))
    assert callback.header("X-Function-Status") == "404"
    (line,) = await dead(daemon, 1)
    assert (line["reason"], line["status"]) == ("orphaned", 404)
    daemon.configure(queue + function(listener))
    daemon.signal(signal.SIGHUP)
    await daemon.says("1 functions are deployed now(?s:.*)1 functions are deployed now")
    await told(daemon, "POST", f"{LETTERS}/{line['id']}/replay")
    _, callback = await listener.when(2, at("/told"))
    assert callback.header("X-Function-Status") == "200"
