"""Asking for deliveries at the end of a turn of the reactor, all consumers together.

What comes back in one turn is asked for with one request by each of them. A daemon of hundreds of
functions has as many consumers, and whenever its last free token comes back all of them may ask: a
timer for each would cost more than the asking.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger


class Asks(Protocol):
    """Who asks; one that can be found in a dictionary."""

    def ask(self) -> None:
        """Ask for what there is room for now."""


class Round:
    """Those who ask at the end of this turn."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._members: dict[Asks, None] = {}
        self._end: IDelayedCall | None = None

    def join(self, member: Asks) -> None:
        """Have somebody ask, once."""
        self._members[member] = None
        if self._end is None:
            self._end = self._clock.callLater(0, self._go_round)

    def leave(self, member: Asks) -> None:
        """Have them not ask after all."""
        if self._members.pop(member, self) is None and not self._members and self._end is not None:
            self._end.cancel()
            self._end = None

    def _go_round(self) -> None:
        self._end = None
        members, self._members = self._members, {}
        for member in members:
            try:
                member.ask()
            except Exception:
                self._log.failure("a consumer could not ask for deliveries: this is a bug")
