"""A request as it is written to a function: nothing re-encoded, re-ordered or normalised."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPullProducer, ITCPTransport
from twisted.web._newclient import Request
from twisted.web.http_headers import Headers as TwistedHeaders
from zope.interface import implementer

from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken
from faasd_async.http import request
from faasd_async.http.errors import Unsendable
from faasd_async.http.flowing import FlowingBody, Pieces

PIECE_BYTES = 64 * 1024
"""How much of a body is given to the transport at a time."""


def write_head(method: bytes, target: bytes, headers: Headers) -> bytes:
    """The head of a request.

    :raises InvocationBroken: a part would break out of its line; such a request came from no
        HTTP message, and would never be understood.
    """
    try:
        return request.write_head(method, target, headers)
    except Unsendable as reason:
        raise InvocationBroken(str(reason)) from None


def write_head_of(method: bytes, target: bytes, lines: bytes) -> bytes:
    """As :func:`write_head`, of fields that are written already; see
    :func:`faasd_async.http.request.write_head_of`."""
    try:
        return request.write_head_of(method, target, lines)
    except Unsendable as reason:
        raise InvocationBroken(str(reason)) from None


@implementer(IPullProducer)
class RawRequest(Request):
    """A request for Twisted's HTTP client, which writes its own head.

    Twisted's own would parse the target and put it together again, and thereby change or refuse
    ``//x``, ``/a?``, ``/a;`` and bytes above 127; it writes header names in one case and the
    fields of one name together. Nothing above this class in the client cares: :meth:`writeTo` is
    all that it asks for.

    :param head: as by :func:`write_head`, ``Content-Length`` included.
    :param body: bytes, or what to read it from.
    :ivar written: the transport has taken the last byte.
    """

    written = False

    def __init__(self, method: bytes, head: bytes, body: bytes | Pieces) -> None:
        # Twisted checks a method and a target that it is not to write.
        super().__init__(  # type: ignore[no-untyped-call] # Twisted's is not typed
            b"GET", b"/", TwistedHeaders(), None, persistent=True
        )
        self.method = method
        self._head = head
        self._body = body
        self._offset = 0

    def writeTo(  # noqa: N802 - Twisted's name
        self, transport: IConsumer
    ) -> Deferred[None]:
        """Write all of it.

        :return: fires when the transport has taken the last byte. Cancelling it stops.
        """
        if not isinstance(self._body, bytes):
            return self._flow(transport, self._body)
        if len(self._body) <= PIECE_BYTES:
            transport.write(self._head + self._body)
            self.written = True
            return succeed(None)
        transport.write(self._head)
        self._transport = transport
        self._sent: Deferred[None] = Deferred(lambda _: transport.unregisterProducer())
        transport.registerProducer(self, False)
        return self._sent

    def _flow(self, transport: IConsumer, pieces: Pieces) -> Deferred[None]:
        transport.write(self._head)

        def stop(_: Deferred[None]) -> None:
            pieces.close()
            transport.unregisterProducer()

        def done() -> None:
            self.written = True
            sent.callback(None)

        sent: Deferred[None] = Deferred(stop)
        FlowingBody(pieces, sent.errback).begin(cast(ITCPTransport, transport), done)
        return sent

    def resumeProducing(self) -> None:
        """The transport can take a piece more."""
        assert isinstance(self._body, bytes)
        end = self._offset + PIECE_BYTES
        piece = self._body[self._offset : end]
        self._offset = end
        self._transport.write(piece)
        if end >= len(self._body):
            self._transport.unregisterProducer()
            self.written = True
            self._sent.callback(None)

    def stopProducing(self) -> None:
        """The transport is gone; the client notices on its own."""

    def stopWriting(self) -> None:  # noqa: N802 - Twisted's name
        """The client gives up; the transport has stopped asking already."""
