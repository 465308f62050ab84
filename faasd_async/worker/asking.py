"""Asking the queue until it does something, however long it takes to be able to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.errors import QueueError

#: Between two tries of something that the queue could not do just now.
AGAIN_SECONDS = 1.0

#: Between two lines of the log about the same reason; and about how many it is known when they were
#: last told.
_TOLD_AGAIN_SECONDS = 10.0
_MOST_REASONS = 100

T = TypeVar("T")


class Asking:
    """Asks again and again.

    A broker that is away is away for every call in hand. So each reason is told once for all of
    them, and again from time to time.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._told_seconds: dict[str, float] = {}

    async def insist(
        self,
        action: Callable[[], Awaitable[T]],
        but: tuple[type[QueueError], ...] = (),
        failed: QueueError | None = None,
    ) -> T:
        """Have the queue do something.

        :param but: the refusals that are taken for an answer, and raised.
        :param failed: why it could not do it when it was asked just now.
        """
        while True:
            if failed is not None:
                self._tell(str(failed))
                await deferLater(self._clock, AGAIN_SECONDS)
            try:
                return await action()
            except QueueError as reason:
                if isinstance(reason, but):
                    raise
                failed = reason

    def _tell(self, reason: str) -> None:
        now_seconds = self._clock.seconds()
        told_seconds = self._told_seconds.get(reason)
        if told_seconds is not None and now_seconds - told_seconds < _TOLD_AGAIN_SECONDS:
            return
        if len(self._told_seconds) >= _MOST_REASONS:
            self._told_seconds.clear()
        self._told_seconds[reason] = now_seconds
        self._log.warn("the queue has to be asked again: {reason}", reason=reason)
