"""A running daemon's server-sent events about calls."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received
from raw_http import Conversation, converse, request_bytes
from real_nats import RealNats
from test_call_status import accepted
from test_calls import function
from twisted.internet.defer import Deferred, gatherResults

_EVENT = re.compile(rb"id: (\S+)\nevent: (\S+)\ndata: (\{.*\})\n\n")


async def follow(
    reactor: Any, daemon: Daemon, where: str, *fields: tuple[str, str]
) -> Conversation:
    """Ask to be told of a call."""
    conversation = await converse(reactor, daemon.port, "GET")
    path, query, which = where.partition("?")
    conversation.send(request_bytes("GET", f"{path}/events{query}{which}", fields))
    return conversation


def states(conversation: Conversation) -> list[str]:
    return [found[2].decode() for found in _EVENT.finditer(conversation.received)]


def is_in(conversation: Conversation, state: str) -> Deferred[None]:
    """Fires when that event has come."""
    return conversation.when_received(b"event: " + state.encode())


@pytest_twisted.ensureDeferred
async def test_each_step_is_told_as_it_is_taken(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """And the stream ends with the call; whoever knows the end is told to stay away."""
    running: list[Received] = []
    listener.on_request = running.append
    daemon = await start_daemon(function("a", listener, "max_inflight = 1"))
    await accepted(daemon, "a")
    await listener.when(1)
    where = await accepted(daemon, "a")
    events = await follow(reactor, daemon, where)
    await is_in(events, "queued")
    running[0].answer()
    await is_in(events, "running")
    running[1].answer(503, Retry_After="1")
    await is_in(events, "retrying")
    # The second attempt's.
    await events.when_received(b"id: 0.0.2.running")
    running[2].answer(500)
    (answer,) = await events.when_answers(1)
    assert states(events) == ["queued", "running", "retrying", "running", "failed"]
    last = list(_EVENT.finditer(answer.body))[-1]
    assert json.loads(last[3])["status"] == 500
    again = await follow(reactor, daemon, where, ("Last-Event-ID", last[1].decode()))
    assert (await again.when_answers(1))[0].status == 204


@pytest_twisted.ensureDeferred
async def test_a_client_comes_back_after_a_restart(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """With the id it knows; it is told what is new and no more."""
    running: list[Received] = []
    listener.on_request = running.append
    config = function("a", listener)
    daemon = await start_daemon(config)
    where = await accepted(daemon, "a")
    events = await follow(reactor, daemon, where)
    await is_in(events, "running")
    known = list(_EVENT.finditer(events.received))[-1][1].decode()
    stopping = daemon.stop()
    await events.when_answers(1)
    running[0].answer()
    assert await stopping == 0
    daemon = await start_daemon(config)
    events = await follow(reactor, daemon, where, ("Last-Event-ID", known))
    await events.when_answers(1)
    assert states(events) == ["succeeded"]


@pytest_twisted.ensureDeferred
async def test_fifty_are_told_of_one_call(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """With no thread for any of them."""
    running: list[Received] = []
    listener.on_request = running.append
    daemon = await start_daemon(function("a", listener))
    where = await accepted(daemon, "a")
    await listener.when(1)
    threads = len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))
    clients = await gatherResults(
        [Deferred.fromCoroutine(follow(reactor, daemon, where)) for _ in range(50)]
    )
    await gatherResults([is_in(client, "running") for client in clients])
    assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) == threads
    running[0].answer()
    await gatherResults([client.when_answers(1) for client in clients])
    assert {tuple(states(client)) for client in clients} == {("running", "succeeded")}


@pytest_twisted.async_yield_fixture
async def nats(reactor: Any, tmp_path: Path) -> AsyncIterator[RealNats]:
    """A server of somebody else's."""
    server = RealNats(reactor, tmp_path / "nats")
    await server.start()
    yield server
    await server.end()


@pytest_twisted.ensureDeferred
async def test_any_daemon_can_tell(
    start_daemon: StartDaemon, listener: Listener, nats: RealNats, reactor: Any, tmp_path: Path
) -> None:
    """Of a call that another one has."""
    where_nats = f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    (tmp_path / "other").mkdir()
    other = Daemon(reactor, tmp_path / "other", where_nats + function("b", listener))
    one = await start_daemon(where_nats + function("a", listener, "max_inflight = 1"))
    running: list[Received] = []
    listener.on_request = running.append
    try:
        await other.start()
        await accepted(one, "a")
        await listener.when(1)
        where = await accepted(one, "a")
        events = await follow(reactor, other, where)
        await is_in(events, "queued")
        running[0].answer()
        await is_in(events, "running")
        running[1].answer(503, Retry_After="1")
        await is_in(events, "retrying")
        await listener.when(3)
        running[2].answer()
        await events.when_answers(1)
        assert states(events)[-1] == "succeeded"
    finally:
        await other.end()
