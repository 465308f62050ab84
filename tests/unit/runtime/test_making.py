"""Which settings make which runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from faasd_async.runtime.container.installation import Installation, engine_at
from faasd_async.runtime.container.runtime import ContainerRuntime
from faasd_async.runtime.making import make_runtime
from faasd_async.runtime.process.fork import ForkRuntime
from faasd_async.runtime.process.http import HttpRuntime
from faasd_async.runtime.upstream import Upstream
from faasd_async.settings import CommandSettings, FunctionSettings


def test_url() -> None:
    """A URL is an upstream; nothing is opened for it."""
    settings = FunctionSettings(name="a", url="http://h", max_inflight=1, max_body_bytes=1)
    reactor = MemoryReactorClock()
    assert isinstance(make_runtime(settings, reactor), Upstream)
    assert not reactor.tcpClients
    assert not reactor.getDelayedCalls()


def test_image(tmp_path: Path) -> None:
    """An image is a container; no engine is asked for it before the start."""
    settings = FunctionSettings(name="a", image="img", max_inflight=1, max_body_bytes=1)
    reactor = MemoryReactorClock()
    engine = engine_at(reactor, str(tmp_path / "none.sock"), {})
    containers = Installation(engine, tmp_path, now_seconds=lambda: 0.0)
    assert isinstance(make_runtime(settings, reactor, containers=containers), ContainerRuntime)
    assert not reactor.unixClients
    assert not reactor.getDelayedCalls()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("streaming", ForkRuntime), ("serializing", ForkRuntime), ("http", HttpRuntime)],
)
def test_command(mode: str, kind: type) -> None:
    """A command is forked or served, by its mode; nothing is looked for before the start."""
    command = CommandSettings(words=("/no/such/thing",), mode=mode)
    settings = FunctionSettings(name="a", command=command, max_inflight=1, max_body_bytes=1)
    assert isinstance(make_runtime(settings, MemoryReactorClock()), kind)
