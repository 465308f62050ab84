"""Many waits of one length, on one timer.

As all of them are equally long, they end in the order in which they began: a queue holds them, and
the timer looks at its head. A wait that is over before its time stays there, empty, until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Wait:
    """One wait; it ends once: by being over, or by its deadline."""

    __slots__ = ("_deadlines", "_expired", "deadline")

    def __init__(self, deadlines: Deadlines, deadline: float, expired: Callable[[], None]) -> None:
        self.deadline = deadline
        self._deadlines = deadlines
        self._expired: Callable[[], None] | None = expired

    def over(self) -> bool:
        """What was waited for is there.

        :return: whether it came in time.
        """
        if self._expired is None:
            return False
        self._expired = None
        self._deadlines.one_over()
        return True

    def expire(self) -> None:
        """Its deadline has come."""
        expired = self._expired
        if self.over() and expired is not None:
            expired()


class Deadlines:
    """Waits of *seconds* each."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._waits: deque[Wait] = deque()
        self._open = 0
        self._timer: IDelayedCall | None = None

    def begin(self, expired: Callable[[], None]) -> Wait:
        """Wait from now on; *expired* is called if it is not over in time."""
        wait = Wait(self, self._clock.seconds() + self._seconds, expired)
        self._waits.append(wait)
        self._open += 1
        if self._timer is None:
            self._timer = self._clock.callLater(self._seconds, self._look)
        return wait

    def one_over(self) -> None:
        """One wait is over."""
        self._open -= 1
        if not self._open and self._timer is not None:
            self._waits.clear()
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        waits = self._waits
        while waits and waits[0].deadline <= now:
            waits.popleft().expire()
        if waits and self._timer is None:
            self._timer = self._clock.callLater(waits[0].deadline - now, self._look)
