"""Serving the page: a handful of files, none of which is anybody's data.

The page shows what strangers have chosen: names, paths, header fields, bodies. Should any of it
ever be taken for more than text, the policy below has the browser run nothing that is not one of
these files, ask nobody but this daemon, and make no markup of a string at all.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from faasd_async.gateway.refusal import Fields, Refusal, not_allowed
from faasd_async.gateway.request import GatewayRequest

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}

_POLICY = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"img-src 'self'",
        b"connect-src 'self'",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"require-trusted-types-for 'script'",
        b"trusted-types 'none'",
    )
)

_FIELDS: Fields = (
    (b"Content-Security-Policy", _POLICY),
    (b"X-Frame-Options", b"DENY"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    # Asked after each time, lest a browser shows the page of an earlier version.
    (b"Cache-Control", b"no-cache"),
)


class _File(NamedTuple):
    content_type: bytes
    tag: bytes
    content: bytes


@cache
def _files() -> dict[str, _File]:
    """By name. They are read when somebody asks for the first time, and kept."""
    found = {}
    for path in sorted(Path(__file__).with_name("static").iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            tag = b'"%b"' % sha256(content).hexdigest()[:16].encode()
            found[path.name] = _File(_TYPES[path.suffix], tag, content)
    return found


def show(request: GatewayRequest) -> bytes:
    """Answer with one of the files.

    :raises Refusal: 404 or 405.
    """
    if request.method not in (b"GET", b"HEAD"):
        raise not_allowed(b"GET")
    path = request.path.decode("latin-1")
    if path == "/ui":
        request.setResponseCode(308)
        request.setHeader(b"Location", b"/ui/")
        request.setHeader(b"Content-Length", b"0")
        return b""
    file = _files().get(path.removeprefix("/ui/") or "index.html")
    if file is None:
        raise Refusal(404, "there is nothing here")
    for name, value in _FIELDS:
        request.setHeader(name, value)
    # It may answer by itself that the client has it already.
    if request.setETag(file.tag):
        return b""
    request.setHeader(b"Content-Type", file.content_type)
    request.setHeader(b"Content-Length", b"%d" % len(file.content))
    return file.content
