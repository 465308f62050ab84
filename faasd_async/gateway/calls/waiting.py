"""Those who wait for the end of a call: no thread, no asking again and again.

The worker tells of every call that it has brought to its end; what other daemons do is heard of by
way of the queue. With nobody waiting for it, that costs a look into a map. To be told means no more
than that it is worth looking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallName
from faasd_async.gateway.refusal import RETRY_LATER, Refusal

#: How many may wait at a time.
MOST_WAITERS = 1000

Hear = Callable[[CallName, Callable[[], None], Callable[[], None]], Callable[[], None]]

Result = TypeVar("Result")


class Waiter:
    """One who waits.

    :ivar every_step: not for the end alone.
    :ivar is_over: there is no sense in waiting any longer.
    """

    def __init__(
        self, clock: IReactorTime, leave: Callable[[Waiter], None], every_step: bool
    ) -> None:
        self.every_step = every_step
        self.is_over = False
        self._clock = clock
        self._leave = leave
        self._rung = False
        self._when_rung: Deferred[bool] | None = None

    def ring(self) -> None:
        """It is worth looking."""
        self._rung = True
        when_rung, self._when_rung = self._when_rung, None
        if when_rung is not None:
            when_rung.callback(True)

    def when_rung(self, seconds: float) -> Deferred[bool]:
        """Fires when it is worth looking, or, with ``False``, when the time is over."""
        if self._rung:
            self._rung = False
            return succeed(True)
        self._when_rung = Deferred()
        return self._when_rung.addTimeout(seconds, self._clock, _in_peace).addBoth(self._listened)

    def _listened(self, result: Result) -> Result:
        self._rung, self._when_rung = False, None
        return result

    def leave(self) -> None:
        """Wait no more."""
        self._leave(self)


class _Line:
    """All who wait for one call."""

    def __init__(self) -> None:
        self.waiters: set[Waiter] = set()
        self.stop_hearing: Callable[[], None] = lambda: None


class Waiting:
    """Everybody who waits.

    :param hear: has something called when a call may have ended elsewhere, and something else when
        it may have moved; see :class:`~faasd_async.queue.interface.Peers`.
    """

    def __init__(self, clock: IReactorTime, hear: Hear, most: int = MOST_WAITERS) -> None:
        self._clock = clock
        self._hear = hear
        self._most = most
        self._lines: dict[CallKey, _Line] = {}
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def ended(self, key: CallKey) -> None:
        """The end of a call is written down, or may be."""
        line = self._lines.get(key)
        if line is not None:
            for waiter in tuple(line.waiters):
                waiter.ring()

    def moved(self, key: CallKey) -> None:
        """A call is under way, or back in the queue."""
        line = self._lines.get(key)
        if line is not None:
            for waiter in tuple(line.waiters):
                if waiter.every_step:
                    waiter.ring()

    def join(self, name: CallName, *, every_step: bool = False) -> Waiter:
        """Wait for a call, until :meth:`Waiter.leave`.

        :param every_step: for whatever happens to it, not for its end alone.
        :raises Refusal: 503, too many do.
        """
        if self._count >= self._most:
            raise Refusal(503, f"{self._most} clients wait for calls already", RETRY_LATER)
        key = name.key
        waiter = Waiter(self._clock, lambda waiter: self._left(key, waiter), every_step)
        waiter.is_over = self._closed
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
            line.stop_hearing = self._hear(name, lambda: self.ended(key), lambda: self.moved(key))
        line.waiters.add(waiter)
        self._count += 1
        return waiter

    def _left(self, key: CallKey, waiter: Waiter) -> None:
        line = self._lines[key]
        line.waiters.remove(waiter)
        self._count -= 1
        if not line.waiters:
            del self._lines[key]
            line.stop_hearing()

    def close(self) -> None:
        """Let everybody go: the daemon stops, and whoever comes back will find the next one."""
        self._closed = True
        self.let_go()

    def let_go(self) -> None:
        """Let everybody go, to come back: some of the calls are gone, and nobody knows which."""
        for line in list(self._lines.values()):
            for waiter in tuple(line.waiters):
                waiter.is_over = True
                waiter.ring()


def _in_peace(result: object, seconds: float) -> bool:
    """The time is over, which is no error."""
    return False
