"""HTTP as it comes in: what :mod:`twisted.web` does not do for a gateway.

It keeps a request's target and header lines as the bytes they were, and turns a body that is
too large, or for nobody, away while it is still on its way.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import IO, cast
from urllib.parse import quote

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from faasd_async.call.headers import Headers, first
from faasd_async.call.ids import TokenTooLong, adopted
from faasd_async.call.route import FunctionRoute, cut, origin_form
from faasd_async.gateway.answered import Answered, nobody, route_of
from faasd_async.gateway.peers import Crowd, Trusted
from faasd_async.gateway.refusal import Fields, Refusal, body_too_large
from faasd_async.gateway.upload import Client, Upload, Uploads
from faasd_async.gateway.written import SERVED_BY, phrase, refused

#: So much of a body is read although the head has decided that the answer is no: the connection
#: is good for another request then.
SMALL_BODY_BYTES = 64 * 1024

#: How long a client that was refused may go on sending before it is cut off.
LINGER_SECONDS = 2.0

#: So long a client that is silent when the door is closed has for one more request.
LAST_WORDS_SECONDS = 0.5

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


class GatewayRequest(Request):
    """One request.

    :ivar field_lines: its header fields as they came: order, case and repetitions.
    :ivar route: the function it is for, if it is for one.
    """

    channel: GatewayChannel
    defaultContentType = None

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)
        self.field_lines: list[tuple[bytes, bytes]] = []
        self.route: FunctionRoute | None = None
        self._refusal: Refusal | None = None
        self._limit_bytes = 0
        self._received_bytes = 0
        self._gathered_bytes = sys.maxsize
        self.upload: Upload | None = None
        self._began_seconds = 0.0

    def unregisterProducer(self) -> None:
        """As Twisted's, whose own fails once the client has gone and the connection with it."""
        if self.channel is not None:
            super().unregisterProducer()

    def gotLength(self, length: int | None) -> None:
        channel = self.channel
        hosts = sum(name.lower() == b"host" for name, _ in self.field_lines)
        if hosts > 1 or (channel._version == b"HTTP/1.1" and not hosts):
            super().gotLength(0)
            self._refusal = Refusal(400, "a request has exactly one Host field")
            self._refuse_body()
            return
        try:
            self._limit_bytes = channel.site.largest_body_bytes(
                channel._command, cut(channel.target), self.field_lines
            )
        except Refusal as refusal:
            self._refusal = refusal
            self._limit_bytes = SMALL_BODY_BYTES
        if length is not None and length > self._limit_bytes:
            super().gotLength(0)
            self._refuse_body()
        elif self._is_to_be_stored(length):
            super().gotLength(0)
        else:
            super().gotLength(length)

    def _is_to_be_stored(self, length: int | None) -> bool:
        """Whether a body is surely too large to be gathered; it may turn out to be."""
        uploads = self.channel.site.uploads
        if uploads is None or self._refusal is not None:
            return False
        route = cut(self.channel.target)
        most = uploads.gathered_bytes(self.channel._command, route, self.field_lines)
        if most is None:
            return False
        self._gathered_bytes = most
        if length is not None and length > most:
            self._gathered_bytes = 0
            return True
        return False

    def handleContentChunk(self, data: bytes) -> None:
        if self.channel.refused:
            return
        self._received_bytes += len(data)
        if self._received_bytes > self._limit_bytes:
            self._refuse_body()
        elif self._received_bytes > self._gathered_bytes:
            self._store(data)
        else:
            super().handleContentChunk(data)

    def _store(self, data: bytes) -> None:
        """Have a piece stored, and before it what was gathered."""
        channel = self.channel
        try:
            if self.upload is None:
                assert channel.site.uploads is not None
                self.upload = channel.site.uploads.begin(cast(Client, channel.transport))
                gathered = self.read_body()
                if gathered:
                    self.upload.write(gathered)
            self.upload.write(data)
        except Refusal as refusal:
            self._refusal = refusal
            self._refuse_body()
        else:
            # It may take a while, as long as it goes on.
            channel.setTimeout(channel.timeOut)

    def connectionLost(self, reason: Failure) -> None:
        if self.upload is not None:
            self.upload.abort()
        super().connectionLost(reason)

    def break_off(self) -> None:
        """Never come to an end: see :meth:`GatewayChannel.break_off`."""
        self.unregisterProducer()
        self.channel.break_off()

    def _refuse_body(self) -> None:
        if self.upload is not None:
            self.upload.abort()
        # Without this the channel would still invite the client to send its body.
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.refuse(self._refusal or body_too_large(self._limit_bytes, self._own_id()))

    def _own_id(self) -> Fields:
        """The call id that the caller chose: so early there is no other."""
        with suppress(TokenTooLong):
            call_id = adopted(first(self.field_lines, b"x-call-id"))
            if call_id is not None:
                return ((b"X-Call-Id", call_id.encode()),)
        return ()

    def process(self) -> None:
        if self.channel.refused:
            return
        self._began_seconds = self.channel.site.seconds()
        target = origin_form(self.uri)
        self.route = cut(target)
        if self.route is None:
            self.path = _as_written(target.partition(b"?")[0])
        else:
            # The router sees which door it is and no more: names and paths stay raw.
            self.path = b"/async-function/" if self.route.asynchronous else b"/function/"
        super().process()

    def finish(self) -> None:
        site = self.channel.site
        seconds = site.seconds() - self._began_seconds
        site.answered(self.method, route_of(self.route, self.path), self.code, seconds)
        super().finish()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        super().setResponseCode(code, message or phrase(code))

    def setHeader(self, name: bytes, value: bytes) -> None:
        # twisted.web introduces itself with this field; what serves here is the daemon.
        if name == b"Server":
            name, value = b"X-Served-By", SERVED_BY
        super().setHeader(name, value)

    def getRequestHostname(self) -> bytes:
        """The same for everybody: no route depends on what a client calls this host."""
        return b"localhost"

    def read_body(self) -> bytes:
        """The whole body."""
        content: IO[bytes] | None = self.content
        if content is None:
            return b""
        content.seek(0)
        return content.read()

    @property
    def peer_host(self) -> str | None:
        """The client's address; ``None`` on a Unix socket."""
        return host_of(self.getClientAddress())

    @property
    def peer(self) -> bytes:
        """The client's address and port, as ``X-Forwarded-For`` has it."""
        return peer_name(self.getClientAddress())


