"""Many waits of one length, on one timer.

As all of them are equally long, they end in the order in which they began: they are kept in it, and
the timer looks at the first.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Wait:
    """One wait; it ends once: by being over, or by its deadline.

    :ivar deadline: on the clock of its :class:`Deadlines`.
    """

    __slots__ = ("deadline",)

    deadline: float

    def expired(self) -> None:
        """Called when its deadline has come."""
        raise NotImplementedError


class Deadlines:
    """Waits of *seconds* each.

    :ivar seconds: its clock.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._length_seconds = seconds
        self.seconds = clock.seconds
        self._waits: dict[Wait, None] = {}
        self._timer: IDelayedCall | None = None

    def begin(self, wait: Wait, now_seconds: float) -> None:
        """Wait from now on."""
        wait.deadline = now_seconds + self._length_seconds
        self._waits[wait] = None
        if self._timer is None:
            self._timer = self._clock.callLater(self._length_seconds, self._look)

    def over(self, wait: Wait) -> bool:
        """What was waited for is there.

        :return: whether it came in time.
        """
        waits = self._waits
        if wait not in waits:
            return False
        del waits[wait]
        if not waits and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True

    def _look(self) -> None:
        self._timer = None
        now = self.seconds()
        late = []
        for wait in self._waits:
            if wait.deadline > now:
                break
            late.append(wait)
        for wait in late:
            if self.over(wait):
                wait.expired()
        if self._waits and self._timer is None:
            first = next(iter(self._waits))
            self._timer = self._clock.callLater(max(first.deadline - now, 0.0), self._look)
