"""A request as it comes in: what :mod:`twisted.web` does not do for a gateway.

It keeps target and header lines as the bytes they were, and turns a body that is too large, or for
nobody, away while it is still on its way.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import quote

from twisted.python.failure import Failure
from twisted.web.server import Request

from faasd_async.call.headers import first
from faasd_async.call.ids import TokenTooLong, adopted
from faasd_async.call.route import FunctionRoute, cut, origin_form
from faasd_async.gateway.answered import route_of
from faasd_async.gateway.peers import host_of, peer_name
from faasd_async.gateway.refusal import Fields, Refusal, body_too_large
from faasd_async.gateway.upload import Client, Upload
from faasd_async.gateway.written import SERVED_BY, phrase

if TYPE_CHECKING:
    from faasd_async.gateway.channel import GatewayChannel

#: So much of a body is read although the head has decided that the answer is no: the connection
#: is good for another request then.
SMALL_BODY_BYTES = 64 * 1024


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


def _as_written(path: bytes) -> bytes:
    """A path that the router, which decodes what it is given, sees as the caller wrote it."""
    return quote(path.decode("latin-1"), safe="/*").encode("ascii")
