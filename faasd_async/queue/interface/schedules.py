"""The times at which functions are called by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred


@dataclass(frozen=True, slots=True)
class Tick:
    """A time at which a schedule came.

    :ivar schedule: which, as it was written then.
    :ivar at_ns: Unix nanoseconds.
    """

    schedule: str
    at_ns: int


class Schedules(Protocol):
    """What all daemons on one queue know of the schedules of functions; it outlasts them."""

    def last(self, function: str) -> Deferred[Tick | None]:
        """The last time that was seen to."""

    def note(self, function: str, tick: Tick) -> Deferred[None]:
        """A time was seen to."""

    def removed(self, function: str) -> Deferred[str]:
        """The schedule that an operator has removed; empty if none was."""

    def remove(self, function: str, schedule: str) -> Deferred[None]:
        """Have a schedule not count any more; an empty one has it count again."""