def peer_name(address: IAddress) -> bytes:
    """A client's address and port, as ``X-Forwarded-For`` has it."""
    host, port = host_of(address), getattr(address, "port", None)
    if host is None:
        return b"unix"
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


def host_of(address: IAddress) -> str | None:
    """A client's address; ``None`` on a Unix socket.

    One of IPv4 is told as such, whether it came to a listener of IPv4 or to one of both.
    """
    host: str | None = getattr(address, "host", None)
    if host is not None and "." in host:
        return host.removeprefix("::ffff:")
    return host


def _as_written(path: bytes) -> bytes:
    """A path that the router, which decodes what it is given, sees as the caller wrote it."""
    return quote(path.decode("latin-1"), safe="/*").encode("ascii")


#: Given the method, the function it is for, and the header fields.
BodyLimit = Callable[[bytes, FunctionRoute | None, Headers], int]


class GatewaySite(Site):
    """The factory of client connections.

    :ivar channels: those who are connected.
    :ivar uploads: where bodies go that are too large to be gathered.
    :ivar crowd: counts them by their addresses; ``None``: nobody does.
    :ivar trusted: whose word counts for where a request came from; ``None``: everybody's.
    :param largest_body_bytes: the limit for a body; raises a :class:`~.refusal.Refusal` if the
        answer is no whatever the body.
    :ivar answered: told of each answer.
    :param largest_body_bytes: the limit for a body, given the method and the function it is for;
        raises a :class:`~.refusal.Refusal` if the answer is no whatever the body.
    """

    protocol = GatewayChannel  # type: ignore[assignment]  # HTTP/1.1 alone, no negotiation
    requestFactory = GatewayRequest
    displayTracebacks = False
    noisy = False
    crowd: Crowd | None = None
    trusted: Trusted | None = None

    def __init__(
        self,
        resource: IResource,
        largest_body_bytes: BodyLimit,
        read_timeout_seconds: float,
        reactor: IReactorTime,
    ) -> None:
        super().__init__(
            resource,
            reactor=reactor,
            requestFactory=GatewayRequest,
            timeout=read_timeout_seconds,
            parsePOSTFormSubmission=False,
        )
        self.largest_body_bytes = largest_body_bytes
        self.seconds = reactor.seconds
        self.answered: Answered = nobody
        self.channels: set[GatewayChannel] = set()
        self.uploads: Uploads | None = None
        self._date = b""
        self._date_second = 0

    def date(self) -> bytes:
        """The present time, as a ``Date`` field has it."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second, self._date = second, formatdate(second, usegmt=True).encode()
        return self._date

    async def let_clients_go(self) -> None:
        """Answer what is under way, and nothing that comes after it.

        Who is silent may have sent a request that nobody has read yet, if it came just now: such
        clients are closed after a moment.
        """
        for channel in self.channels:
            channel.let_go()
        if any(channel.is_idle for channel in self.channels):
            await deferLater(self.reactor, LAST_WORDS_SECONDS)
        for channel in list(self.channels):
            channel.leave()

    def log(self, request: object) -> None:
        """No access log: each call has a line of its own."""

    def startFactory(self) -> None:
        """Open no access log, tick no clock for it."""

    def stopFactory(self) -> None:
        """Nothing to close."""
