"""When a caller wants a call to begin, and until when.

``X-Delay`` and ``X-Not-Before`` put a call off, ``X-Expires`` says when it is of no use any more.
The three are orders to this daemon and do not go on to the function, which might pass its header
fields on to another call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from faasd_async.call.moments import NoMoment, parse_moment
from faasd_async.gateway.refusal import Refusal
from faasd_async.settings.mistakes import Refusal as NoDuration
from faasd_async.settings.quantities import LONGEST_SECONDS, parse_duration, parse_duration_or_zero

#: The names, lower-case.
TIMING_FIELDS = frozenset((b"x-delay", b"x-not-before", b"x-expires"))

#: Nothing is put off for longer.
LONGEST_DELAY_SECONDS = 366 * 24 * 3600

_MOMENT = 'a time such as "2030-01-31T08:00:00Z" or "Thu, 31 Jan 2030 08:00:00 GMT"'
_DURATION = 'a duration such as "10m", "1h30m" or 90 (seconds)'
_EXPIRES = f"{_DURATION}, or {_MOMENT}; at most 10 years from now"


class Timing(NamedTuple):
    """A call's times, Unix nanoseconds.

    :ivar not_before_ns: 0 if it may begin at once.
    :ivar expires_ns: 0 if its function's ``expires`` alone counts.
    """

    not_before_ns: int = 0
    expires_ns: int = 0


AT_ONCE = Timing()


def read_timing(said: Mapping[bytes, bytes], now_ns: int) -> Timing:
    """What the header fields say of it.

    :param said: values by lower-case name.
    :raises Refusal: 400, one is not understood, or they contradict each other.
    """
    if TIMING_FIELDS.isdisjoint(said):
        return AT_ONCE
    not_before_ns = _not_before_ns(said, now_ns)
    expires_ns = _expires_ns(said.get(b"x-expires"), now_ns)
    if not_before_ns <= now_ns:
        not_before_ns = 0
    if expires_ns and expires_ns <= not_before_ns:
        raise Refusal(400, "X-Expires: the call would expire before it may begin")
    return Timing(not_before_ns, expires_ns)


def _not_before_ns(said: Mapping[bytes, bytes], now_ns: int) -> int:
    delay, moment = said.get(b"x-delay"), said.get(b"x-not-before")
    if delay is not None and moment is not None:
        raise Refusal(400, "X-Delay and X-Not-Before: only one of them may be there")
    if delay is not None:
        text = delay.decode("latin-1").strip()
        try:
            seconds = parse_duration_or_zero(text)
        except NoDuration:
            raise _wrong("X-Delay", text, f"{_DURATION}, up to 366 days") from None
        name, not_before_ns = "X-Delay", now_ns + round(seconds * 1e9)
    elif moment is not None:
        text = moment.decode("latin-1").strip()
        name, not_before_ns = "X-Not-Before", _moment_ns("X-Not-Before", text, _MOMENT)
    else:
        return 0
    if not_before_ns - now_ns > LONGEST_DELAY_SECONDS * 10**9:
        raise _wrong(name, text, "at most 366 days from now")
    return not_before_ns


def _expires_ns(value: bytes | None, now_ns: int) -> int:
    """Of a duration or a time: neither is further away than the longest duration there is."""
    if value is None:
        return 0
    text = value.decode("latin-1").strip()
    try:
        return now_ns + round(parse_duration(text) * 1e9)
    except NoDuration:
        expires_ns = max(_moment_ns("X-Expires", text, _EXPIRES), 1)
    if expires_ns - now_ns > LONGEST_SECONDS * 10**9:
        raise _wrong("X-Expires", text, _EXPIRES)
    return expires_ns


def _moment_ns(name: str, text: str, allowed: str) -> int:
    try:
        return parse_moment(text)
    except NoMoment:
        raise _wrong(name, text, allowed) from None


def _wrong(name: str, found: str, allowed: str) -> Refusal:
    shown = found if len(found) <= 60 else found[:60] + "…"
    return Refusal(400, f"{name}: found {shown!r}; allowed: {allowed}")
