"""Growing waits between tries that fail."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from a first one up to a longest one.

    Each is drawn from the upper half of what it may be, so that many who wait do not come back in
    one wave.

    :param draw: a random number from 0 to 1.
    """

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._draw = draw
        self._next_seconds = min(first_seconds, longest_seconds)

    def next_seconds(self) -> float:
        """How long to wait now; the next wait is twice as long."""
        wait = self._next_seconds
        self._next_seconds = min(2 * wait, self._longest_seconds)
        return wait * (1 + self._draw()) / 2

    def steady(self) -> None:
        """What was tried works: begin anew."""
        self._next_seconds = min(self._first_seconds, self._longest_seconds)
