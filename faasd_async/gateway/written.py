"""Whole answers as bytes, for those who answer without :mod:`twisted.web`.

They look as those of the routes do, field by field.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from http import HTTPStatus

from faasd_async import __version__
from faasd_async.call.headers import Headers
from faasd_async.gateway.refusal import Fields, Refusal

#: Statuses whose answers never have a body.
BODILESS = frozenset((204, 304))

SERVED_BY = f"faasd-async/{__version__}".encode()

_SERVED_BY = b"X-Served-By: " + SERVED_BY

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_PHRASES[499] = b"Client Closed Request"

#: There are no more of three digits.
_STATUSES = 900

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
    return b"%b\r\n" % reply_head(status, date, fields, names_in(fields))


def reply_head(status: int, date: bytes, fields: Headers, names: Set[bytes]) -> bytes:
    """As :func:`head`, without the empty line: more may follow.

    :param names: those of the fields, as by :func:`names_in`.
    """
    lines = [_status_line(status)]
    if b"x-served-by" not in names:
        lines.append(_SERVED_BY)
    if b"date" not in names:
        lines.append(b"Date: " + date)
    lines += [b"%b: %b" % field for field in fields]
    lines.append(b"")
    return b"\r\n".join(lines)


def names_in(fields: Headers) -> Set[bytes]:
    """What fields are called, in lower case."""
    return {field[0].lower() for field in fields}


@lru_cache(_STATUSES)
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b" % (status, phrase(status))
