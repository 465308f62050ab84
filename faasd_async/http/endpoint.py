"""The way to a host."""

from __future__ import annotations

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorTCP, IStreamClientEndpoint


def host_endpoint(
    reactor: IReactorTCP, host: str, port: int, timeout_seconds: float = 30.0
) -> IStreamClientEndpoint:
    """An endpoint for a name or an address.

    Twisted's own for names holds them to the letter of IDNA, which knows no underscore; container
    networks have them in names all the same. Such a name is looked up as it is, for IPv4 alone.

    :param host: an address of IPv6 without brackets.
    :param timeout_seconds: of each attempt.
    """
    if "_" in host:
        return TCP4ClientEndpoint(reactor, host, port, timeout_seconds)
    return HostnameEndpoint(reactor, host, port, timeout_seconds)
