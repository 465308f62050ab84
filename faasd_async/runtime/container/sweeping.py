"""The containers of functions that are not deployed any more are looked for once, at the start."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.backoff import Backoff
from faasd_async.runtime.container.errors import EngineError, NoEngine
from faasd_async.runtime.container.ours import Ours

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0


class Sweeping:
    """Sweeps, as soon as the engine can be reached. Where there is none, there is nothing to do.

    :param is_deployed: whether there is a function of a name.
    :param engine_is_there: whether somebody may listen where the engine would; asked before the
        engine is, which takes an HTTP client that nobody else may need.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        ours: Ours,
        is_deployed: Callable[[str], bool],
        engine_is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self._ours = ours
        self._is_deployed = is_deployed
        self._engine_is_there = engine_is_there
        self._under_way: Deferred[None] = succeed(None)

    def start(self) -> None:
        """Begin, once the functions are deployed; nobody needs to wait for it."""
        if not self._engine_is_there():
            return
        self._under_way = Deferred.fromCoroutine(self._sweep())
        self._under_way.addErrback(self._not_swept)

    def stop(self) -> Deferred[None]:
        self._under_way.cancel()
        return self._under_way

    async def _sweep(self) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            try:
                await self._ours.sweep(self._is_deployed)
                return
            except NoEngine:
                return
            except EngineError as reason:
                self._log.warn(
                    "containers that may have been left behind cannot be looked for now: {reason}",
                    reason=str(reason),
                )
            await deferLater(self._clock, backoff.next_seconds())

    def _not_swept(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self._log.failure("nobody looks for containers: this is a bug", reason)
