"""Deadlines by the thousand on one clock, for those that are nearly all cancelled.

A ``callLater`` for each call costs more than a small call does. Here alarms are gathered by the
:data:`TURN_SECONDS` in which they are due, and the clock is asked to wake the wheel for the
earliest of them alone. Setting and cancelling an alarm is an entry in a dictionary; an alarm rings
with its turn: never early, and late by less than a turn.

While no alarm is set, the clock holds nothing of the wheel.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, floor, inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: A power of two, so that whole and half seconds are whole turns, and rounding has no part in it.
TURN_SECONDS = 1 / 32


class Wheel:
    """The alarms of one clock."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._seconds = clock.seconds
        self._turns: dict[float, dict[Alarm, None]] = {}
        self._order: list[float] = []
        self._set = 0
        self._timer: IDelayedCall | None = None
        self._next = inf

    def __len__(self) -> int:
        return self._set

    def after(self, seconds: float, call: Callable[[], object]) -> Alarm:
        """Have *call* called once *seconds* have passed."""
        turn = ceil((self._seconds() + seconds) / TURN_SECONDS)
        alarms = self._turns.get(turn)
        if alarms is None:
            alarms = self._turns[turn] = {}
            heappush(self._order, turn)
            if turn < self._next:
                self._wait_for(turn)
        self._set += 1
        return Alarm(self, alarms, call)

    def _wait_for(self, turn: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = turn
        seconds = max(0.0, turn * TURN_SECONDS - self._seconds())
        self._timer = self._clock.callLater(seconds, self._ring)

    def _ring(self) -> None:
        # The clock may wake us a hair early: what it was asked for is due.
        now = max(self._next, floor(self._seconds() / TURN_SECONDS))
        self._timer, self._next = None, inf
        while self._order and (self._order[0] <= now or not self._turns[self._order[0]]):
            alarms = self._turns.pop(heappop(self._order))
            while alarms:
                self._ring_one(next(iter(alarms)))
        if self._order and self._order[0] < self._next:
            self._wait_for(self._order[0])

    def _ring_one(self, alarm: Alarm) -> None:
        call = alarm.call
        alarm.cancel()
        try:
            call()
        except Exception:
            self._log.failure("what an alarm called has failed")

    def _one_less(self) -> None:
        self._set -= 1
        if not self._set:
            self._turns.clear()
            self._order.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer, self._next = None, inf


class Alarm:
    """One call that is to come.

    :ivar call: what is called.
    """

    __slots__ = ("_turn", "_wheel", "call")

    def __init__(self, wheel: Wheel, turn: dict[Alarm, None], call: Callable[[], object]) -> None:
        self.call = call
        self._wheel = wheel
        self._turn = turn
        turn[self] = None

    def cancel(self) -> None:
        """Do not ring. It may have rung already, or be cancelled; then this does nothing."""
        if self in self._turn:
            del self._turn[self]
            self.call = _nothing  # who is to be called mostly knows the alarm
            self._wheel._one_less()


def _nothing() -> None:
    """There is nobody to call any more."""
