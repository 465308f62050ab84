"""The retry policy: which answers are tried again, how often, and after what wait.

A pure calculation: nothing here knows a clock, a queue or a call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from faasd_async.call.retry_after import asked_seconds
from faasd_async.settings import RetrySettings

_JITTER: Mapping[str, tuple[float, float]] = {
    "exponential": (1.0, 1.0),
    "equal": (0.5, 1.0),
    "full": (0.0, 1.0),
}


def most_attempts(policy: RetrySettings, asked: int) -> int:
    """How often a call is tried.

    :param asked: how often at most, as its caller has it; 0: its caller says nothing of it.
    """
    return min(policy.attempts, asked) if asked else policy.attempts


def wants_retry(policy: RetrySettings, status: int, attempts: int, asked: int = 0) -> bool:
    """Whether a call goes on after an answer.

    :param attempts: how many invocations were begun, this one included.
    :param asked: as for :func:`most_attempts`.
    """
    return status in policy.codes and attempts < most_attempts(policy, asked)


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
    asked = asked_seconds(status, retry_after, now_seconds)
    if asked is None:
        doubled = policy.min_wait_seconds * 2.0 ** min(attempts - 1, 60)
        low, high = _JITTER[policy.backoff]
        asked = min(doubled, policy.max_wait_seconds) * uniform(low, high)
    return max(asked, policy.min_wait_seconds)
