"""The listening sockets."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IPushProducer,
)
from twisted.python.failure import Failure

from faasd_async.errors import StartError
from faasd_async.gateway.certificates import TlsDoor, speaks_tls

#: Who comes to a socket of systemd's while the daemon starts waits for so long at most, and hears
#: then what the daemon waits for: an outside broker may be away for a day.
PATIENCE_SECONDS = 15.0

#: Who listens everywhere is found here.
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not to listen there


#: Has those who are in leave; is over when nobody of them has more to say.
Farewell = Callable[[], Coroutine[Any, Any, None]]


class Doors:
    """Listens on a number of endpoints.

    A socket that systemd hands over has a backlog in which callers may wait already. They are not
    let in to be told that nothing is there yet: they wait on, until :meth:`let_in`.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._doors: list[tuple[str, str, IProtocolFactory, bool]] = []
        self._farewells: list[Farewell] = []
        self._ports: list[IListeningPort] = []
        self._held: list[IPushProducer] = []
        self._patience: IDelayedCall | None = None
        self._with_certificates: list[TlsDoor] = []
        #: Where who is on this machine gets in, by plain HTTP: a host and a port.
        self.home: tuple[str, int] | None = None
        self._port_numbers: frozenset[int] = frozenset()

    def add(
        self,
        description: str,
        factory: IProtocolFactory,
        let_clients_go: Farewell | None = None,
        *,
        setting: str = "[gateway] listen or --listen",
    ) -> None:
        """Have a door, to be opened with the others.

        :param description: a Twisted endpoint string.
        :param factory: builds the protocols of those who come in.
        :param let_clients_go: called when the door is closed: those who are in are to leave.
        :param setting: where an operator chooses the endpoint.
        """
        is_plain = let_clients_go is not None and not description.startswith("ssl:")
        self._doors.append((description, setting, factory, is_plain))
        if let_clients_go is not None:
            self._farewells.append(let_clients_go)

    def open(self) -> None:
        """Listen, at once: privileged ports have to be bound before privileges are dropped.

        :raises StartError: one of them cannot be listened on.
        """
        for description, setting, factory, is_plain in self._doors:
            listening = maybeDeferred(self._listen, description, factory)
            failures: list[Failure] = []
            listening.addCallbacks(self._ports.append, failures.append)
            if failures:
                raise _explained(description, setting, failures[0].value)
            if is_plain and self.home is None:
                self.home = _home(self._ports[-1])
            if "systemd:" in description:
                self._hold(self._ports[-1])
        hosts = [port.getHost() for port in self._ports]
        self._port_numbers = frozenset(host.port for host in hosts if hasattr(host, "port"))

    def _hold(self, port: Any) -> None:
        """Leave in its backlog who comes."""
        port.pauseProducing()
        self._held.append(port)
        if self._patience is None:
            self._patience = self._reactor.callLater(PATIENCE_SECONDS, self.let_in)

    def let_in(self) -> None:
        """All is up, or has taken too long: nobody waits in a backlog any more."""
        held, self._held = self._held, []
        for port in held:
            port.resumeProducing()
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    def _listen(self, description: str, factory: IProtocolFactory) -> Any:
        if speaks_tls(description):
            door = TlsDoor(self._reactor, description, factory)
            self._with_certificates.append(door)
            return door.listen()
        return serverFromString(self._reactor, description).listen(factory)

    def renew_certificates(self) -> None:
        """Take over those that have changed; nobody who is in notices."""
        for door in self._with_certificates:
            door.renew()

    @property
    def port_numbers(self) -> frozenset[int]:
        """The TCP ports that are open."""
        return self._port_numbers

    async def close(self) -> None:
        """Let nobody new in, and those who are in out as soon as they have their answer."""
        ports, self._ports = self._ports, []
        self._port_numbers = frozenset()
        self._held = []
        self._wait_no_more()
        for port in ports:
            await maybeDeferred(port.stopListening)
        await gatherResults([Deferred.fromCoroutine(each()) for each in self._farewells])


def _home(port: IListeningPort) -> tuple[str, int] | None:
    address = port.getHost()
    if not isinstance(address, (IPv4Address, IPv6Address)):
        return None
    return _FROM_HERE.get(address.host, address.host), address.port


def _explained(description: str, setting: str, reason: BaseException | None) -> StartError:
    if isinstance(reason, (KeyError, IndexError)) and "systemd:" in description:
        why = _not_passed()
    elif isinstance(reason, CannotListenError):
        why = f"{reason.socketError}. {_remedy(description, setting, reason.socketError)}"
    elif isinstance(reason, OSError):  # of the lock beside a Unix socket
        why = f"{reason.strerror}. {_remedy(description, setting, reason)}"
    else:
        why = f"{reason}. See {setting}"
    return StartError(f"cannot listen on {description}: {why}")


def _remedy(description: str, setting: str, reason: object) -> str:
    another = f"choose another endpoint with {setting}"
    match getattr(reason, "errno", None):
        case errno.EADDRINUSE:
            return f"Stop what listens there, or {another}"
        case errno.ENOENT | errno.ENOTDIR if "unix:" in description:
            return f"Make its directory, or {another}"
        case errno.EACCES if "unix:" in description:
            return f"Let uid {os.geteuid()} write in its directory, or {another}"
        case errno.EACCES:
            return (
                "Choose a port from 1024 up, give the daemon CAP_NET_BIND_SERVICE, or start it as"
                " root with twistd's --uid"
            )
        case errno.EADDRNOTAVAIL:
            return f"Its interface has to be an address of this machine: {another}"
        case _:
            return another.capitalize()


def _not_passed() -> str:
    """Why a socket of systemd's is not there."""
    if "LISTEN_FDS" in os.environ:  # Twisted takes it away if it is meant for this process.
        process = os.environ.get("LISTEN_PID", "unknown")
        return (
            f"systemd passed its sockets to process {process}, and this is {os.getpid()}. Have it"
            " start twistd itself, or a script that ends with exec"
        )
    names = os.environ.get("LISTEN_FDNAMES")
    if names:
        passed = ", ".join(f"{name} (index {i})" for i, name in enumerate(names.split(":")))
        return f"systemd passed no such socket, but {passed}. Choose one of these"
    return (
        "systemd passed no sockets (LISTEN_FDS), or none with names (LISTEN_FDNAMES). A service"
        " gets them with `faasd-async install --socket`, from its next start on; with"
        " systemd-socket-activate, add --fdname=NAME"
    )
