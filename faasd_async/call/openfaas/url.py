"""A URL as Go's ``encoding/json`` writes its ``url.URL``: an object of eleven fields.

The user's name and password are unexported there, so that they are lost: ``{}`` stands for them.
The header ``X-Callback-Url`` travels beside it and still has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from faasd_async.call.openfaas.go import escape_fragment, escape_path, json_string, unescape

T = TypeVar("T", str, bool)

_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoUrl:
    """The fields, by Go's names.

    :ivar path: percent-decoded.
    :ivar raw_path: as it was written, if Go would not write it so again; else empty.
    :ivar has_user: whether there was a user, whose name is not said.
    """

    scheme: str = ""
    opaque: str = ""
    has_user: bool = False
    host: str = ""
    path: str = ""
    raw_path: str = ""
    omit_host: bool = False
    force_query: bool = False
    raw_query: str = ""
    fragment: str = ""
    raw_fragment: str = ""

    @classmethod
    def of(cls, raw: bytes) -> GoUrl:
        """Take a URL apart as Go does."""
        raw, _, fragment = raw.partition(b"#")
        found = _SCHEME.match(raw)
        scheme, rest = (found[1].lower(), found[2]) if found else (b"", raw)
        force_query = rest.endswith(b"?") and rest.count(b"?") == 1
        rest, _, query = rest.partition(b"?")
        opaque = authority = b""
        if scheme and not rest.startswith(b"/"):
            opaque, rest = rest, b""
        elif rest.startswith(b"//"):
            authority, slash, rest = rest[2:].partition(b"/")
            rest = slash + rest
        user, at, host = authority.rpartition(b"@")
        path, plain_fragment = unescape(rest), unescape(fragment)
        return cls(
            scheme=_text(scheme),
            opaque=_text(opaque),
            has_user=bool(at or user),
            host=_text(host),
            path=_text(path),
            raw_path="" if escape_path(path) == rest else _text(rest),
            force_query=force_query,
            raw_query=_text(query),
            fragment=_text(plain_fragment),
            raw_fragment="" if escape_fragment(plain_fragment) == fragment else _text(fragment),
        )

    @classmethod
    def read(cls, found: object) -> GoUrl:
        """Out of JSON.

        :raises ValueError: it is no such object.
        """
        if not isinstance(found, dict):
            raise ValueError("CallbackUrl is no object")
        return cls(
            scheme=_field(found, "Scheme", ""),
            opaque=_field(found, "Opaque", ""),
            has_user=found.get("User") is not None,
            host=_field(found, "Host", ""),
            path=_field(found, "Path", ""),
            raw_path=_field(found, "RawPath", ""),
            omit_host=_field(found, "OmitHost", False),
            force_query=_field(found, "ForceQuery", False),
            raw_query=_field(found, "RawQuery", ""),
            fragment=_field(found, "Fragment", ""),
            raw_fragment=_field(found, "RawFragment", ""),
        )

    def write(self) -> str:
        """As JSON."""
        fields = (
            ("Scheme", json_string(self.scheme)),
            ("Opaque", json_string(self.opaque)),
            ("User", "{}" if self.has_user else "null"),
            ("Host", json_string(self.host)),
            ("Path", json_string(self.path)),
            ("RawPath", json_string(self.raw_path)),
            ("OmitHost", "true" if self.omit_host else "false"),
            ("ForceQuery", "true" if self.force_query else "false"),
            ("RawQuery", json_string(self.raw_query)),
            ("Fragment", json_string(self.fragment)),
            ("RawFragment", json_string(self.raw_fragment)),
        )
        return "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"

    @property
    def text(self) -> bytes:
        """The URL, without its user and its fragment."""
        path = self.raw_path.encode() if self.raw_path else escape_path(self.path.encode())
        query = b"?" + self.raw_query.encode() if self.raw_query or self.force_query else b""
        return b"%b://%b%b%b" % (self.scheme.encode(), self.host.encode(), path, query)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _field(found: dict[str, object], name: str, default: T) -> T:
    value = found.get(name, default)
    if not isinstance(value, type(default)):
        raise ValueError(f"{name} of CallbackUrl is {type(value).__name__}")
    return value
