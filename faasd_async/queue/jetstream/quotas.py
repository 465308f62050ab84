"""How the room on a disk is shared out: a calculation, with no disk and no broker in it.

What the operator wants may be more than there is. What can be lost without breaking a promise
shrinks first: results and dead letters. What was promised shrinks after that, and a quota never
goes below what lies there already; a stream that is over its quota refuses, it drops nothing. Only
if even that does not fit do results and dead letters give way altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

#: How much of the room is shared out; the rest is for what a store needs besides its messages.
SHARE = 0.75

#: What results and dead letters each keep of the room while anything else can still shrink.
_KEPT_SHARE = 1 / 16

#: A stream can do with no less.
LEAST_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bytes for each stream: its quota, or what lies in it.

    :ivar calls: calls that wait or run.
    :ivar later: calls that wait for their time.
    :ivar callbacks: callbacks that wait.
    :ivar outcomes: terminal records and results, the oldest of which go first.
    :ivar dead: dead letters, likewise.
    """

    calls: int = 0
    later: int = 0
    callbacks: int = 0
    outcomes: int = 0
    dead: int = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(self._each)

    @property
    def promised(self) -> tuple[int, ...]:
        """Of what must not be dropped."""
        return self._each[:3]

    @property
    def droppable(self) -> tuple[int, ...]:
        """Of what may be dropped, the oldest first."""
        return self._each[3:]

    @property
    def _each(self) -> tuple[int, ...]:
        return astuple(self)


def fit(wanted: Quotas, stored: Quotas, free_bytes: int, spared_bytes: int) -> Quotas:
    """Quotas that the disk has room for, none over what is wanted.

    :param stored: what lies in the streams now.
    :param free_bytes: what is left of the file system.
    :param spared_bytes: what is to stay free in any case.
    """
    room = max(round((free_bytes + stored.total - spared_bytes) * SHARE), 0)
    if wanted.total <= room:
        return wanted
    lying = tuple(map(min, wanted.promised, map(_at_least, stored.promised)))
    kept = tuple(
        min(each, max(round(room * _KEPT_SHARE), LEAST_BYTES)) for each in wanted.droppable
    )
    droppable = _shrink(wanted.droppable, kept, room - sum(wanted.promised))
    promised = _shrink(wanted.promised, lying, room - sum(droppable))
    least = tuple(min(each, LEAST_BYTES) for each in wanted.droppable)
    droppable = _shrink(droppable, least, room - sum(promised))
    return Quotas(*promised, *droppable)


def _at_least(stored_bytes: int) -> int:
    return max(stored_bytes, LEAST_BYTES)


def _shrink(wanted: Sequence[int], least: Sequence[int], room: int) -> tuple[int, ...]:
    """Make all smaller by the same factor, until they fit or are at their least."""
    shrinking = set(range(len(wanted)))
    factor = 1.0
    while shrinking:
        pinned = sum(size for at, size in enumerate(least) if at not in shrinking)
        factor = min(max(room - pinned, 0) / max(sum(wanted[at] for at in shrinking), 1), 1.0)
        at_least = {at for at in shrinking if wanted[at] * factor < least[at]}
        if not at_least:
            break
        shrinking -= at_least
    return tuple(
        int(size * factor) if at in shrinking else least[at] for at, size in enumerate(wanted)
    )
