"""The trace that a call belongs to, as W3C's Trace Context has it (Level 1, sections 3.2 and 3.3).

Each hop has a span of its own: the daemon's from the moment that a call is accepted, whose child
the function's is; and the callback's, which is the daemon's child too. ``tracestate`` goes along as
it is. What is malformed is dropped, and ``tracestate`` with it. Nothing is recorded here: an id
that stands in the log and in a call's status leads from one system to the next.
"""

from __future__ import annotations

import hashlib
import os
import re

from faasd_async.call.headers import Headers, first

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

_WRITTEN = re.compile(
    rb"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^\r\n]*)?[ \t]*"
)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16

#: Sampled and random: of what a version to come may say these are known.
_KNOWN_FLAGS = 0x03


def child_of(traceparent: bytes, span: bytes | None = None) -> bytes | None:
    """The next hop's ``traceparent``, in the version that we speak.

    :param span: its id, 16 hexadecimal digits; a random one unless given.
    :return: ``None``: what there is is malformed.
    """
    found = _WRITTEN.fullmatch(traceparent)
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    if version == b"ff" or trace == _NO_TRACE or parent == _NO_SPAN:
        return None
    if version == b"00" and more:
        return None
    if version != b"00":
        flags = b"%02x" % (int(flags, 16) & _KNOWN_FLAGS)
    return b"00-%b-%b-%b" % (trace, span or os.urandom(8).hex().encode(), flags)


def valid(traceparent: bytes) -> bytes:
    """The same, or nothing if it is malformed."""
    return traceparent if child_of(traceparent) else b""


def carried(
    headers: list[tuple[bytes, bytes]], *, begins: bool
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The header fields of a call, in its own span.

    :param begins: a call without a trace begins one.
    :return: the ``traceparent`` besides; empty: there is none.
    """
    written = [value for name, value in headers if name.lower() == TRACEPARENT]
    child = child_of(written[0]) if len(written) == 1 else None
    if child is not None:
        own = child
        return [
            (name, own) if name.lower() == TRACEPARENT else (name, value) for name, value in headers
        ], own
    kept = [field for field in headers if field[0].lower() not in (TRACEPARENT, TRACESTATE)]
    if not begins:
        return kept, b""
    begun = b"00-%b-%b-01" % (os.urandom(16).hex().encode(), os.urandom(8).hex().encode())
    return [*kept, (TRACEPARENT, begun)], begun


def of_callback(traceparent: bytes, headers: Headers, name: bytes) -> Headers:
    """What a callback says of its call's trace.

    :param headers: the call's.
    :param name: the callback's, so that each try of it is in the same span.
    """
    span = hashlib.blake2b(name, digest_size=8).hexdigest().encode()
    child, state = child_of(traceparent, span), first(headers, TRACESTATE)
    fields = () if child is None else ((TRACEPARENT, child),)
    return fields if state is None else (*fields, (TRACESTATE, state))


def trace_id_of(traceparent: bytes) -> str:
    """What all hops have in common, and what is searched for."""
    return traceparent[3:35].decode("ascii")
