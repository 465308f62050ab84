"""A callback URL: well formed, and safe to show.

Credentials may stand in it (``http://user:password@host/``); they are sent as basic
authentication and must appear in no log, so a :class:`CallbackUrl` prints itself without them,
and without its query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import quote, unquote, urlsplit

MAX_URL_BYTES = 4096

#: Most callbacks go where others went a moment ago.
_REMEMBERED = 256

_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_CONTROL_OR_SPACE = re.compile(rb"[\x00-\x20\x7f]")
#: Not even an escape: a host is looked up as it is written.
_HOST = re.compile(r"[^%/?#@\\<>^`{|}\s]+\Z")


class MalformedCallbackUrl(ValueError):
    """The text says what is wrong with the URL, without repeating its credentials."""


@dataclass(frozen=True, repr=False)
class CallbackUrl:
    """An absolute ``http`` or ``https`` URL.

    :ivar text: the whole URL in ASCII, credentials included.
    :ivar port: explicit or the scheme's own.
    :ivar path: raw, at least ``/``; without the query.
    """

    text: str
    scheme: str
    host: str
    port: int
    path: str
    username: str | None
    password: str | None

    @cached_property
    def without_credentials(self) -> str:
        """The URL as it is requested."""
        authority, rest = self._cut()
        return f"{self.scheme}://{authority.rpartition('@')[2]}{rest}"

    def moved_to(self, host: str, port: int) -> CallbackUrl:
        """The same, at another address; *host* of IPv6 without brackets."""
        authority, rest = self._cut()
        userinfo = "".join(authority.rpartition("@")[:2])
        shown = f"[{host}]" if ":" in host else host
        return parse(f"{self.scheme}://{userinfo}{shown}:{port}{rest}".encode("ascii"))

    def _cut(self) -> tuple[str, str]:
        """The authority, credentials included, and what follows it."""
        authority, slash, tail = re.split(r"([/?]|\Z)", self.text.partition("://")[2], maxsplit=1)
        return authority, f"{slash}{tail}"

    @cached_property
    def _shown(self) -> str:
        shown, query, _ = self.without_credentials.partition("?")
        return shown + "?…" if query else shown

    def __str__(self) -> str:
        """The URL as it is logged: a query may hold a token, or sign what it is for."""
        return self._shown

    def __hash__(self) -> int:
        """The text says all; and a text knows its hash."""
        return hash(self.text)

    def __repr__(self) -> str:
        return f"<CallbackUrl {self}>"


@lru_cache(_REMEMBERED)
def parse(raw: bytes) -> CallbackUrl:
    """Read a callback URL from a header's value.

    :raises MalformedCallbackUrl: it is not an absolute ``http`` or ``https`` URL.
    """
    if len(raw) > MAX_URL_BYTES:
        raise MalformedCallbackUrl(f"it is longer than {MAX_URL_BYTES} bytes")
    if _CONTROL_OR_SPACE.search(raw):
        raise MalformedCallbackUrl("it holds a space or a control character")
    text = quote(raw, safe=_VISIBLE_ASCII).partition("#")[0]
    try:
        split = urlsplit(text)
        host, port = split.hostname, split.port
    except ValueError:
        # The reason's own text may repeat a password.
        raise MalformedCallbackUrl("its host or port is none") from None
    if split.scheme not in ("http", "https"):
        raise MalformedCallbackUrl("it must be an absolute http:// or https:// URL")
    if not host or not _HOST.match(host) or "\\" in text:
        raise MalformedCallbackUrl("it names no host")
    if port == 0:
        raise MalformedCallbackUrl("port 0 cannot be called")
    return CallbackUrl(
        text=text,
        scheme=split.scheme,
        host=host,
        port=port or (443 if split.scheme == "https" else 80),
        path=split.path or "/",
        username=None if split.username is None else unquote(split.username),
        password=None if split.password is None else unquote(split.password),
    )
