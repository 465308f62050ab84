"""Where the engine listens: the socket that is set, or the first that answers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from faasd_async.runtime.container.errors import EngineUnreachable, NoEngine

if TYPE_CHECKING:
    from twisted.web.client import URI

_CONNECT_SECONDS = 5

#: Where Docker and Podman have theirs.
USUAL_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock")
#: Likewise in ``$XDG_RUNTIME_DIR``, for one user.
_USERS_SOCKETS = ("docker.sock", "podman/podman.sock")


def candidates(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where an engine may be, the likeliest first.

    :param environment: the daemon's; as with Docker's own client, ``DOCKER_HOST`` counts.
    """
    scheme, _, path = environment.get("DOCKER_HOST", "").partition("://")
    if scheme == "unix" and path:
        return (path,)
    directory = environment.get("XDG_RUNTIME_DIR")
    users = [os.path.join(directory, each) for each in _USERS_SOCKETS] if directory else []
    return (*USUAL_SOCKETS, *users)


@implementer(IStreamClientEndpoint)
class EngineEndpoint:
    """Reaches the engine.

    One that has answered once stays the one: were another asked while it is away, each function
    would have a container of both.

    :param paths: of sockets, the first that answers counts.
    :ivar path: of the one that has answered.
    """

    def __init__(self, reactor: Any, paths: tuple[str, ...]) -> None:
        self._reactor = reactor
        self._paths = paths
        self.path: str | None = None

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """:return: fails with :class:`EngineUnreachable`."""
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        paths = (self.path,) if self.path else tuple(filter(is_socket, self._paths))
        why = ""
        for path in paths:
            endpoint = UNIXClientEndpoint(self._reactor, path, timeout=_CONNECT_SECONDS)
            try:
                protocol: IProtocol = await endpoint.connect(factory)
            except CancelledError:
                raise
            except Exception as reason:
                why = why or f"{path}: {str(reason).rstrip('.')}"
            else:
                self.path = path
                return protocol
        remedy = "start it, or set [containers] socket"
        if why:
            raise EngineUnreachable(f"the container engine cannot be reached at {why}; {remedy}")
        raise NoEngine(f"there is no container engine at {' or '.join(self._paths)}; {remedy}")


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


@implementer(IAgentEndpointFactory)
class AlwaysTheEngine:
    """Whatever URL is asked for is the engine's."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: N802
        return self._endpoint
