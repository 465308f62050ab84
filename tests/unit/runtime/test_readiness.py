"""Whether a server is ready, looked at over connections in memory."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from faasd_async.runtime.process.readiness import listens


class Looking:
    """A look at port 9000, and what came of it."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.results: list[object] = []
        self.look = Deferred.fromCoroutine(listens(self.reactor, "http://127.0.0.1:9000"))
        self.look.addBoth(self.results.append)

    def connect(self, host_address: object, peer_address: object) -> StringTransport:
        host, port, factory, _, _ = self.reactor.tcpClients[0]
        assert (host, port) == ("127.0.0.1", 9000)
        transport = StringTransport(hostAddress=host_address, peerAddress=peer_address)
        factory.buildProtocol(None).makeConnection(transport)
        return transport


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_listens(looking: Looking) -> None:
    """A connection says that it does, and is closed again."""
    transport = looking.connect("ours", "theirs")
    assert looking.results == [True]
    assert transport.disconnecting


def test_refuses(looking: Looking) -> None:
    """A refused connection says that it does not."""
    _, _, factory, _, _ = looking.reactor.tcpClients[0]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    looking.reactor.advance(60.0)
    assert looking.results == [False]


def test_connected_with_itself(looking: Looking) -> None:
    """A connection whose two ends are one says nothing of a listener."""
    looking.connect("ours", "ours")
    assert looking.results == [False]


def test_cancelling(looking: Looking) -> None:
    """Who gives up is not told of a server that does not listen, or would go on looking."""
    looking.look.cancel()
    [result] = looking.results
    assert isinstance(result, Failure)
    assert result.check(CancelledError)
