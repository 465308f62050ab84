"""Calls in a list: what can be told of each without reading its body."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.ending import State
from faasd_async.call.known import CallName, Place

#: Where a listed call is: in the queue, put off, or over.
Where = Place | Literal["ended"]
EVERYWHERE: tuple[Where, ...] = ("queue", "later", "ended")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls are meant: those that agree with everything that is given.

    :ivar where: at least one of the three.
    :ivar states: of those that have ended; ``None``: any.
    """

    call_id: str | None = None
    function: str | None = None
    where: Collection[Where] = EVERYWHERE
    states: Collection[State] | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a listed call ended, in a few words.

    :ivar seconds: how long the last attempt took.
    :ivar attempts: how many there were.
    """

    state: State
    status: int
    seconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One call of a list.

    :ivar accepted_ns: Unix nanoseconds; 0 if nobody remembers.
    :ivar changed_ns: when it came to where it is, Unix nanoseconds.
    :ivar attempts: how many were made and noted.
    :ivar end: ``None`` if it has not ended.
    """

    name: CallName
    queue: str
    accepted_ns: int
    changed_ns: int
    where: Where
    attempts: int
    end: End | None = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some of the calls, newest first.

    :ivar next: what the following page begins behind; ``None`` if this is the last.
    """

    calls: Sequence[Listed]
    next: str | None


class BadPlace(ValueError):
    """Where a page was to begin is no place in this list."""


class Listing(Protocol):
    """All calls there are, waiting and ended, the one that changed last first."""

    def page(self, wanted: Wanted, after: str | None, limit: int) -> Deferred[CallPage]:
        """A page of them. It may hold fewer than asked for, even none, and yet not be the last:
        there is a bound to what is looked at for one page.

        :param after: as the page before said; ``None`` for the first.
        :return: fails with a :class:`~faasd_async.errors.QueueError`, or :class:`BadPlace`.
        """
