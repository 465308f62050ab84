"""A callback's URL as the HTTP client takes it, or why it never could.

The URL is read by the rules of internationalised domain names (IDNA 2008), which know neither an
underscore, though many a container is called with one, nor, alas, the address of an IPv6 host:
those go past them. No certificate can be for a name with an underscore, so https stays as it is.
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

#: A host of labels as DNS has them, one with an underscore among them.
_UNDERSCORED_ORIGIN = re.compile(
    r"http://(?=[^/?:]*_)((?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)\.?(:\d+)?(?=[/?]|\Z)",
    re.IGNORECASE,
)

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
    if literal is not None:
        IPv6Address(literal[1])
        return _past_the_rules(text, literal.end())
    underscored = _UNDERSCORED_ORIGIN.match(text)
    if underscored is not None:
        return _past_the_rules(text, underscored.end())
    return _AsItIs.from_text(URL.from_text(text).to_uri().to_text())


def _past_the_rules(text: str, end: int) -> URL:
    """:param end: where the origin ends."""
    path = text[end:]
    return _AsItIs.from_text(text[:end].lower() + (path if path.startswith("/") else f"/{path}"))


def _authority(url: CallbackUrl) -> str:
    rest = url.without_credentials.partition("://")[2]
    for end in "/?":
        rest = rest.partition(end)[0]
    return rest
