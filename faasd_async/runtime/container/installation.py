"""What all the containers of a daemon share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from faasd_async.runtime.container.engine import Engine
from faasd_async.runtime.container.launching import Launcher
from faasd_async.runtime.container.logins import logins_in
from faasd_async.runtime.container.ours import Ours
from faasd_async.runtime.container.secrets import Secrets
from faasd_async.runtime.container.socket import (
    AlwaysTheEngine,
    EngineEndpoint,
    candidates,
    is_socket,
)
from faasd_async.runtime.journal import Keep, unkept

#: What a container may take to end, as with Docker; the daemon's own patience may be shorter.
USUAL_GRACE_SECONDS = 10.0


class Installation:
    """The engine, and what there is of this daemon's on it.

    :param now_seconds: the wall clock, Unix time.
    :param patience_seconds: what a container may take to end, at most.
    :param keep: is given each line that a container writes.
    """

    def __init__(
        self,
        engine: Engine,
        state_dir: Path,
        *,
        now_seconds: Callable[[], float],
        patience_seconds: float = USUAL_GRACE_SECONDS,
        keep: Keep = unkept,
    ) -> None:
        secrets = Secrets(state_dir)
        self.engine = engine
        self.ours = Ours(engine, state_dir, secrets)
        self.launcher = Launcher(engine, self.ours, secrets)
        self.now_seconds = now_seconds
        self.keep = keep
        self.grace_seconds = min(USUAL_GRACE_SECONDS, patience_seconds)


def engine_is_there(socket: str | None, environment: Mapping[str, str]) -> bool:
    """Whether somebody may listen where an engine would; as for :func:`engine_at`."""
    return any(map(is_socket, (socket,) if socket else candidates(environment)))


def engine_at(
    reactor: Any,
    socket: str | None,
    environment: Mapping[str, str],
    logins_file: str | None = None,
) -> Engine:
    """The engine at a socket; nothing is opened before it is asked.

    :param socket: a path; ``None``: where engines have theirs.
    :param environment: the daemon's.
    :param logins_file: where ``docker login`` has kept its logins, if anywhere.
    """
    endpoint = EngineEndpoint(reactor, (socket,) if socket else candidates(environment))
    return Engine(reactor, _LateAgent(reactor, AlwaysTheEngine(endpoint)), logins_in(logins_file))


@implementer(IAgent)
class _LateAgent:
    """An agent that is made, and whose modules are imported, when something is asked."""

    def __init__(self, reactor: Any, endpoints: AlwaysTheEngine) -> None:
        self._reactor = reactor
        self._endpoints = endpoints

    def request(self, *question: Any) -> Deferred[IResponse]:
        return self._agent.request(*question)

    @cached_property
    def _agent(self) -> IAgent:
        from twisted.web.client import Agent, HTTPConnectionPool

        pool = HTTPConnectionPool(self._reactor, persistent=False)
        agent: IAgent = Agent.usingEndpointFactory(self._reactor, self._endpoints, pool)
        return agent
