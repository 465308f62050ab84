"""The way to a host."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.interfaces import IReactorTCP, IStreamClientEndpoint


def host_endpoint(
    reactor: IReactorTCP, host: str, port: int, timeout_seconds: float = 30.0
) -> IStreamClientEndpoint:
    """An endpoint for a name or an address.

    Twisted's own for names holds them to the letter of IDNA, which knows no underscore; container
    networks have them in names all the same. Such a name is looked up as it is, for IPv4 alone. An
    address goes past them, too: there is nothing to look up, and no other to try in the meantime.

    :param host: an address of IPv6 without brackets.
    :param timeout_seconds: of each attempt.
    """
    if "_" in host:
        return TCP4ClientEndpoint(reactor, host, port, timeout_seconds)
    version = _version_of(host)
    if version == 4:
        return TCP4ClientEndpoint(reactor, host, port, timeout_seconds)
    if version == 6:
        return TCP6ClientEndpoint(reactor, host, port, timeout_seconds)
    return HostnameEndpoint(reactor, host, port, timeout_seconds)


def _version_of(host: str) -> int:
    """Of the Internet Protocol, if *host* is an address; else 0."""
    try:
        return ip_address(host).version
    except ValueError:
        return 0
