"""A socket that systemd opened and handed over."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import READY, Daemon
from raw_http import exchange

FUNCTIONS = "[functions.environment]\ncommand = ['env']\n"

#: Only the process itself knows the pid that ``LISTEN_PID`` has to name.
HAND_OVER = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$@"'


class ActivatedDaemon(Daemon):
    """One that is started as systemd would start it for a socket."""

    def __init__(self, reactor: Any, directory: Path, config: str, listening: socket.socket):
        super().__init__(reactor, directory, config, port=listening.getsockname()[1])
        self._listening = listening
        self._options = (
            *("--config", str(self._config), "--state-dir", str(self.state)),
            *("--listen", "systemd:domain=INET:index=0"),
        )

    async def start(self) -> None:
        self.reactor.spawnProcess(
            self,
            "/bin/sh",
            ["sh", "-c", HAND_OVER, "sh", *self.arguments],
            self._environment,
            path=str(self._config.parent),
            childFDs={0: "w", 1: "r", 2: "r", 3: self._listening.fileno()},
        )
        await self.says(READY)


@pytest_twisted.ensureDeferred
async def test_a_socket_that_was_handed_over(reactor: Any, tmp_path: Path) -> None:
    """It is listened on, and the function sees nothing of how it was handed over.

    A call that waited in its backlog before the daemon was there is answered by the function: not
    with 404, as if there were none, and not with "not yet".
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        early = exchange(reactor, port, "POST", "/function/environment", [], b"")
        daemon = ActivatedDaemon(reactor, tmp_path, FUNCTIONS, listening)
        try:
            await daemon.start()
            assert (await early).status == 200
            answer = await daemon.request("/function/environment")
            assert answer.status == 200
            assert b"Http_Path=" in answer.body
            assert b"LISTEN_" not in answer.body
            assert await daemon.stop() == 0
        finally:
            await daemon.end()
