"""Recognising a regular request: one that can be answered without the whole of HTTP.

Regular is what nearly every client sends: HTTP/1.1, a request for a function, its body announced
by exactly one ``Content-Length``, nothing that asks for another way of talking (``Expect``,
``Upgrade``, ``Transfer-Encoding``, an end of the connection), exactly one ``Host``, head and body
there in whole, in strict syntax. Such a request is cut out of the bytes that came, and nothing of
them is changed.

Everything else is left as it is: who cannot say that a request is regular says nothing about it.
Nothing is refused here, and nothing is guessed.

Who goes on calling mostly sends one head again and again. What was found regular is regular when it
comes the next time, byte for byte: each client's last head is remembered, with all that
was made of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httptools

from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute, cut
from faasd_async.gateway.letterhead import Letterhead

#: The longest head that is looked at.
MAX_HEAD_BYTES = 8192

#: The largest request, head and body, that is gathered from several reads.
MAX_GATHERED_BYTES = 256 * 1024

#: The longest head that is remembered: there is one for each client that is connected.
MAX_KNOWN_BYTES = 1024

#: With a body that is announced, and with none that has to be.
_WITH_BODY = (
    b"POST /async-function/",
    *(b"%b /function/" % method for method in (b"POST", b"PUT", b"PATCH")),
)
_WITHOUT = tuple(b"%b /function/" % method for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"))
_PREFIXES = (*_WITH_BODY, *_WITHOUT)

#: A head without its last line, in strict syntax: for one whose body is not there yet.
_HEAD = re.compile(
    rb"([A-Z]+) ([^\x00-\x20\x7f-\xff]+) HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)+\Z"
)

#: Fields that make a request irregular. A lower-case head is searched.
_IRREGULAR = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|http2-settings|te|trailer|proxy-connection|prefer)"
    rb"[ \t]*:"
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)")
_ANY_LENGTH = b"\r\ncontent-length"
_CONNECTION = b"\r\nconnection"
_KEEP_ALIVE = re.compile(rb"\r\nconnection:[ \t]*keep-alive[ \t]*(?=\r\n)")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*\Z")


class Regular:
    """A regular request, but for its body.

    :ivar head: as it was written, with the empty line behind it.
    :ivar route: the function it is for.
    :ivar headers: field lines in their order and case.
    :ivar body_bytes: how long its body is.
    :ivar size_bytes: how long it is, head and body.
    :ivar letterhead: what is stored of it, once somebody has written that.
    :ivar around: the fields that go on before a call's ids and behind them, once somebody has
        sorted them out.
    """

    __slots__ = (
        "around", "body_bytes", "head", "headers", "letterhead", "method", "route", "size_bytes",
    )  # fmt: skip

    def __init__(
        self, head: bytes, method: bytes, target: bytes, headers: Headers, body_bytes: int
    ) -> None:
        self.head = head
        self.method = method
        self.route: FunctionRoute | None = cut(target)
        self.headers = headers
        self.body_bytes = body_bytes
        self.size_bytes = len(head) + body_bytes
        self.letterhead: Letterhead | None = None
        self.around: tuple[Headers, Headers] | None = None


class Unfinished(NamedTuple):
    """The beginning of what may be a regular request: its whole head, and not all of its body.

    :ivar size_bytes: how long it will be, head and body.
    """

    method: bytes
    target: bytes
    body_bytes: int
    size_bytes: int


class _Listener:
    """What the parser tells."""

    __slots__ = ("body_bytes", "complete", "headers", "target")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body_bytes = 0
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)

    def on_message_complete(self) -> None:
        self.complete = True


class Recogniser:
    """Reads one client's regular requests."""

    __slots__ = ("_known", "_listener", "_parser")

    def __init__(self) -> None:
        self._listener = _Listener()
        self._parser = httptools.HttpRequestParser(self._listener)
        self._known: Regular | None = None

    def read(self, data: bytes) -> Regular | Unfinished | None:
        """The regular request that *data* begins with.

        :return: :class:`Unfinished` if all that is missing is the rest of its body, and that is
            not too much to wait for; ``None`` if it is not regular.
        """
        known = self._known
        if known is not None and data.startswith(known.head) and len(data) >= known.size_bytes:
            return known
        if not data.startswith(_PREFIXES):
            return None
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        if end < 0:
            return None
        head = data[: end + 2].lower()
        length = _body_bytes(head, data.startswith(_WITHOUT))
        if length is None or head.count(b"\r\nhost:") != 1 or _IRREGULAR.search(head):
            return None
        size = end + 4 + length
        if len(data) < size:
            begun = _HEAD.match(data, 0, end + 2)
            if begun is None or size > MAX_GATHERED_BYTES:
                return None
            return Unfinished(begun[1], begun[2], length, size)
        return self._parse(data if len(data) == size else data[:size], end + 4)

    def _parse(self, message: bytes, head_bytes: int) -> Regular | None:
        heard = self._listener
        heard.begin()
        try:
            self._parser.feed_data(message)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser = httptools.HttpRequestParser(heard)
            return None
        whole = heard.complete and head_bytes + heard.body_bytes == len(message)
        if not whole or self._parser.get_http_version() != "1.1":
            self._parser = httptools.HttpRequestParser(heard)
            return None
        for _, value in heard.headers:
            if not _VALUE.match(value):
                return None
        head, method = message[:head_bytes], self._parser.get_method()
        found = Regular(head, method, heard.target, heard.headers, heard.body_bytes)
        if head_bytes <= MAX_KNOWN_BYTES:
            self._known = found
        return found


def _body_bytes(head: bytes, may_be_silent: bool) -> int | None:
    """What exactly one ``Content-Length`` announces, if nothing else is said about framing.

    :param may_be_silent: without one there is no body.
    """
    if _CONNECTION in head and not (
        head.count(_CONNECTION) == 1 and _KEEP_ALIVE.search(head) is not None
    ):
        return None
    count = head.count(_ANY_LENGTH)
    if count != 1:
        return 0 if may_be_silent and not count else None
    found = _LENGTH.search(head)
    return None if found is None else int(found[1])
