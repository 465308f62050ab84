"""What a client would like, and what of it was done (RFC 7240)."""

from __future__ import annotations

import re
from typing import NamedTuple

from faasd_async.call.headers import Headers
from faasd_async.gateway.refusal import Fields

#: What lies between two commas, or between two semicolons: either may stand in a quoted string, and
#: one that is never closed goes on to the end. Neither looks at a byte twice.
_QUOTED = rb'"(?:[^"\\]|\\.)*+"?'
_PREFERENCE = re.compile(rb'(?:%b|[^,"])++' % _QUOTED, re.DOTALL)
_PART = re.compile(rb'(?:%b|[^;"])++' % _QUOTED, re.DOTALL)

#: Nobody waits longer than this.
LONGEST_SECONDS = 300


class Preferences(NamedTuple):
    """The preferences that are known here.

    :ivar respond_async: not to wait for the function.
    :ivar wait_seconds: to wait for so long.
    :ivar others: all the rest, as they were written.
    """

    respond_async: bool = False
    wait_seconds: int | None = None
    others: tuple[bytes, ...] = ()


NONE = Preferences()


def read_preferences(headers: Headers) -> Preferences:
    """Of several that say the same, the first counts; what is not understood is left alone."""
    written = [value for name, value in headers if name.lower() == b"prefer"]
    if not written:
        return NONE
    respond_async, wait_seconds = False, None
    others: list[bytes] = []
    for preference in _PREFERENCE.findall(b",".join(written)):
        first = _PART.match(preference)
        name, _, value = (first[0] if first else b"").partition(b"=")
        name, value = name.strip().lower(), value.strip().strip(b'"')
        if name == b"respond-async" and not value:
            respond_async = True
        elif name == b"wait" and value.isdigit() and len(value) < 10:
            if wait_seconds is None:
                wait_seconds = min(int(value), LONGEST_SECONDS)
        elif name:
            others.append(preference.strip())
    return Preferences(respond_async, wait_seconds, tuple(others))


def without(headers: Headers, preferences: Preferences) -> Headers:
    """The fields for the function: what was preferred of us is not to be done once more."""
    fields = [field for field in headers if field[0].lower() != b"prefer"]
    if preferences.others:
        fields.append((b"Prefer", b", ".join(preferences.others)))
    return fields


def applied(*, respond_async: bool, wait_seconds: int | None) -> Fields:
    """What a client is told of its preferences."""
    done = [b"respond-async"] if respond_async else []
    if wait_seconds is not None:
        done.append(b"wait=%d" % wait_seconds)
    return ((b"Preference-Applied", b", ".join(done)),) if done else ()
