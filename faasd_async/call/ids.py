"""Call ids, and how names become tokens of a subject.

``X-Call-Id`` is a tracing id: a caller may choose it and several calls may share it. What tells
two accepted calls apart is the pair ``<call id>.<accept>`` at the end of every subject, where
*accept* is ``0`` for an id this daemon drew, random for one the caller chose, and made of the key
of a call that may be repeated (:mod:`faasd_async.call.once`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

#: The longest token a name may become.
MAX_TOKEN_BYTES = 128

_PLAIN = re.compile(r"[A-Za-z0-9-]+\Z")
_OTHER = re.compile(rb"[^A-Za-z0-9-]")
_ESCAPE = re.compile(rb"_([0-9A-F]{2})")
#: The acceptance of a call whose id was drawn.
DRAWN = "0"

#: For so many ids random bytes are asked for at a time: for each alone it were a system call.
_DRAWN_AT_A_TIME = 256

#: What the digit says of a UUID that two of its bits are for, by what was drawn for all four.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

#: So many tokens are known: those of the functions, and those of the calls in hand.
_REMEMBERED = 1024

_VISIBLE = re.compile(rb"[\x21-\x7e]+\Z")


class CallKey(NamedTuple):
    """What names one accepted call: the id callers see, and which acceptance of it."""

    call_id: str
    accept: str


class TokenTooLong(ValueError):
    """A name does not fit into a subject token.

    The text speaks to whoever chose the name: a byte that becomes three counts as three.
    """

    def __init__(self, name: str, length: int) -> None:
        shown = f"{name[:40]!r}…" if len(name) > 40 else repr(name)
        super().__init__(
            f"{shown} is of {length} bytes; 1 to {MAX_TOKEN_BYTES} are allowed, and each that is no"
            " letter, digit or hyphen counts as three"
        )


def draw_call_key() -> CallKey:
    """A key for a call whose caller sent no id."""
    return CallKey(next(_drawn), DRAWN)


def _draw() -> Iterator[str]:
    """Random UUIDs (version 4), without the objects."""
    while True:
        digits = secrets.token_bytes(16 * _DRAWN_AT_A_TIME).hex()
        for at in range(0, len(digits), 32):
            d = digits[at : at + 32]
            yield f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:]}"


_drawn = _draw()


def adopt_call_key(chosen: bytes | None) -> CallKey:
    """A key for a call that may carry its caller's own ``X-Call-Id``.

    :param chosen: the header's value; one that is not visible ASCII counts as absent.
    :raises TokenTooLong: it needs more than :data:`MAX_TOKEN_BYTES` in a subject.
    """
    call_id = adopted(chosen)
    return draw_call_key() if call_id is None else CallKey(call_id, secrets.token_hex(8))


def adopted(chosen: bytes | None) -> str | None:
    """The call id that a caller chose, if it is one; as :func:`adopt_call_key`."""
    if chosen is None or not _VISIBLE.match(chosen):
        return None
    call_id = chosen.decode("ascii")
    encode_token(call_id)
    return call_id


@lru_cache(_REMEMBERED)
def encode_token(name: str) -> str:
    """One subject token for a name: ``[A-Za-z0-9-]`` as is, every other byte ``_XX``.

    :raises TokenTooLong: the token would be over :data:`MAX_TOKEN_BYTES`.
    """
    if _PLAIN.match(name):
        token = name
    else:
        raw = name.encode("utf-8", "surrogateescape")
        token = _OTHER.sub(lambda found: b"_%02X" % found[0][0], raw).decode("ascii")
    if not 0 < len(token) <= MAX_TOKEN_BYTES:
        raise TokenTooLong(name, len(token))
    return token


def decode_token(token: str) -> str:
    """The name that :func:`encode_token` made a token of."""
    if "_" not in token:
        return token
    raw = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), token.encode("ascii"))
    return raw.decode("utf-8", "surrogateescape")
