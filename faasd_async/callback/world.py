"""The way out into the world: treq over a pool of connections."""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.web.client import Agent, HTTPConnectionPool

_CONNECT_SECONDS = 10.0

#: Idle connections are let go before most servers would close them.
_IDLE_SECONDS = 4


def world_client(reactor: Any) -> HTTPClient:
    """An HTTP client with a pool of its own; it opens nothing until it is used."""
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = 8
    pool.cachedConnectionTimeout = _IDLE_SECONDS
    pool.retryAutomatically = False
    return HTTPClient(Agent(reactor, pool=pool, connectTimeout=_CONNECT_SECONDS))
