"""A TLS connection counts as one when the handshake is done.

Twisted hands out the protocol as soon as TCP connects, and a request that is written then may fail
with a certificate nobody trusts: too late to say that the function has seen nothing.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IStreamClientEndpoint)
class HandshakenEndpoint:
    """Connects as another endpoint does, and waits for the handshake.

    :param endpoint: connects with TLS.
    """

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, inner: IProtocolFactory) -> IProtocol:
        gate = await self._endpoint.connect(_GateFactory(inner))
        assert isinstance(gate, _Gate)
        await gate.when_shaken
        return gate.inner


class _GateFactory(Factory):
    noisy = False

    def __init__(self, inner: IProtocolFactory) -> None:
        self._inner = inner

    def buildProtocol(self, addr: IAddress | None) -> _Gate | None:
        assert addr is not None
        inner = self._inner.buildProtocol(addr)
        return None if inner is None else _Gate(inner)


@implementer(IHandshakeListener)
class _Gate(Protocol):
    """Stands between TLS and the protocol, for Twisted tells only the former's neighbour."""

    def __init__(self, inner: IProtocol) -> None:
        self.inner = inner
        self.when_shaken: Deferred[None] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.inner.makeConnection(self.transport)

    def handshakeCompleted(self) -> None:  # noqa: N802 - Twisted's name
        if not self.when_shaken.called:
            self.when_shaken.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.inner.connectionLost(reason)
        if not self.when_shaken.called:
            self.when_shaken.errback(reason)

    def _abort(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()
