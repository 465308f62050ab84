"""A function's reply on its way to the caller: framed as HTTP/1, byte for byte what the function
said.

What is written in one go leaves in one go: the head goes out with the first pieces of the body if
they are there already, and at once if they are not.
"""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.headers import Headers
from faasd_async.gateway.written import BODILESS, names_in, reply_head

#: What the daemon says of a reply, whatever a function has said.
OURS = frozenset((b"x-call-id", b"x-start-time", b"x-duration-seconds"))

CLOSE_LINE = b"Connection: close\r\n"

_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Outgoing:
    """One reply.

    :param send: gives bytes to the client's connection.
    :param method: the request's: to HEAD the answer is the head alone.
    :param chunks: whether the client knows chunks; one that does not reads to the end of the
        connection.
    """

    __slots__ = ("_bodiless", "_chunked", "_chunks", "_held", "_method", "_send", "begun")

    def __init__(self, send: Callable[[bytes], object], method: bytes, chunks: bool) -> None:
        self._send = send
        self._method = method
        self._chunks = chunks
        self._held: list[bytes] | None = None
        self._chunked = False
        self._bodiless = False
        self.begun = False

    def begin(self, status: int, date: bytes, fields: Headers, ours: bytes) -> None:
        """Write the head; it is held with what follows until :meth:`flush`.

        :param ours: more fields, written already: what :data:`OURS` names, in place of what
            *fields* say of it, and of the connection.
        """
        self.begun = True
        self._bodiless = self._method == b"HEAD" or status in BODILESS
        names = names_in(fields)
        if not names.isdisjoint(OURS):
            fields = [field for field in fields if field[0].lower() not in OURS]
        self._chunked = self._chunks and not self._bodiless and b"content-length" not in names
        last = _CHUNKED if self._chunked else b"\r\n"
        self._held = [b"%b%b%b" % (reply_head(status, date, fields, names), ours, last)]

    def write(self, piece: bytes) -> None:
        """A piece of the body."""
        if self._bodiless or not piece:
            return
        if self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._held is None:
            self._send(piece)
        else:
            self._held.append(piece)

    def flush(self) -> None:
        """Hold nothing any longer."""
        held, self._held = self._held, None
        if held:
            self._send(b"".join(held) if len(held) > 1 else held[0])

    def end(self) -> None:
        """The body is whole."""
        if self._chunked:
            if self._held is None:
                self._send(b"0\r\n\r\n")
            else:
                self._held.append(b"0\r\n\r\n")
        self.flush()
