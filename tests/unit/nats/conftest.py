"""A client of a server in memory, and the connection between them."""

from __future__ import annotations

import pytest
from memory_server import Connection, MemoryServer

from faasd_async.nats import NatsClient
from faasd_async.nats.jetstream import JetStream


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> NatsClient:
    """Who is connected."""
    return server.connected()[0]


@pytest.fixture
def connection(client: NatsClient, server: MemoryServer) -> Connection:
    return server.last


@pytest.fixture
def jetstream(client: NatsClient) -> JetStream:
    return JetStream(client)
