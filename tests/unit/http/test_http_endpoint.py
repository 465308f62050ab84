"""The way to a host, by the look of its name."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from faasd_async.http.endpoint import host_endpoint


@pytest.mark.parametrize("host", ["figlet", "figlet.example", "127.1"])
def test_name(host: str) -> None:
    """Names are looked up for all their addresses, the fastest of which is used."""
    endpoint = host_endpoint(MemoryReactorClock(), host, 80)
    assert isinstance(endpoint, HostnameEndpoint)
    assert "invalid" not in repr(endpoint)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_address(host: str) -> None:
    """It is connected to at once: nothing is looked up."""
    reactor = MemoryReactorClock()
    host_endpoint(reactor, host, 8080).connect(Factory.forProtocol(Protocol))
    [(connected_to, port, *_)] = reactor.tcpClients
    assert (connected_to, port) == (host, 8080)
    assert not reactor.getDelayedCalls()


def test_name_with_an_underscore() -> None:
    """A name that IDNA forbids and container networks use is asked for as it is."""
    reactor = MemoryReactorClock()
    endpoint = host_endpoint(reactor, "my_figlet", 8080)
    assert isinstance(endpoint, TCP4ClientEndpoint)
    endpoint.connect(Factory.forProtocol(Protocol))
    [(host, port, *_)] = reactor.tcpClients
    assert (host, port) == ("my_figlet", 8080)
