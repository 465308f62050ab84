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
    head = b"\r\n".join(lines)
    ends = len(lines) - 1
    # More of either than there are ends of lines: one of them stands within a line.
    if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head:
        raise Unsendable("a request with a line break or a NUL in its head cannot be sent")
    if lines[0].count(b" ") != 2:
        raise Unsendable("a request with a space in its target cannot be sent")
    return head
