"""The listening sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from faasd_async.errors import StartError


class Doors:
    """Listens on a number of endpoints."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._doors: list[tuple[str, IProtocolFactory]] = []
        self._farewells: list[Callable[[], None]] = []
        self._ports: list[IListeningPort] = []

    def add(
        self,
        description: str,
        factory: IProtocolFactory,
        let_clients_go: Callable[[], None] | None = None,
    ) -> None:
        """Have a door, to be opened with the others.

        :param description: a Twisted endpoint string.
        :param factory: builds the protocols of those who come in.
        :param let_clients_go: called when the door is closed: those who are in are to leave.
        """
        self._doors.append((description, factory))
        if let_clients_go is not None:
            self._farewells.append(let_clients_go)

    def open(self) -> None:
        """Listen, at once: privileged ports have to be bound before privileges are dropped.

        :raises StartError: one of them cannot be listened on.
        """
        for description, factory in self._doors:
            listening = maybeDeferred(self._listen, description, factory)
            failures: list[Failure] = []
            listening.addCallbacks(self._ports.append, failures.append)
            if failures:
                raise _explained(description, failures[0].value)

    def _listen(self, description: str, factory: IProtocolFactory) -> Any:
        return serverFromString(self._reactor, description).listen(factory)

    @property
    def port_numbers(self) -> frozenset[int]:
        """The TCP ports that are open."""
        hosts = [port.getHost() for port in self._ports]
        return frozenset(host.port for host in hosts if hasattr(host, "port"))

    async def close(self) -> None:
        """Let nobody new in, and those who are in out as soon as they have their answer."""
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        for farewell in self._farewells:
            farewell()


def _explained(description: str, reason: BaseException | None) -> StartError:
    if isinstance(reason, CannotListenError):
        return StartError(
            f"cannot listen on {description}: {reason.socketError}. Stop what listens there, or "
            "choose another endpoint with [gateway] listen or --listen"
        )
    return StartError(
        f"cannot listen on {description}: {reason}. See [gateway] listen, or --listen"
    )
