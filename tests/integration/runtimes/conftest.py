"""Fixtures of the runtimes' tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from raw_peer import ClockedReactor, Listener, make
from starting import Start
from twisted.internet.defer import Deferred

from faasd_async.runtime.interface import Runtime
from faasd_async.runtime.making import make_runtime
from faasd_async.runtime.process.notes import unnoted
from faasd_async.runtime.upstream import Upstream
from faasd_async.settings import CommandSettings, FunctionSettings


@pytest_twisted.async_yield_fixture
async def listener(reactor: Any) -> AsyncIterator[Listener]:
    listener = Listener()
    port = reactor.listenTCP(0, listener, interface="127.0.0.1")
    listener.port = port.getHost().port
    yield listener
    await port.stopListening()
    for peer in listener.peers:
        if not peer.when_lost.called:
            peer.transport.abortConnection()
            await peer.when_lost


@pytest_twisted.async_yield_fixture
async def upstream(reactor: Any, listener: Listener) -> AsyncIterator[Upstream]:
    upstream = make(reactor, f"http://127.0.0.1:{listener.port}")
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
def clocked(reactor: Any) -> ClockedReactor:
    return ClockedReactor(reactor)


@pytest_twisted.async_yield_fixture
async def start(reactor: Any) -> AsyncIterator[Start]:
    """Starts functions that are a process for each call; each is stopped afterwards."""
    runtimes: list[Runtime] = []

    async def start_function(
        *words: str,
        daemon: Any = os.environ,
        note: Any = unnoted,
        reactor: Any = reactor,
        **options: Any,
    ) -> Runtime:
        command = CommandSettings(words=words, **options)
        settings = FunctionSettings(
            name="figlet", command=command, max_inflight=1, max_body_bytes=2**20
        )
        runtime = make_runtime(settings, reactor, daemon, note)
        runtimes.append(runtime)
        await runtime.start()
        return runtime

    yield lambda *words, **options: Deferred.fromCoroutine(start_function(*words, **options))
    for runtime in runtimes:
        await runtime.stop()
