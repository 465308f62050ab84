"""Whole answers as bytes, for those who answer without :mod:`twisted.web`.

They look as those of the routes do, field by field.
"""

from __future__ import annotations

from http import HTTPStatus

from faasd_async import __version__
from faasd_async.call.headers import Headers, first
from faasd_async.gateway.refusal import Fields, Refusal

#: Statuses whose answers never have a body.
BODILESS = frozenset((204, 304))

SERVED_BY = f"faasd-async/{__version__}".encode()

_SERVED_BY = b"X-Served-By: " + SERVED_BY

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_PHRASES[499] = b"Client Closed Request"

_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\n%b\r\nDate: %%b\r\nContent-Length: 0\r\n"
    b"X-Call-Id: %%b\r\nX-Start-Time: %%d\r\nLocation: %%b\r\n%%b\r\n" % _SERVED_BY
)


def line_of(text: str) -> bytes:
    """A line for people, whatever bytes a name in it was made of."""
    return text.encode("utf-8", "backslashreplace") + b"\n"


def phrase(status: int) -> bytes:
    """What stands behind a status for people."""
    return _PHRASES.get(status, b"Unknown Status")


def accepted(
    date: bytes, call_id: bytes, start_time_ns: int, location: bytes, more: Fields
) -> bytes:
    """A 202.

    :param date: the present time, as a ``Date`` field has it.
    """
    lines = b"".join([b"%b: %b\r\n" % field for field in more]) if more else b""
    return _ACCEPTED % (date, call_id, start_time_ns, location, lines)


def refused(date: bytes, refusal: Refusal, *more: tuple[bytes, bytes], body: bool = True) -> bytes:
    """A refusal.

    :param more: further fields.
    :param body: ``False``: only the head, for who asked for no more.
    """
    text = line_of(refusal.text)
    about = (
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(text)),
    )
    written = head(refusal.status, date, (*refusal.fields, *about, *more))
    return written + text if body else written


def head(status: int, date: bytes, fields: Headers) -> bytes:
    """A status line and its fields; what they do not say of date and server is said of ours."""
    lines = [b"HTTP/1.1 %d %b" % (status, phrase(status))]
    if first(fields, b"x-served-by") is None:
        lines.append(_SERVED_BY)
    if first(fields, b"date") is None:
        lines.append(b"Date: " + date)
    lines += [b"%b: %b" % field for field in fields]
    return b"\r\n".join((*lines, b"", b""))
