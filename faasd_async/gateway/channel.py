"""HTTP as it comes in: what :mod:`twisted.web` does not do for a gateway.

It keeps a request's target and header lines as the bytes they were, and turns a body that is
too large away while it is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO
from urllib.parse import quote

from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.web.http import RESPONSES, HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from faasd_async import __version__
from faasd_async.call.route import FunctionRoute, cut, origin_form
from faasd_async.gateway.refusal import Refusal, body_too_large

#: How long a client that was refused may go on sending before it is cut off.
LINGER_SECONDS = 2.0


SERVED_BY = f"faasd-async/{__version__}".encode()


class GatewayChannel(HTTPChannel):
    """One client connection."""

    site: GatewaySite
    transport: ITCPTransport
    refused = False
    broken_off = False

    @property
    def target(self) -> bytes:
        """The target of the request whose head has just been read."""
        return origin_form(self._path)

    def headerReceived(self, line: bytes) -> bool:
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
        body = refusal.text.encode() + b"\n"
        head = (
            b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head % (refusal.status, RESPONSES[refusal.status], len(body)) + body)
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
        self._limit_bytes = 0
        self._received_bytes = 0

    def gotLength(self, length: int | None) -> None:
        self._limit_bytes = self.channel.site.largest_body_bytes(cut(self.channel.target))
        if length is not None and length > self._limit_bytes:
            super().gotLength(0)
            self._refuse_body()
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        if self.channel.refused:
            return
        self._received_bytes += len(data)
        if self._received_bytes > self._limit_bytes:
            self._refuse_body()
        else:
            super().handleContentChunk(data)

    def break_off(self) -> None:
        """Never come to an end: see :meth:`GatewayChannel.break_off`."""
        self.unregisterProducer()
        self.channel.break_off()

    def _refuse_body(self) -> None:
        # Without this the channel would still invite the client to send its body.
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.refuse(body_too_large(self._limit_bytes))

    def process(self) -> None:
        if self.channel.refused:
            return
        target = origin_form(self.uri)
        self.route = cut(target)
        if self.route is None:
            self.path = _as_written(target.partition(b"?")[0])
        else:
            # The router sees which door it is and no more: names and paths stay raw.
            self.path = b"/async-function/" if self.route.asynchronous else b"/function/"
        super().process()

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
        host: str | None = getattr(self.getClientAddress(), "host", None)
        return host

    @property
    def peer(self) -> bytes:
        """The client's address and port, as ``X-Forwarded-For`` has it."""
        host = self.peer_host
        if host is None:
            return b"unix"
        port: int = getattr(self.getClientAddress(), "port", 0)
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


def _as_written(path: bytes) -> bytes:
    """A path that the router, which decodes what it is given, sees as the caller wrote it."""
    return quote(path.decode("latin-1"), safe="/*").encode("ascii")


class GatewaySite(Site):
    """The factory of client connections.

    :param largest_body_bytes: the limit for a body, given the function it is for.
    """

    protocol = GatewayChannel  # type: ignore[assignment]  # HTTP/1.1 alone, no negotiation
    requestFactory = GatewayRequest
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        resource: IResource,
        largest_body_bytes: Callable[[FunctionRoute | None], int],
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

    def log(self, request: object) -> None:
        """No access log: each call has a line of its own."""

    def startFactory(self) -> None:
        """Open no access log, tick no clock for it."""

    def stopFactory(self) -> None:
        """Nothing to close."""
