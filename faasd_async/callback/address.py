"""A callback's URL as the HTTP client takes it, or why it never could.

The client looks names up by the rules of internationalised domain names (IDNA 2008), which know
neither an underscore nor, alas, the address of an IPv6 host: that one goes past them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from hyperlink import URL

from faasd_async.call.callback_url import CallbackUrl

#: Most callbacks go where others went a moment ago.
_REMEMBERED = 256

_USUAL_PORT = 80

_IPV6_ORIGIN = re.compile(r"https?://\[([^\]]*)\](?::\d+)?(?=[/?]|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes that our own client sends.

    :ivar host: as it is looked up.
    :ivar authority: as ``Host`` tells it.
    :ivar target: raw path and query.
    """

    host: str
    port: int
    authority: bytes
    target: bytes


class _AsItIs(URL):
    """A URL that is requested as it stands."""

    def to_uri(self) -> URL:
        return self


def request_url(url: CallbackUrl) -> URL:
    """What to request, without the credentials.

    :raises ValueError: nothing can be requested there.
    """
    return _read(url.without_credentials)


@lru_cache(_REMEMBERED)
def place_of(url: CallbackUrl) -> Place:
    """As :func:`request_url`."""
    parts = urlsplit(_read(url.without_credentials).to_text())
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    authority = shown if url.port == _USUAL_PORT else f"{shown}:{url.port}"
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Place(host, url.port, authority.encode("ascii"), target.encode("ascii"))


def why_undeliverable(url: CallbackUrl) -> str | None:
    """Why no callback could ever go there, or ``None``: it is the host alone that decides."""
    return _why_not(f"{url.scheme}://{_authority(url)}")


@lru_cache(_REMEMBERED)
def _why_not(origin: str) -> str | None:
    try:
        _read(origin)
    except ValueError as reason:
        return f"no callback can be delivered there: {reason}"
    return None


@lru_cache(_REMEMBERED)
def _read(text: str) -> URL:
    literal = _IPV6_ORIGIN.match(text)
    if literal is None:
        return _AsItIs.from_text(URL.from_text(text).to_uri().to_text())
    IPv6Address(literal[1])
    path = text[literal.end() :]
    return _AsItIs.from_text(literal[0] + (path if path.startswith("/") else f"/{path}"))


def _authority(url: CallbackUrl) -> str:
    rest = url.without_credentials.partition("://")[2]
    for end in "/?":
        rest = rest.partition(end)[0]
    return rest
