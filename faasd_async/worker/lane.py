"""A lane: one source's calls on their way to the worker."""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery, Queue, Source, Subscription
from faasd_async.worker.run import Run


class Lane:
    """Asks for as many calls as could run.

    :param take: is given what arrives.
    :param room: how many of the source's calls could begin to run at this moment.
    :ivar waiting: what has arrived and has no tokens yet.
    """

    def __init__(
        self,
        source: Source,
        take: Callable[[Delivery[QueueRequest], Lane], None],
        room: Callable[[Source], int],
    ) -> None:
        self.waiting: set[Run] = set()
        self._source = source
        self._take = take
        self._room = room
        self._subscription: Subscription | None = None

    def open(self, queue: Queue) -> None:
        """Ask for calls from now on."""
        self._subscription = queue.take_calls(
            self._source,
            lambda delivery: self._take(delivery, self),
            lambda: self._room(self._source) - len(self.waiting),
        )

    def top_up(self) -> None:
        """There may be more room than before."""
        if self._subscription is not None:
            self._subscription.top_up()

    def stop(self) -> None:
        """Ask for no more."""
        if self._subscription is not None:
            self._subscription.stop()
