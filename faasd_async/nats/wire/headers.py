"""The NATS/1.0 header block: a status line, header lines, a blank line.

A block looks like HTTP/1 and is simpler: there is no folding, and names keep their case. The
server puts a status into the first line of the messages it makes itself::

    NATS/1.0 408 Request Timeout\\r\\nNats-Pending-Messages: 1\\r\\n\\r\\n

Blocks travel undecoded (``Message.header_block``) until somebody asks for what is in them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from faasd_async.nats.wire.errors import BadHeader

HeaderPairs: TypeAlias = Sequence[tuple[bytes, bytes]]

_VERSION = b"NATS/1.0"
_NAME = re.compile(rb"[!-9;-~]+")
"""Visible ASCII without the colon."""
_STATUS = re.compile(rb"NATS/1\.0(?: +(\d{3})(?: +(.*))?)? *")
_BREAKING = re.compile(rb"[\r\n\0]")

#: So many names are known to be names: the same few stand in every message.
_NAMES_KNOWN = 256


@dataclass(frozen=True, slots=True)
class Headers:
    """A header block, read.

    :ivar status: the inline status of a message the server made itself, or ``None``.
    :ivar description: the words behind the status.
    :ivar pairs: names and values in their order, names in their case.
    """

    status: int | None
    description: str
    pairs: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes, default: bytes = b"") -> bytes:
        """Return the first value under exactly this name."""
        for key, value in self.pairs:
            if key == name:
                return value
        return default

    def by_name(self) -> dict[bytes, bytes]:
        """Return the first value under each name."""
        return dict(reversed(self.pairs))


NO_HEADERS = Headers(status=None, description="", pairs=())


def encode_headers(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a block.

    :raises BadHeader: a name that is none, or a value with CR, LF or NUL in it.
    """
    block = [_VERSION]
    for name, value in pairs:
        if not _is_name(name):
            raise BadHeader(f"{name!r} is no header name")
        block.append(b"%b: %b" % (name, value))
    # What would break out of one line stands in none of them: they are searched together.
    if _BREAKING.search(b"".join(block)):
        raise BadHeader(f"the value of {_name_of_breaking(block)!r} holds a CR, LF or NUL")
    block.append(b"\r\n")
    return b"\r\n".join(block)


def _name_of_breaking(lines: Iterable[bytes]) -> bytes:
    return next(line for line in lines if _BREAKING.search(line)).partition(b":")[0]


@lru_cache(_NAMES_KNOWN)
def _is_name(name: bytes) -> bool:
    return _NAME.fullmatch(name) is not None


def decode_headers(block: bytes) -> Headers:
    """Read a block; an empty one stands for a message without headers.

    :raises BadHeader: the block does not follow the grammar.
    """
    if not block:
        return NO_HEADERS
    if not block.endswith(b"\r\n\r\n"):
        raise BadHeader("a header block ends in a blank line")
    first, *lines = block[:-4].split(b"\r\n")
    pairs = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _is_name(name):
            raise BadHeader(f"{line[:40]!r} is no header line")
        pairs.append((name, value.strip(b" \t")))
    if first == _VERSION:
        return Headers(None, "", tuple(pairs))
    status = _STATUS.fullmatch(first)
    if status is None:
        raise BadHeader(f"a header block starts with NATS/1.0, not {first[:40]!r}")
    code, words = status.groups()
    return Headers(
        status=int(code) if code else None,
        description=(words or b"").decode("utf-8", "replace"),
        pairs=tuple(pairs),
    )
