"""What has failed for good, and is kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.ending import DeadCallback, DeadLetter, Kind, Letter


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: those that agree with everything that is given."""

    call_id: str | None = None
    accept: str | None = None
    function: str | None = None
    kind: Kind | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """A dead letter and its place; the younger ones have the higher places."""

    place: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the dead letters, oldest first.

    :ivar next: behind which place the following page begins; ``None`` if this is the last.
    """

    letters: Sequence[Filed]
    next: int | None


class DeadLetters(Protocol):
    """The calls that did not succeed and the callbacks that could not be delivered, whole."""

    def put(self, letter: DeadLetter) -> Deferred[None]:
        """Keep a call; a later letter of the same call stands over an earlier one."""

    def put_callback(self, letter: DeadCallback) -> Deferred[None]:
        """Keep a callback; likewise."""

    def look_through(self, selection: Selection, after: int, limit: int) -> Deferred[Page]:
        """A page of them. One that cannot be read is there too, as a
        :class:`~faasd_async.call.ending.SealedLetter`.

        :param after: the last place seen before; 0 for the first page.
        :param limit: how many at most; there are fewer where they are large.
        """

    def newest(self) -> Deferred[int]:
        """A place that only letters still to be put lie behind."""

    def remove(self, place: int) -> Deferred[bool]:
        """Forget the letter at a place, and no younger one of the same call.

        :return: whether it was there.
        """

    def purge(self, selection: Selection) -> Deferred[int]:
        """Forget all that are meant; :return: how many."""
