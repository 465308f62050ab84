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
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    lines += [b"%b: %b" % field for field in fields]
    lines += (b"", b"")
    return _checked(b"\r\n".join(lines), len(lines) - 1)


def write_head_of(method: bytes, target: bytes, lines: bytes) -> bytes:
    """As :func:`write_head`.

    :param lines: the fields, written already; each has the end of the line before it in front.
    """
    head = b"%b %b HTTP/1.1%b\r\n\r\n" % (method, target, lines)
    return _checked(head, lines.count(b"\r\n") + 2)


def _checked(head: bytes, ends: int) -> bytes:
    """:param ends: how many lines end in it."""
    # More of either than there are ends of lines: one of them stands within a line.
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head:
        raise Unsendable("a request with a line break or a NUL in its head cannot be sent")
    if head.count(b" ", 0, head.index(b"\r")) != 2:
        raise Unsendable("a request with a space in its target cannot be sent")
    return head
