"""A way through the proxy that the environment names (``HTTPS_PROXY``): CONNECT, then silence."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.callback.way_out import NotConnected, not_in_time

#: What a proxy may say before it is not believed to be one.
_LONGEST_HEAD_BYTES = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|\n)")


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects through a proxy.

    :param proxy: connects to it.
    :param destination: ``host:port``.
    :param authorization: the value of ``Proxy-Authorization``; empty: none is sent.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint,
        destination: bytes,
        authorization: bytes,
        timeout_seconds: float,
    ) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._destination = destination
        self._authorization = authorization
        self._timeout_seconds = timeout_seconds

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        opening = Deferred.fromCoroutine(self._connect(protocolFactory))
        return opening.addTimeout(self._timeout_seconds, self._reactor, not_in_time)

    async def _connect(self, inner: IProtocolFactory) -> IProtocol:
        lines = [b"CONNECT %b HTTP/1.1" % self._destination, b"Host: " + self._destination]
        if self._authorization:
            lines.append(b"Proxy-Authorization: " + self._authorization)
        head = b"\r\n".join((*lines, b"", b""))
        tunnel = _Tunnel(head, inner)
        factory = Factory.forProtocol(lambda: tunnel)
        factory.noisy = False
        await self._proxy.connect(factory)
        return await tunnel.when_open


class _Tunnel(Protocol):
    """Says CONNECT, and passes everything on to the inner protocol once the proxy agrees."""

    def __init__(self, head: bytes, inner: IProtocolFactory) -> None:
        self._head = head
        self._factory = inner
        self._inner: Any = None
        self._said = b""
        self.when_open: Deferred[IProtocol] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._head)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._said += data
        head, end, rest = self._said.partition(b"\r\n\r\n")
        status = _STATUS.match(self._said)
        if end and status and status[1].startswith(b"2"):
            self._open(rest)
        elif end:
            said = status[1].decode() if status else "no HTTP"
            self._refused(f"the proxy refuses the connection: {said}")
        elif len(head) > _LONGEST_HEAD_BYTES:
            self._refused("the proxy's answer is too long")

    def _open(self, rest: bytes) -> None:
        transport: Any = self.transport
        address: IAddress = transport.getPeer()
        self._inner = self._factory.buildProtocol(address)
        if self._inner is None:
            self._refused("nobody wants the connection any more")
            return
        self._said = b""
        self._inner.makeConnection(transport)
        if not self.when_open.called:
            self.when_open.callback(self._inner)
        if rest:
            self._inner.dataReceived(rest)

    def _refused(self, why: str) -> None:
        if not self.when_open.called:
            self.when_open.errback(NotConnected(why))
        self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self.when_open.called:
            self.when_open.errback(NotConnected("the proxy hung up"))
