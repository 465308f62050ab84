"""HTTP as it comes in: what :mod:`twisted.web` does not do for a gateway's connections.

Header lines stay the bytes they were, and who is refused while a body is still on its way has time
to hear it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from zope.interface import implementer

from faasd_async.call.route import origin_form
from faasd_async.gateway.peers import host_of
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.written import refused

if TYPE_CHECKING:
    from faasd_async.gateway.site import GatewaySite

#: How long a client that was refused may go on sending before it is cut off.
LINGER_SECONDS = 2.0

#: What would make more than one line of a header field.
_BREAKS_OUT = re.compile(rb"[\r\n\0]")


@implementer(IHalfCloseableProtocol)
class GatewayChannel(HTTPChannel):
    """One client connection."""

    site: GatewaySite
    transport: ITCPTransport
    refused = False
    broken_off = False

    #: Whether the request under way is the last one that is answered here.
    _last = False

    #: Whether the client is believed where its requests came from.
    trusted = True

    _counted: str | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.channels.add(self)
        host = host_of(self.transport.getPeer())
        if self.site.trusted is not None:
            self.trusted = self.site.trusted.holds(host)
        if self.site.crowd is not None:
            if self.site.crowd.enters(host):
                self._counted = host
            else:
                self.refused = True
                self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.channels.discard(self)
        if self.site.crowd is not None:
            self.site.crowd.leaves(self._counted)
        super().connectionLost(reason)

    @property
    def target(self) -> bytes:
        """The target of the request whose head has just been read."""
        return origin_form(self._path)

    def headerReceived(self, line: bytes) -> bool:
        if _BREAKS_OUT.search(line):
            # Not every version of Twisted looks for it, and no function could be sent it.
            self._respondToBadRequestAndDisconnect()
            return False
        accepted: bool = super().headerReceived(line)
        if accepted:
            name, _, value = line.partition(b":")
            self.requests[-1].field_lines.append((name, value.strip(b" \t")))
        return accepted

    def refuse(self, refusal: Refusal) -> None:
        """Answer a request whose body is still coming, and take no more from this client.

        The connection is not closed at once: a client that is still sending would see a reset
        instead of the answer.
        """
        self.refused = True
        self.transport.write(
            refused(
                self.site.date(),
                refusal,
                (b"Connection", b"close"),
                body=getattr(self, "_command", b"") != b"HEAD",
            )
        )
        self.setTimeout(None)
        self._abortingCall = self.callLater(LINGER_SECONDS, self.forceAbortClient)
        self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        if not self.refused:
            super().dataReceived(data)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        # What follows the byte too many may be nonsense; the client has its answer.
        if not self.refused:
            super()._respondToBadRequestAndDisconnect()

    def resetTimeout(self) -> None:
        """Begin to wait anew: for the whole of the next request, not for each piece of it, nor of
        its first line."""
        if getattr(self, "_HTTPChannel__first_line") and not self._buffer:  # noqa: B009
            super().resetTimeout()

    def timeoutConnection(self) -> None:
        """The time for a request is over: who has begun one is told."""
        begun = not (self.is_idle or self.refused or self.broken_off)
        if begun and not any(request.startedWriting for request in self.requests):
            self.refuse(Refusal(408, "the request was not whole in time"))
        else:
            super().timeoutConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        if getattr(self, "_HTTPChannel__first_line"):  # noqa: B009
            self.refuse(Refusal(414, "the request's target is too long"))
        else:
            self.refuse(Refusal(431, "a header field is too long"))

    # -- the last request of a connection

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has come that is not answered."""
        return not (self.requests or self._buffer) and bool(
            getattr(self, "_HTTPChannel__first_line")  # noqa: B009
        )

    @property
    def _accepting(self) -> bool:
        """Whether what is under way is an asynchronous call, which will run in any case."""
        return any(each.route and each.route.asynchronous for each in self.requests)

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        persistent: bool = super().checkPersistence(request, version)
        if self._last and persistent:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return persistent and not self._last

    def let_go(self) -> None:
        """Answer what is under way, or comes first, and then no more."""
        self._last = True
        # Without a request it would hear nothing any more, the rest of one that is coming neither.
        self.persistent = not self.requests
        for request in self.requests:
            if not request.startedWriting:
                request.responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def leave(self) -> None:
        """Let a client go that has not said anything since."""
        if self.is_idle:
            self.loseConnection()

    def readConnectionLost(self) -> None:
        """The client has said all it had to say.

        Who has sent an asynchronous call may wait for its receipt still; anybody else has left,
        for somebody who left without a word looks the same.
        """
        if self._accepting:
            self.let_go()
        elif self.requests:
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """We have said all we had to say."""

    def break_off(self) -> None:
        """End a reply in the middle: what is written still goes out, and the connection with it.

        Without its announced length or its last chunk nobody takes that for the whole.
        """
        self.broken_off = True
        self.loseConnection()

    def write(self, data: bytes) -> None:
        # The request that is broken off would still finish, with a last chunk.
        if not self.broken_off:
            super().write(data)
