"""A lane: one source's calls on their way to the worker."""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery, Queue, Source, Subscription
from faasd_async.worker.run import Run

#: How many calls may stand aside. One more, and the lane stands still until they go on.
MOST_ASIDE = 5_000


class Lane:
    """Asks for as many calls as could run.

    :param take: is given what arrives.
    :param room: how many of the source's calls could begin to run at this moment.
    :ivar waiting: what has arrived and has no tokens yet.
    :ivar aside: what has arrived and is paused, though the lane is not.
    """

    def __init__(
        self,
        source: Source,
        take: Callable[[Delivery[QueueRequest], Lane], None],
        room: Callable[[Source], int],
    ) -> None:
        self.source = source
        self.waiting: set[Run] = set()
        self.aside: dict[CallKey, Delivery[QueueRequest]] = {}
        self._take = take
        self._room = room
        self._subscription: Subscription | None = None

    def open(self, queue: Queue) -> None:
        """Ask for calls from now on."""
        self._subscription = queue.take_calls(
            self.source, lambda delivery: self._take(delivery, self), self._free
        )

    def _free(self) -> int:
        if len(self.aside) >= MOST_ASIDE:
            return 0
        return self._room(self.source) - len(self.waiting)

    def top_up(self) -> None:
        """There may be more room than before."""
        if self._subscription is not None:
            self._subscription.top_up()

    def narrow(self) -> None:
        """There is less room than before: ask for no more than what fits now."""
        if self._subscription is not None:
            self._subscription.withdraw()
            self._subscription.top_up()

    def stop(self) -> None:
        """Ask for no more."""
        if self._subscription is not None:
            self._subscription.stop()
