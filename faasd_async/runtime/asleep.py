"""A function without replicas: nothing of it is up until it is called."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from faasd_async.errors import FaasdAsyncError, NotHandedOver
from faasd_async.runtime.interface import Invocation, Reply, Runtime


class Asleep:
    """The :class:`~faasd_async.runtime.interface.Runtime` before the first invocation, which wakes
    another one and has itself run there.

    :param function: its name.
    :param runtime: what is woken; not started yet.
    :param woken: called once it is started: nothing comes here any more from then on.
    """

    def __init__(self, function: str, runtime: Runtime, woken: Callable[[], None]) -> None:
        self._function = function
        self._runtime = runtime
        self._woken = woken
        self._waiting: list[Deferred[None]] = []
        self._is_waking = False

    def start(self) -> Deferred[None]:
        """It sleeps on."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return self._runtime.stop()

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._invoke(invocation, timeout_seconds))

    def when_over(self) -> Deferred[None] | None:
        return self._runtime.when_over()

    async def _invoke(self, invocation: Invocation, timeout_seconds: float) -> Reply:
        awake: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(awake)
        if not self._is_waking:
            self._is_waking = True
            self._runtime.start().addCallbacks(self._started, self._not_started)
        await awake
        return await self._runtime.invoke(invocation, timeout_seconds)

    def _started(self, _: None) -> None:
        self._woken()
        for each in self._take_waiting():
            each.callback(None)

    def _not_started(self, failure: Failure) -> None:
        self._is_waking = False
        reason = failure.value
        if isinstance(reason, FaasdAsyncError):
            reason = NotHandedOver(f"{self._function} cannot be started: {reason}")
        for each in self._take_waiting():
            each.errback(Failure(reason))

    def _take_waiting(self) -> list[Deferred[None]]:
        waiting = self._waiting.copy()
        self._waiting.clear()
        return waiting
