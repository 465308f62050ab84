"""The daemon with NATS Streaming: what only the whole of it shows."""

from __future__ import annotations

import json

import pytest_twisted
from daemon import StartDaemon
from listener import Listener, at
from stan_double import StanDouble

from faasd_async.call.openfaas.message import OpenFaasMessage


def config(listener: Listener, nats_streaming: StanDouble, **settings: str) -> str:
    function = [f"[functions.slow]\nurl = '{listener.url()}'"]
    function += [f"{name} = {value}" for name, value in settings.items()]
    streaming = f"[nats.streaming]\nurls = ['{nats_streaming.url}']"
    return "\n".join([*function, "[queue]\nbackend = 'nats-streaming'", streaming, ""])


@pytest_twisted.ensureDeferred
async def test_retries_and_dead_letters_are_as_ever(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """A call out of OpenFaaS' gateway is tried again, and then a dead letter: NATS Streaming, which
    could do neither, has seen it once."""
    listener.on_request = lambda request: request.answer(503)
    retry = "{ attempts = 3, min_wait = '10ms', max_wait = '20ms' }"
    daemon = await start_daemon(config(listener, nats_streaming, retry=retry))
    message = OpenFaasMessage(function="slow", header={"X-Call-Id": ["a-call-of-theirs"]})
    nats_streaming.put("faas-request", message.write())
    await listener.when(3)
    result = await daemon.get("/call/a-call-of-theirs/result?wait=20s")
    assert result.status == 503
    letters: list[dict[str, str]] = []
    while not letters:  # it is written after the result
        found = await daemon.request("/system/dead-letters", method="GET", Host="localhost")
        letters = json.loads(found.body)["dead_letters"]
    assert [letter["id"] for letter in letters] == ["a-call-of-theirs"]
    assert len(nats_streaming.given) == 1


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_was_killed_is_followed_by_another(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """Under the same client id, which the server has kept; the call that ran runs again."""
    listener.on_request = lambda request: None
    settings = config(listener, nats_streaming)
    daemon = await start_daemon(settings)
    accepted = await daemon.request("/async-function/slow", b"x")
    await listener.when(1)
    (before,) = nats_streaming.store.clients
    await daemon.kill()
    listener.on_request = lambda request: request.answer()
    again = await start_daemon(settings)
    _, second = await listener.when(2)
    assert second.header("X-Call-Id") == accepted.header("X-Call-Id")
    assert list(nats_streaming.store.clients) == [before]
    assert await again.stop() == 0


@pytest_twisted.ensureDeferred
async def test_without_nats_streaming_callers_are_told_at_once(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """503, not a 202 that means nothing."""
    daemon = await start_daemon(config(listener, nats_streaming))
    await nats_streaming.leave()
    refused = await daemon.request("/async-function/slow", b"x")
    assert refused.status == 503
    assert refused.header("Retry-After")
    assert (await daemon.get("/readyz")).status == 503


@pytest_twisted.ensureDeferred
async def test_a_nats_server_without_jetstream_stops_the_start(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """The reason says what to do."""
    settings = config(listener, nats_streaming)
    settings += f"[nats]\nembedded = false\nurls = ['{nats_streaming.url}']\n"
    daemon = await start_daemon(settings, wait_ready=False)
    assert await daemon.ended() == 1
    assert "has no JetStream" in daemon.errors
    assert "[nats.streaming] urls" in daemon.errors


@pytest_twisted.ensureDeferred
async def test_a_call_is_known_while_it_runs_and_after(
    start_daemon: StartDaemon, listener: Listener, nats_streaming: StanDouble
) -> None:
    """Its state and its result are where they always are."""
    daemon = await start_daemon(config(listener, nats_streaming))
    listener.on_request = lambda request: None
    accepted = await daemon.request("/async-function/slow", b"x")
    (running,) = await listener.when(1, at("/"))
    path = accepted.header("Location") or ""
    assert json.loads((await daemon.get(path)).body)["state"] == "running"
    running.answer(200, b"done")
    result = await daemon.get(f"{path}/result?wait=20s")
    assert (result.status, result.body) == (200, b"done")
