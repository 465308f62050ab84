"""Durations and sizes: read from what people write, and printed the way they write it.

A duration is a number of seconds or Go's notation (``1h2m3.5s``, ``900ms``, ``250us``), a size
a number of bytes or a number with a unit (``8MiB``, ``10kB``). Neither is ever negative.
"""

import re
from decimal import Decimal
from fractions import Fraction

from faasd_async.settings.mistakes import Refusal, shown

LONGEST_SECONDS = 10 * 365 * 24 * 3600
"""Ten years: whoever writes more has mistaken the unit."""

LARGEST_BYTES = 2**63 - 1

_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20}"
_PLAIN = re.compile(_NUMBER)
_TERM = re.compile(rf"({_NUMBER})(h|ms|m|s|us|µs|μs|ns)")
_TERMS = re.compile(rf"(?:{_TERM.pattern})+")
_SIZE = re.compile(rf"({_NUMBER})([kKMGT]i?B|B)?")

_SECONDS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),  # U+00B5, the micro sign
    "μs": Fraction(1, 10**6),  # U+03BC, the Greek letter
    "ns": Fraction(1, 10**9),
}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def parse_duration(value: object) -> float:
    """Read a duration longer than nothing.

    :param value: a string or a number, as TOML or the environment gave it.
    :return: seconds.
    :raises Refusal: for anything else, and above ten years.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= LONGEST_SECONDS:
        raise Refusal(
            shown(value), 'a duration above 0 and up to 10 years, such as "90s", "1h30m" or 90'
        )
    return seconds


def parse_duration_or_zero(value: object) -> float:
    """Read a duration where nothing at all has a meaning too; else as :func:`parse_duration`."""
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds <= LONGEST_SECONDS:
        raise Refusal(
            shown(value), 'a duration of 0 or more, up to 10 years, such as "0s", "1h30m" or 90'
        )
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        # Bounded before it is converted: an integer of TOML may be too large for a float.
        return float(value) if 0 <= value <= LONGEST_SECONDS else None
    if not isinstance(value, str):
        return None
    if _PLAIN.fullmatch(value):
        return float(value)
    if _TERMS.fullmatch(value):
        return float(sum(Fraction(n) * _SECONDS[unit] for n, unit in _TERM.findall(value)))
    return None


def format_duration(seconds: float) -> str:
    """Print a duration so that :func:`parse_duration` reads exactly the same one."""
    rest = Decimal(repr(float(seconds)))
    if not rest:
        return "0s"
    if rest < 1:
        for unit, scale in (("ms", 3), ("us", 6), ("ns", 9)):
            if (scaled := rest.scaleb(scale)) >= 1 or unit == "ns":
                return _plain(scaled) + unit
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(_plain(number) + unit for number, unit in parts if number)


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


def parse_size(value: object) -> int:
    """Read a size of at least one byte.

    :param value: a string or an integer, as TOML gave it.
    :return: bytes.
    :raises Refusal: for anything else.
    """
    size = _bytes(value)
    if size is None or not 1 <= size <= LARGEST_BYTES:
        raise Refusal(
            shown(value), 'a size of whole bytes above 0, such as "64MiB", "10kB" or 4096'
        )
    return size


def _bytes(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not (match := _SIZE.fullmatch(value)):
        return None
    number, unit = match.groups(default="B")
    if unit not in _BYTES:
        return None
    size = Fraction(number) * _BYTES[unit]
    return int(size) if size.denominator == 1 else None


def format_size(size_bytes: int) -> str:
    """Print a size in the largest unit that leaves it whole: ``64MiB``, ``10kB``, ``1023B``."""
    for unit, factor in sorted(_BYTES.items(), key=lambda item: -item[1]):
        if size_bytes % factor == 0 and size_bytes:
            return f"{size_bytes // factor}{unit}"
    return "0B"
