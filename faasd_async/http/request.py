"""A request's head as it is written: nothing re-encoded, re-ordered or normalised."""

from __future__ import annotations

from collections.abc import Iterable

from faasd_async.http.errors import Unsendable


def write_head(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request.

    :param target: raw path and query.
    :param fields: all of them, ``Host`` and what frames the body included.
    :raises Unsendable: a part would break out of its line; such a request came from no HTTP
        message, and would never be understood.
    """
    lines = [b"%b: %b" % field for field in fields]
    written = b"".join([b"\r\n%b" % line for line in lines])
    return _checked(method, target, written, len(lines))


def write_head_of(method: bytes, target: bytes, lines: bytes) -> bytes:
    """As :func:`write_head`.

    :param lines: the fields, written already; each has the end of the line before it in front.
    """
    return _checked(method, target, lines, lines.count(b"\r\n"))


def _checked(method: bytes, target: bytes, lines: bytes, count: int) -> bytes:
    head = b"%b %b HTTP/1.1%b\r\n\r\n" % (method, target, lines)
    ends = count + 2
    # More of either than there are ends of lines: one of them stands within a line.
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head:
        raise Unsendable("a request with a line break or a NUL in its head cannot be sent")
    if b" " in method or b" " in target:
        raise Unsendable("a request with a space in its target cannot be sent")
    return head
