"""What ``Retry-After`` asks for, from a function or from whoever takes callbacks."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

#: A wait that somebody asks for is believed up to this.
LONGEST_ASKED_SECONDS = 24 * 3600.0

#: Who answers one of these may ask for a wait.
ASKING_CODES = frozenset((429, 503))


def asked_seconds(status: int, retry_after: bytes | None, now_seconds: float) -> float | None:
    """How long an answer asks to be left alone.

    :param retry_after: seconds, or an HTTP date.
    :param now_seconds: Unix time.
    :return: ``None`` if it asks for nothing, or is not one that may (429 and 503).
    """
    if status not in ASKING_CODES or retry_after is None:
        return None
    text = retry_after.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_ASKED_SECONDS)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(until - now_seconds, 0.0), LONGEST_ASKED_SECONDS)
