"""When a callback is tried again. A pure calculation.

The wait after the first failed try is ``min_wait``; it grows threefold with each further one, up
to ``max_wait``, and is up to a fifth longer or shorter at random. With the defaults that is 5 s,
15 s, 45 s … 3 h: twelve tries in eleven to sixteen hours.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from faasd_async.call.retry_after import LONGEST_ASKED_SECONDS, asked_seconds

_GROWTH = 3.0
_JITTER = 0.2


@dataclass(frozen=True)
class Schedule:
    """How often a callback is tried, and how far apart.

    :ivar attempts: tries in all.
    """

    attempts: int
    min_wait_seconds: float
    max_wait_seconds: float

    def wait_seconds(
        self,
        tries: int,
        status: int,
        retry_after: bytes | None,
        now_seconds: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float:
        """How long to wait after a failed try.

        A ``Retry-After`` on 429 and 503 stands over the schedule, but not under ``min_wait``.

        :param tries: how many there were; at least 1.
        :param status: the answer's; 0 if there was none.
        :param now_seconds: Unix time, for a ``Retry-After`` that is a date.
        """
        asked = asked_seconds(status, retry_after, now_seconds)
        if asked is not None:
            return max(asked, self.min_wait_seconds)
        return self._nominal(tries) * uniform(1 - _JITTER, 1 + _JITTER)

    @cached_property
    def longest_seconds(self) -> float:
        """How long all tries may take together, their answers and what they ask for aside."""
        return (1 + _JITTER) * sum(map(self._nominal, range(1, self.attempts)))

    @property
    def longest_wait_seconds(self) -> float:
        """The longest wait there can be between two tries."""
        return max((1 + _JITTER) * self.max_wait_seconds, LONGEST_ASKED_SECONDS)

    def is_used_up(self, tries: int, tended_seconds: float) -> bool:
        """Whether a failed try was the last one.

        The time counts only where it tells that the tries were not counted: what was noted of
        them can be lost.

        :param tended_seconds: for how long there was somebody who could have tried.
        """
        return tries >= self.attempts or tended_seconds > 2 * (
            self.longest_seconds + LONGEST_ASKED_SECONDS
        )

    def _nominal(self, tries: int) -> float:
        return min(self.min_wait_seconds * _GROWTH ** min(tries - 1, 60), self.max_wait_seconds)
