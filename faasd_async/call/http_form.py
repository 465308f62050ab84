"""The stored form of a request: ``application/http``, as it will be sent.

``POST <target> HTTP/1.1``, the header fields in their order and case, ``Content-Length`` last, an
empty line, the body. A worker hands it on as it is; ``Host`` is spliced in when it is sent. A body
that lies elsewhere is left out.
"""

from __future__ import annotations

from faasd_async.call.body import Body, StoredBody
from faasd_async.call.headers import Headers


class UnreadableForm(ValueError):
    """Stored bytes are not a request in this form."""


def write(target: bytes, headers: Headers, body: Body) -> bytes:
    """Put a request into its stored form.

    :param headers: end to end, without ``Content-Length``; values hold no CR, LF or NUL.
    """
    lines = [b"POST %b HTTP/1.1" % target]
    lines += [b"%b: %b" % field for field in headers]
    lines += [b"Content-Length: %d" % len(body), b"", body if type(body) is bytes else b""]
    return b"\r\n".join(lines)


def read(
    stored: bytes, elsewhere: StoredBody | None = None
) -> tuple[bytes, list[tuple[bytes, bytes]], Body]:
    """Take a request out of its stored form.

    :param elsewhere: the body, if it was left out.
    :return: target, headers without ``Content-Length``, body.
    :raises UnreadableForm: it was not written by :func:`write`.
    """
    head, found, rest = stored.partition(b"\r\n\r\n")
    body: Body = rest if elsewhere is None else elsewhere
    first, *lines = head.split(b"\r\n")
    parts = first.split(b" ")
    fields = [line.partition(b": ") for line in lines]
    if not found or len(parts) != 3 or parts[0] != b"POST":
        raise UnreadableForm(f"no request line in {first[:80]!r}")
    if not fields or fields[-1] != (b"Content-Length", b": ", b"%d" % len(body)):
        raise UnreadableForm(f"no Content-Length of {len(body)} at the end of the head")
    return parts[1], [(name, value) for name, _, value in fields[:-1]], body
