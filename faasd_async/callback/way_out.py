"""How a connection is made for a callback: name, then address, then the policy, then connect.

What was looked at is what is connected to: there is no second look-up in between, so a name that
means something else each time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from faasd_async.callback.names import Names
from faasd_async.settings import ProxySettings

CONNECT_SECONDS = 10.0

#: Why an address may not be connected to, or ``None``; given it and the port.
Judge = Callable[[str, int], str | None]


#: Likewise, given besides whether what will be requested is a function of this daemon, if of this
#: daemon it is.
RefuseAddress = Callable[[str, int, bool], str | None]


class NotConnected(ConnectError):
    """There is no connection, and nothing has been sent."""

    def __init__(self, why: str) -> None:
        super().__init__(string=why)  # type: ignore[no-untyped-call]
        self.why = why

    def __str__(self) -> str:
        return self.why


class Forbidden(NotConnected):
    """The policy allows no connection there."""


def not_in_time(_: object, seconds: float) -> NoReturn:
    """What becomes of a connection that is not made in time."""
    raise NotConnected(f"no connection within {seconds:g} s")


@implementer(IStreamClientEndpoint)
class CheckedEndpoint:
    """Connects to a host, to those of its addresses that are allowed.

    :param judge: says which are not; asked after the look-up, just before the connection.
    """

    def __init__(self, reactor: Any, names: Names, host: str, port: int, judge: Judge) -> None:
        self._reactor = reactor
        self._names = names
        self._host = host
        self._port = port
        self._judge = judge

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        connecting = Deferred.fromCoroutine(self._connect(protocolFactory))
        return connecting.addTimeout(CONNECT_SECONDS, self._reactor, not_in_time)

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        found = await self._names.addresses(self._host)
        refusals = {each: self._judge(each, self._port) for each in found}
        allowed = [each for each, why in refusals.items() if why is None]
        if not allowed:
            raise Forbidden(next(filter(None, refusals.values()), "the name has no address"))
        known = _Known(self._reactor, [_peer(each, self._port) for each in allowed])
        endpoint = HostnameEndpoint(known, "known", self._port, CONNECT_SECONDS)
        return await endpoint.connect(factory)


@dataclass(frozen=True, slots=True)
class WayOut:
    """What each connection for a callback is made with.

    :ivar refuse_address: why an address may not be connected to.
    :ivar proxy: what https goes through.
    :ivar ca_certificates: PEM, of those who are trusted besides the system's.
    """

    reactor: Any
    names: Names
    refuse_address: RefuseAddress
    proxy: ProxySettings | None = None
    ca_certificates: Sequence[bytes] = ()

    def endpoint(self, host: str, port: int, calls_function: bool) -> CheckedEndpoint:
        """The way to a host.

        :param calls_function: whether the target looks like a function's route.
        """

        def judge(address: str, port: int) -> str | None:
            return self.refuse_address(address, port, calls_function)

        return CheckedEndpoint(self.reactor, self.names, host, port, judge)


def _peer(address: str, port: int) -> IPv4Address | IPv6Address:
    kind = IPv6Address if ":" in address else IPv4Address
    return kind("TCP", address, port)


@implementer(IReactorPluggableNameResolver, IReactorTCP, IReactorTime)
class _Known:
    """A reactor for which every name has these addresses: Twisted's own endpoint then tries them
    as it should (:rfc:`8305`), and looks nothing up."""

    def __init__(self, reactor: Any, addresses: list[IPv4Address | IPv6Address]) -> None:
        self._addresses = addresses
        self.nameResolver = self
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        self.getDelayedCalls = reactor.getDelayedCalls
        self.connectTCP = reactor.connectTCP
        self.listenTCP = reactor.listenTCP

    def installNameResolver(self, resolver: Any) -> Any:  # noqa: N802 - Twisted's name
        """Not wanted."""

    def resolveHostName(  # noqa: N802 - Twisted's name
        self,
        receiver: IResolutionReceiver,
        name: str,
        portNumber: int = 0,  # noqa: N803
    ) -> None:
        for address in self._addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()
