"""The way out into the world: treq over a pool of connections."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.web.client import Agent, HTTPConnectionPool

from faasd_async.callback.receivers import SLOTS

_CONNECT_SECONDS = 10.0

#: Idle connections are let go before most servers would close them.
_IDLE_SECONDS = 4


def world_client(reactor: Any) -> HTTPClient:
    """An HTTP client with a pool of its own; it opens nothing until it is used.

    It takes no cookies: what one receiver sets is nothing to the next callback, and a jar that
    every receiver may fill has no bound.
    """
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = SLOTS
    pool.cachedConnectionTimeout = _IDLE_SECONDS
    pool.retryAutomatically = False
    no_cookies = IndexableCookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    agent = Agent(reactor, pool=pool, connectTimeout=_CONNECT_SECONDS)
    return HTTPClient(agent, cookiejar=no_cookies)
