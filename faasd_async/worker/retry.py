"""The retry policy: which answers are tried again, how often, and after what wait.

A pure calculation: nothing here knows a clock, a queue or a call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from faasd_async.settings import RetrySettings

#: A wait that a function asks for itself (``Retry-After``) is believed up to this.
LONGEST_ASKED_SECONDS = 24 * 3600.0

_ASKING_CODES = frozenset((429, 503))

_JITTER: Mapping[str, tuple[float, float]] = {
    "exponential": (1.0, 1.0),
    "equal": (0.5, 1.0),
    "full": (0.0, 1.0),
}


def wants_retry(policy: RetrySettings, status: int, attempts: int) -> bool:
    """Whether a call goes on after an answer.

    :param attempts: how many invocations were begun, this one included.
    """
    return status in policy.codes and attempts < policy.attempts


def wait_seconds(
    policy: RetrySettings,
    status: int,
    attempts: int,
    retry_after: bytes | None,
    now_seconds: float,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """How long to wait before the next attempt.

    Doubled with every attempt from ``min_wait`` up to ``max_wait``, of which the backoff takes
    all (``exponential``), the upper half (``equal``) or anything (``full``) at random; never under
    ``min_wait``. A ``Retry-After`` on 429 and 503 stands over that, never under ``min_wait``.

    :param attempts: how many invocations were begun so far; at least 1.
    :param now_seconds: Unix time, for a ``Retry-After`` that is a date.
    """
    asked = None
    if status in _ASKING_CODES and retry_after is not None:
        asked = _asked_seconds(retry_after, now_seconds)
    if asked is None:
        doubled = policy.min_wait_seconds * 2.0 ** min(attempts - 1, 60)
        low, high = _JITTER[policy.backoff]
        asked = min(doubled, policy.max_wait_seconds) * uniform(low, high)
    return max(asked, policy.min_wait_seconds)


def _asked_seconds(retry_after: bytes, now_seconds: float) -> float | None:
    """What ``Retry-After`` says: seconds or an HTTP date; ``None`` if it says neither."""
    text = retry_after.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_ASKED_SECONDS)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return min(max(until - now_seconds, 0.0), LONGEST_ASKED_SECONDS)
