"""What functions write, as it is read from a running daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener
from provider import DEPLOY, deploy, order, refused
from raw_http import Conversation, converse, request_bytes
from test_calls import function
from test_functions_api import TELLS

SAYS = "[functions.a]\ncommand = ['sh', '-c', 'cat >&2']\n"


async def lines(daemon: Daemon, query: str) -> list[dict[str, Any]]:
    answer = await order(daemon, "GET", f"logs?{query}")
    assert answer.status == 200, answer.body
    assert answer.header("Content-Type") == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


async def texts(daemon: Daemon, query: str) -> list[str]:
    return [line["text"] for line in await lines(daemon, query)]


async def follow(daemon: Daemon, query: str) -> Conversation:
    """Somebody who follows, and has been answered."""
    conversation = await converse(daemon.reactor, daemon.port, "GET")
    target = f"/system/logs?follow=true&{query}"
    conversation.send(request_bytes("GET", target, [("Host", "localhost")]))
    await conversation.when_received(b"\r\n\r\n")
    return conversation


async def say(daemon: Daemon, *said: str) -> None:
    """Its answer may come before what it has written was read."""
    for each in said:
        assert (await daemon.request("/function/a", f"{each}\n".encode())).status == 200
        while each.rpartition("\n")[2] not in await texts(daemon, "name=a"):
            pass


@pytest_twisted.ensureDeferred
async def test_the_last_lines(start_daemon: StartDaemon, listener: Listener) -> None:
    """All that are kept, so many of them, those of one process, those since a moment."""
    daemon = await start_daemon(SAYS + function("b", listener))
    await say(daemon, "1", "2\n3", "4")
    known = await lines(daemon, "name=a.openfaas-fn&namespace=openfaas-fn&follow=0")
    assert [line["text"] for line in known] == ["1", "2", "3", "4"]
    instance = known[1]["instance"]
    assert instance.startswith("a-")
    assert await texts(daemon, f"name=a&instance={instance}") == ["2", "3"]
    for tail, expected in (("2", ["3", "4"]), ("9", ["1", "2", "3", "4"]), ("1", ["4"])):
        assert await texts(daemon, f"name=a&tail={tail}") == expected
    for everything in ("0", "-1"):
        assert len(await texts(daemon, f"name=a&tail={everything}")) == 4
    assert await texts(daemon, f"name=a&since={known[3]['timestamp']}") == ["4"]
    assert len(await texts(daemon, "name=a&since=1h")) == 4
    assert await texts(daemon, "name=a&since=2999-01-01T00:00:00Z") == []
    assert await texts(daemon, "name=b") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("name=", 400),
        ("name=b", 404),
        ("name=a&namespace=other", 404),
        ("name=a&tail=many", 400),
        ("name=a&since=yesterday", 400),
        ("name=a&since=2026-01-01T00:00:00", 400),
        ("name=a&follow=perhaps", 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_read(start_daemon: StartDaemon, query: str, status: int) -> None:
    """The answer says why."""
    daemon = await start_daemon("[queue]\nbackend = 'memory'\n" + SAYS)
    await refused(daemon, "GET", f"logs?{query}", None, status)


@pytest_twisted.ensureDeferred
async def test_lines_are_told_as_they_come(start_daemon: StartDaemon) -> None:
    """First those that are there, as many as were asked for; then each while it is new."""
    daemon = await start_daemon(SAYS)
    await say(daemon, "one", "two")
    follower = await follow(daemon, "name=a&tail=1")
    await follower.when_received(b'"text":"two"')
    assert b'"text":"one"' not in follower.received
    for text in ("three", "four"):
        await say(daemon, text)
        await follower.when_received(f'"text":"{text}"'.encode())
    assert follower.received.count(b'"name":"a"') == 3
    assert follower.transport is not None
    follower.transport.abortConnection()
    await say(daemon, "five")
    assert (await texts(daemon, "name=a"))[-1] == "five"
    assert await daemon.stop() == 0
    assert "Traceback" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_server_is_followed_across_its_versions(start_daemon: StartDaemon) -> None:
    """Its standard output too; the stream ends when the function is removed."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", command=TELLS, envVars={"mode": "http"})
    follower = await follow(daemon, "name=a")
    await say(daemon, "first")
    await follower.when_received(b'"text":"first"')
    await deploy(daemon, "a", command=TELLS, envVars={"mode": "http", "V": "2"})
    await say(daemon, "second")
    await follower.when_received(b'"text":"second"')
    assert len({line["instance"] for line in await lines(daemon, "name=a")}) == 2
    assert (await order(daemon, "DELETE", "functions", {"functionName": "a"})).status == 202
    assert (await follower.when_answers(1))[0].status == 200


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_stops_lets_followers_go(start_daemon: StartDaemon) -> None:
    """They hold nothing up, and their stream comes to a proper end."""
    daemon = await start_daemon(SAYS)
    follower = await follow(daemon, "name=a")
    stopped = daemon.stop()
    (answer,) = await follower.when_answers(1)
    assert answer.status == 200
    assert await stopped == 0


@pytest_twisted.ensureDeferred
async def test_who_reads_slowly_is_told_what_is_missing(start_daemon: StartDaemon) -> None:
    """Only so many lines are kept for anybody, and nobody else is held up."""
    daemon = await start_daemon(SAYS)
    follower = await follow(daemon, "name=a")
    assert follower.transport is not None
    follower.transport.pauseProducing()  # type: ignore[attr-defined]
    line = "x" * 60_000
    for number in range(160):
        await say(daemon, f"{number}-{line}")
    follower.transport.resumeProducing()  # type: ignore[attr-defined]
    await follower.when_received(b"lines are missing here")
    await follower.when_received(b'"text":"159-x')
