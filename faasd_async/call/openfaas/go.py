"""How Go's standard library writes JSON strings, header names and the paths of URLs.

OpenFaaS is written in Go, and what two of its parts exchange is what these functions of its
libraries make of it.
"""

from __future__ import annotations

import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}

#: What Go's encoder does not write as it is: controls, what would end a string, what is dangerous
#: in HTML and JavaScript, and what is no character.
_ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")

#: What Go leaves alone in a path, and in a fragment.
_IN_PATH = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+,/:;=@")
_IN_FRAGMENT = _IN_PATH | frozenset(b"?!()*")

_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def json_string(text: str) -> str:
    """A string as Go's JSON encoder writes it."""
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def canonical_name(name: str) -> str:
    """A header's name in the case that Go gives it: ``X-Call-Id``."""
    if not _TOKEN.match(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def escape_path(path: bytes) -> bytes:
    """A path in the one form that Go writes without having been told of another."""
    return _percent_encode(path, _IN_PATH)


def escape_fragment(fragment: bytes) -> bytes:
    """A fragment, likewise."""
    return _percent_encode(fragment, _IN_FRAGMENT)


def _percent_encode(raw: bytes, allowed: frozenset[int]) -> bytes:
    if all(byte in allowed for byte in raw):
        return raw
    return b"".join(bytes((byte,)) if byte in allowed else b"%%%02X" % byte for byte in raw)


def unescape(raw: bytes) -> bytes:
    """Percent-decoded once; a stray ``%`` stays."""
    return _PERCENT.sub(lambda found: bytes((int(found[1], 16),)), raw)


def mend_percents(raw: bytes) -> bytes:
    """The same path with every stray ``%`` escaped: Go refuses a URL that has one."""
    return _STRAY_PERCENT.sub(b"%25", raw)
