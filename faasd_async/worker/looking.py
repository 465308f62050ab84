"""Looks that are taken from time to time, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.errors import QueueError


class Looking:
    """Looks again and again; the next look is so long after the end of the last.

    :param what: what is looked for, as the log says it.
    :param look: looks once; a :class:`~faasd_async.errors.QueueError` leaves it to the next look.
    :param seconds: until the next look.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        what: str,
        look: Callable[[], Coroutine[Any, Any, None]],
        seconds: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._what = what
        self._look = look
        self._seconds = seconds
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None

    def start(self) -> None:
        self._timer = self._clock.callLater(self._seconds(), self._begin)

    def stop(self) -> None:
        """Look no more; a look that is under way is broken off."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _begin(self) -> None:
        self._looking = Deferred.fromCoroutine(self._look())
        self._looking.addErrback(self._failed)
        self._looking.addBoth(self._over)

    def _over(self, _: object) -> None:
        self._looking = None
        if self._timer is not None:
            self.start()

    def _failed(self, failure: Failure) -> None:
        if failure.check(QueueError):
            why = failure.value
            self._log.debug("{what} are looked for later: {why}", what=self._what, why=why)
        elif not failure.check(CancelledError):
            self._log.failure("{what} cannot be looked for", failure=failure, what=self._what)
