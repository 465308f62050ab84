"""Fixtures of the runtimes' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from raw_peer import ClockedReactor, Listener, make

from faasd_async.runtime.upstream import Upstream


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
