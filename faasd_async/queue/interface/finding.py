"""Calls by their ids, wherever they are: in a stream, or in somebody's hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallName, Grip, Known


class Lookup(Protocol):
    """Finds calls by the ids that their callers know."""

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        """What is known of the call of an id; of the newest, where several share it.

        :param accept: which acceptance of it, if only that is meant.
        :return: ``None`` if there is no trace of one. Fails with
            :class:`~faasd_async.errors.QueueUnavailable`.
        """


class Hands(Protocol):
    """Whoever has calls in hand."""

    def grip(self, key: CallKey) -> Grip | None:
        """What is known of a call that is in hand; ``None`` if it is not."""

    def abort(self, key: CallKey) -> None:
        """Let go of a call, if it is in hand: it was cancelled, and its end is written."""


class Peers(Protocol):
    """The daemons on one queue, as far as they tell each other of calls in hand.

    :ivar hands: this daemon's own.
    """

    hands: Hands | None

    def ask(self, key: CallKey) -> Deferred[Grip | None]:
        """What whoever has a call in hand knows of it; ``None`` if nobody says so in time."""

    def abort(self, key: CallKey) -> None:
        """Have whoever has a call in hand let go of it; see :meth:`Hands.abort`."""

    def moved(self, key: CallKey) -> None:
        """Tell others that a call has begun here, or goes back to the queue."""

    def hear(
        self, name: CallName, ended: Callable[[], None], moved: Callable[[], None]
    ) -> Callable[[], None]:
        """Have *ended* called when a call may have ended at another daemon, and *moved* when it may
        have begun there or gone back: perhaps several times, perhaps for nothing.

        :return: stops that.
        """
