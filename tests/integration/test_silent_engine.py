"""A container engine that listens and says nothing: nobody but its functions waits for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import StartDaemon
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol


class Silent(Factory):
    """:ivar asked: fires with the first question."""

    def __init__(self) -> None:
        self.asked: Deferred[bytes] = Deferred()

    def buildProtocol(self, addr: Any) -> Protocol:
        protocol = _Listening()
        protocol.factory = self
        return protocol


class _Listening(Protocol):
    factory: Silent

    def dataReceived(self, data: bytes) -> None:
        if not self.factory.asked.called:
            self.factory.asked.callback(data)


@pytest.fixture
def silent(reactor: Any, tmp_path: Path) -> Iterator[tuple[Silent, Path]]:
    factory, path = Silent(), tmp_path / "engine.sock"
    port = reactor.listenUNIX(str(path), factory)
    yield factory, path
    port.stopListening()


@pytest_twisted.ensureDeferred
async def test_nobody_else_waits_for_it(
    start_daemon: StartDaemon, silent: tuple[Silent, Path]
) -> None:
    """The daemon becomes ready, at its next start with an image that was deployed over HTTP, too;
    others are called and deployed, and it stops in order. Who calls an image is told in time."""
    engine, path = silent
    config = (
        f"deploy = ['command']\n[containers]\nsocket = 'unix://{path}'\n"
        "[defaults]\nstart_timeout = '100ms'\n[functions.echo]\ncommand = 'cat'\n"
        "[functions.web]\nimage = 'localhost/web'\n"
    )
    deployed = json.dumps({"service": "another", "image": "localhost/another"}).encode()
    for method in ("POST", "PUT"):
        daemon = await start_daemon(config)
        await engine.asked
        assert (await daemon.request("/function/echo", b"hi")).body == b"hi"
        waiting = await daemon.request("/function/web")
        assert (waiting.status, b"was not ready within" in waiting.body) == (503, True)
        answer = await daemon.request(
            "/system/functions", deployed, method=method, Host="localhost"
        )
        assert answer.status == 202, answer.body
        assert await daemon.stop() == 0
