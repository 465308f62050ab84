"""A nats-server of the test's own: started, paused, killed and started again on the same port."""

from __future__ import annotations

import re
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from faasd_async.nats import Limits, NatsClient, ServerAddress
from faasd_async.nats.server.binary import find_binary

PATIENCE_SECONDS = 20
QUICK = Limits(first_delay_seconds=0.01, longest_delay_seconds=0.1)

T = TypeVar("T")


class RealNats(ProcessProtocol):
    """One server with JetStream, unless it is to have none; its store below ``directory``.

    :ivar port: drawn by the first start, and kept.
    """

    def __init__(
        self, reactor: Any, directory: Path, *options: str, jetstream: bool = True
    ) -> None:
        self.reactor = reactor
        self._directory = directory
        self._options = options
        self._jetstream = jetstream
        self._clients: list[NatsClient] = []
        self._log = ""
        self._ready: Deferred[None] = Deferred()
        self._ended: Deferred[None] = Deferred()
        self.port = -1

    async def start(self) -> None:
        """Start, and wait until the server says that it is ready."""
        self._log = ""
        self._ready, self._ended = Deferred(), Deferred()
        binary = str(find_binary(None))
        store = str(self._directory / "jetstream")
        where = ["-a", "127.0.0.1", "-p", str(self.port)]
        if self._jetstream:
            where += ["-js", "-sd", store]
        self.reactor.spawnProcess(self, binary, [binary, *where, *self._options])
        await self.soon(self._ready)

    def errReceived(self, data: bytes) -> None:
        """The server logs."""
        self._log += data.decode("utf-8", "replace")
        if "Server is ready" in self._log and not self._ready.called:
            listening = re.search(r"client connections on 127\.0\.0\.1:(\d+)", self._log)
            assert listening is not None
            self.port = int(listening[1])
            self._ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        """The server is gone."""
        if not self._ready.called:
            self._ready.errback(RuntimeError(f"nats-server did not start: {self._log}"))
        self._ended.callback(None)

    def signal(self, number: Signals) -> None:
        """Send the server a signal."""
        assert self.transport is not None
        self.transport.signalProcess(number.value)

    async def kill(self, number: Signals = SIGKILL) -> None:
        """End the server, without a warning unless the signal is another."""
        if not self._ended.called:
            self.signal(number)
            await self.soon(self._ended)

    @property
    def address(self) -> ServerAddress:
        """Where the server is now."""
        return ServerAddress("127.0.0.1", self.port)

    async def client(
        self, *, limits: Limits = QUICK, user: str = "", password: str = ""
    ) -> NatsClient:
        """Return a connected client, which is stopped with the server."""
        client = NatsClient(
            self.reactor, lambda: [self.address], limits=limits, user=user, password=password
        )
        client.start()
        self._clients.append(client)
        await self.soon(client.when_connected())
        return client

    async def end(self, number: Signals = SIGKILL) -> None:
        """Stop the clients, and the server."""
        clients, self._clients = self._clients, []
        for client in clients:
            await self.soon(client.stop())
        await self.kill(number)

    def soon(self, deferred: Deferred[T]) -> Deferred[T]:
        """Fail the test if it takes unreasonably long."""
        return deferred.addTimeout(PATIENCE_SECONDS, self.reactor)
