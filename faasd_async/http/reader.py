"""Replies out of bytes.

llhttp says what is a reply; what it lets pass, and what its Python binding does not tell, is seen
to here:

- A reply to ``HEAD`` ends with its head, whatever length that tells. The binding cannot be told so,
  hence its parser is left where it stands and another one takes the next reply.
- A body without a length ends with the connection; so :meth:`ReplyReader.end` is told of that.
- Only ``chunked`` is undone. Another transfer coding was not asked for, and who passed such a body
  on would pass on nonsense.
- Interim replies (1xx) are left out, trailers too. Heads, interim replies and what lies between
  the pieces of a body (chunk sizes, their extensions, trailers) are bounded; the body is not.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from faasd_async.http.errors import BadReply, BrokenOff

HEAD_BYTES = 64 * 1024
"""The longest head, interim replies included; and the most that may come between two pieces."""
MAX_FIELDS = 512
MAX_INTERIM = 16

Fields = list[tuple[bytes, bytes]]

_BLANK_LINE = b"\r\n\r\n"


class ReplyReader:
    """Reads the replies of one connection, one after the other.

    :meth:`expect` begins with the next one; what :meth:`feed` found is in the attributes.

    :ivar begun: a byte of it has come.
    :ivar status: 0 until its head is whole.
    :ivar fields: of its head, in order and case, as bytes.
    :ivar pieces: of its body, since :meth:`take_pieces`.
    :ivar complete: its last byte has come.
    :ivar keep_alive: once it is complete, whether the connection can serve another one.
    """

    __slots__ = (
        "_fault", "_feed", "_head_only", "_interim", "_lines", "_overhead", "_parser", "_tail",
        "begun", "complete", "fields", "keep_alive", "pieces", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._lines: Fields = []
        self.pieces: list[bytes] = []
        self._renew_parser()
        self.expect(head_only=False)

    def _renew_parser(self) -> None:
        self._parser = HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def expect(self, *, head_only: bool) -> None:
        """Be ready for the next reply.

        :param head_only: it answers ``HEAD``.
        """
        self.begun = self.complete = self.keep_alive = False
        self.status = self._interim = self._overhead = 0
        self.fields: Fields = []
        self._fault = ""
        self._head_only = head_only
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Read on.

        :raises BadReply: this is no reply, or one over the bounds. What was found before stays.
        """
        self.begun = True
        self._overhead += len(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as reason:
            if not self.complete:
                raise BadReply(self._fault or str(reason)) from None
            if not self._head_only:
                self.keep_alive = False  # the reply is whole, what follows is none
        if self._head_only:
            self._look_behind_head(data)
        elif self.pieces:
            self._overhead = 0
        if self._overhead > HEAD_BYTES and not self.complete:
            raise BadReply(f"a head or trailer of more than {HEAD_BYTES} bytes")

    def take_pieces(self) -> list[bytes]:
        """What there is of the body that was not taken yet."""
        pieces, self.pieces = self.pieces, []
        return pieces

    def end(self) -> None:
        """The peer has closed the connection, properly.

        :raises BrokenOff: unless it is this that ends the body.
        """
        if not self.status or any(
            name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.fields
        ):
            raise BrokenOff("the connection was closed before the reply was whole")
        self.complete = True

    def _look_behind_head(self, data: bytes) -> None:
        seen = self._tail + data
        self._tail = seen[-3:]
        if self.complete:
            # Behind the head there is nothing, or it belongs to nobody.
            self.keep_alive &= seen.find(_BLANK_LINE) == len(seen) - len(_BLANK_LINE)
            self._renew_parser()

    # What the parser calls. An exception stops it.

    def on_message_begin(self) -> None:
        if self.complete:
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        if value[-1:] in b" \t" and value:
            value = value.rstrip(b" \t")
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        fields, self._lines = self._lines, []
        status = self._parser.get_status_code()
        if status < 200:
            self._skip(status)
            return
        if len(fields) > MAX_FIELDS:
            self._stop(f"more than {MAX_FIELDS} header fields")
        if self._overhead > HEAD_BYTES and sum(map(_size, fields)) > HEAD_BYTES:
            self._stop(f"a head of more than {HEAD_BYTES} bytes")
        for name, value in fields:
            if (
                len(name) == 17
                and name.lower() == b"transfer-encoding"
                and value.lower() != b"chunked"
            ):
                self._stop("a transfer coding that nobody asked for")
        self.status = status
        self.fields = fields
        self._overhead = 0
        if self._head_only:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()
            raise _Stop

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        # Trailers.
        self._lines = []
        if self.status:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()
        elif self.pieces:
            self._stop("an interim reply with a body")

    def _skip(self, status: int) -> None:
        self._interim += 1
        if status < 100:
            self._stop(f"status {status:03}")
        if status == 101:
            self._stop("a change of protocols that nobody asked for")
        if self._interim > MAX_INTERIM:
            self._stop(f"more than {MAX_INTERIM} interim replies")

    def _stop(self, fault: str) -> None:
        self._fault = fault
        raise _Stop


class _Stop(Exception):
    """Stops the parser."""


def _size(field: tuple[bytes, bytes]) -> int:
    return len(field[0]) + len(field[1]) + len(b": \r\n")
