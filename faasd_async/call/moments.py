"""Moments, as people and programs write them in a header field."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)

#: The three forms of RFC 9110 §5.6.7; the last one has no zone, and means UTC.
_HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2,8}, \d\d[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    re.ASCII,
)

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class NoMoment(ValueError):
    """A text that tells no time."""


def parse_moment(text: str) -> int:
    """Read a time of RFC 3339, or an HTTP date.

    :return: Unix nanoseconds.
    :raises NoMoment: it is neither.
    """
    try:
        moment = _read(text)
    except (ValueError, OverflowError) as reason:
        raise NoMoment(text) from reason
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _read(text: str) -> datetime:
    if _RFC_3339.fullmatch(text):
        # Python reads microseconds, and a capital T and Z alone before 3.12.
        whole = re.sub(r"(\.\d{6})\d+", r"\1", text.upper().replace(" ", "T"))
        return datetime.fromisoformat(whole)
    if _HTTP_DATE.fullmatch(text):
        moment, day = parsedate_to_datetime(text), text.partition(" ")[0].rstrip(",")
        # Python reads past the day of the week. One that is not the date's tells of a mistake in
        # either of them, and nobody knows in which.
        if day in (_DAYS[moment.weekday()], _DAYS[moment.weekday()][:3]):
            return moment
    raise ValueError(text)


def to_ns(moment: datetime) -> int:
    """Unix nanoseconds of a moment that knows its zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def from_ns(moment_ns: int) -> datetime:
    """The moment in UTC, to the microsecond; the reverse of :func:`to_ns`."""
    return _EPOCH + timedelta(microseconds=moment_ns // 1000)


def rfc3339(at_ns: int) -> str | None:
    """A moment, given in Unix nanoseconds, to the microsecond; ``None`` for 0 and the absurd."""
    if at_ns <= 0:
        return None
    try:
        return f"{from_ns(at_ns):%Y-%m-%dT%H:%M:%S.%f}Z"
    except OverflowError:
        return None
