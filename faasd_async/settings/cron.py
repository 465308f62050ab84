"""Times that come again: cron's five fields, six with seconds, and the words with an ``@``.

A schedule means what the clock on the wall of its time zone shows. When that clock is put forward,
what it skips does not come. When it is put back, it shows an hour twice: a schedule that names
hours comes the first time only; one that runs in every hour goes on as if nothing had happened.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.quantities import parse_duration

_ALLOWED = (
    'cron\'s five fields, such as "*/5 * * * *", six with seconds first, "@every 90s", "@hourly",'
    ' "@daily", "@weekly", "@monthly" or "@yearly"'
)

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_ITEM = re.compile(r"(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The 29th of February may be so far away.
_HORIZON = timedelta(days=8 * 366 + 1)

_SECOND_NS = 10**9


class _Field(NamedTuple):
    """What a field may say."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _DAYS),
)


class Cron:
    """One schedule.

    :raises Refusal: it is not understood, or would never come.
    """

    def __init__(self, text: str, timezone: str = "UTC") -> None:
        self.text = text
        self.timezone = timezone
        self._zone = read_timezone(timezone)
        self._every_ns = 0
        if text.startswith("@every "):
            self._every_ns = _read_every(text)
            return
        fields = _WORDS.get(text, text).split()
        if len(fields) not in (5, 6):
            raise Refusal(shown(text), _ALLOWED)
        if len(fields) == 5:
            fields.insert(0, "0")
        sets = [_read_field(text, *each) for each in zip(fields, _FIELDS, strict=True)]
        self._seconds, self._minutes, self._hours, self._days, self._months, weekdays = sets
        self._weekdays = {day % 7 for day in weekdays}
        # As cron has it: if both kinds of day are named, either will do.
        self._either = fields[3][0] not in "*?" and fields[5][0] not in "*?"
        self._any_hour = len(self._hours) == 24
        if self.next_after(0) is None:
            raise Refusal(shown(text), "days that the calendar has")

    def next_after(self, moment_ns: int) -> int | None:
        """The first time after a moment, both in Unix nanoseconds; ``None`` if there is none."""
        if self._every_ns:
            # All daemons reckon from the same moment, and so agree.
            return (moment_ns // self._every_ns + 1) * self._every_ns
        now = _EPOCH + timedelta(seconds=moment_ns // _SECOND_NS + 1)
        end = now + _HORIZON
        while now < end:
            later = self._no_sooner_than(now, now.astimezone(self._zone))
            if later == now:
                return (now - _EPOCH) // timedelta(seconds=1) * _SECOND_NS
            now = later
        return None

    def last_until(self, moment_ns: int, after_ns: int) -> int | None:
        """The last time up to a moment and after another, which is earlier; ``None``: none."""
        for days in (1 / 1440, 1 / 24, 1, 32, 366, 8 * 366 + 1):
            since_ns = max(after_ns, moment_ns - round(days * 86400) * _SECOND_NS)
            found, following = None, self.next_after(since_ns)
            while following is not None and following <= moment_ns:
                found, following = following, self.next_after(following)
            if found is not None or since_ns == after_ns:
                return found
        return None

    def _no_sooner_than(self, now: datetime, local: datetime) -> datetime:
        """*now*, if it is one of the times; else a later moment before which there is none."""
        if local.month not in self._months or not self._is_day(local):
            midnight = datetime(local.year, local.month, local.day) + timedelta(days=1)
            begins = midnight.replace(tzinfo=self._zone).astimezone(UTC)
            return max(begins, now + timedelta(seconds=1))
        into_hour = local.minute * 60 + local.second
        if local.hour not in self._hours:
            # Clocks are changed at quarters of an hour.
            return now + timedelta(seconds=900 - into_hour % 900)
        if local.fold and not self._any_hour:
            # The clock shows this for the second time.
            return now + timedelta(seconds=60 - local.second)
        if local.minute not in self._minutes:
            return now + timedelta(seconds=60 - local.second)
        if local.second not in self._seconds:
            return now + timedelta(seconds=1)
        return now

    def _is_day(self, local: datetime) -> bool:
        of_month, of_week = local.day in self._days, local.isoweekday() % 7 in self._weekdays
        return (of_month or of_week) if self._either else (of_month and of_week)


def read_cron(value: object) -> str:
    """Read a schedule from the file."""
    if not isinstance(value, str):
        raise Refusal(shown(value), _ALLOWED)
    return Cron(" ".join(value.split())).text


def read_timezone(value: object) -> tzinfo:
    """The time zone of a name, such as ``Europe/Berlin``."""
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refusal(shown(value), 'a time zone such as "Europe/Berlin" or "UTC"') from None


def timezone(value: object) -> str:
    """Read a time zone's name from the file."""
    read_timezone(value)
    return str(value)


def _read_every(text: str) -> int:
    seconds = parse_duration(text.removeprefix("@every ").strip())
    if seconds < 1:
        raise Refusal(shown(text), '"@every" with one second or more')
    return round(seconds * _SECOND_NS)


def _read_field(text: str, written: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for item in written.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _wrong(text, item, field)
        star, first, last, step = match.groups()
        begin = field.least if star else _number(text, item, first, field)
        end = _number(text, item, last, field) if last else begin
        if star or (step and not last):
            end = field.most - (field.name == "weekday")
        if end < begin or step == "0" or (step and int(step) == 0):
            raise _wrong(text, item, field)
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def _number(text: str, item: str, written: str, field: _Field) -> int:
    name = written.lower()
    if name in field.names:
        # Months count from 1, weekdays from 0.
        return field.names.index(name) + field.least
    if not written.isdigit() or not field.least <= int(written) <= field.most:
        raise _wrong(text, item, field)
    return int(written)


def _wrong(text: str, item: str, field: _Field) -> Refusal:
    return Refusal(
        f"{shown(item)} in {shown(text)}",
        f"for the {field.name} numbers from {field.least} to {field.most}"
        + (f", {field.names[0]} to {field.names[-1]}" if field.names else "")
        + ', "*", ranges, lists and steps',
    )
