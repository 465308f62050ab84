"""A function that another provider runs: an upstream whose host may be away."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream
from faasd_async.settings import FunctionSettings

#: Has a function run, given its name.
Wake = Callable[[str], Deferred[None]]


class Provided(Upstream):
    """The :class:`~faasd_async.runtime.interface.Runtime` of a provider's function.

    :param wake: has it run if it has no replicas.
    """

    def __init__(self, reactor: IRuntimeReactor, settings: FunctionSettings, wake: Wake) -> None:
        assert settings.url is not None
        super().__init__(
            reactor,
            settings.name,
            settings.url,
            max_inflight=settings.max_inflight,
            connect_timeout_seconds=settings.connect_timeout_seconds,
        )
        self._name = settings.name
        self._sleeps = not settings.replicas
        self._wake = wake

    def start(self) -> Deferred[None]:
        starting = super().start()
        return starting.addCallback(lambda _: self._wake(self._name)) if self._sleeps else starting
