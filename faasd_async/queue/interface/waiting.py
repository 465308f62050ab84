"""Calls that wait: how many there are, and which are held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface.source import Source


class Pauses(Protocol):
    """The functions and queues whose calls are accepted and wait.

    All daemons on one queue agree on them, and they outlast the daemons.

    :ivar when_changed: called after a change, whoever has ordered it.
    """

    when_changed: Callable[[], None]

    def __contains__(self, source: Source) -> bool: ...

    def hold(self, function: str, queue: str) -> bool:
        """Whether a call of this function, accepted into this queue, has to wait."""

    def pause(self, source: Source) -> Deferred[None]:
        """Fires when it is durable, and known here; fails with a
        :class:`~faasd_async.errors.QueueError`."""

    def resume(self, source: Source) -> Deferred[None]:
        """As :meth:`pause`."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many calls of a source there are.

    :ivar waiting: never handed out yet.
    :ivar in_flight: handed out and not settled: they run, or wait for their next attempt.
    """

    waiting: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that lies in the queue.

    :ivar handed_out: it was, once at least.
    """

    request: QueueRequest
    handed_out: bool


class Backlog(Protocol):
    """The calls that have not ended."""

    def look_through(
        self, source: Source, after: int, limit: int
    ) -> Deferred[tuple[Sequence[Waiting], int]]:
        """Some of a source's calls, in the order in which they came; those aside that are put off,
        or cannot be read.

        :param after: 0, or where the look before this one ended.
        :param limit: how many at most; there are fewer where they are large.
        :return: and where this one ended; 0 if nothing lies behind it.
        """

    def depths(self, sources: Sequence[Source]) -> Deferred[Sequence[Depth]]:
        """How many there are of each."""

    def scheduled(self) -> Deferred[Mapping[tuple[str, str], int] | None]:
        """How many wait for their time, by queue and function; ``None`` if they are too many to
        be counted."""

    def oldest_ns(self, sources: Sequence[Source]) -> Deferred[Sequence[int | None]]:
        """When the oldest of each was stored, those aside that are put off; Unix nanoseconds."""

    def deserted(self, taken: Collection[Source]) -> Deferred[Sequence[Source]]:
        """The sources that have calls and that nobody takes from at this moment.

        :param taken: those that the one who asks takes from.
        """

    def holds(self, request: QueueRequest) -> Deferred[bool]:
        """Whether a call is still there: it may have been purged while it ran."""

    def remove(self, request: QueueRequest) -> Deferred[None]:
        """Remove one call, wherever it waits; it may be handed out."""

    def purge(self, source: Source) -> Deferred[int]:
        """Remove a source's calls, those included that are handed out.

        :return: how many.
        """
