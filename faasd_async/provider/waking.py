"""A function of another provider that has no replicas: it is scaled to one before it is called."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from faasd_async.errors import StartError
from faasd_async.provider.errors import ProviderError
from faasd_async.provider.interface import Asks

#: How often it is looked whether it is there, and how often at most.
LOOK_SECONDS = 0.25
MOST_LOOKS = 240


class _Now(msgspec.Struct, rename="camel"):
    available_replicas: int = 0


class Waking:
    """Wakes functions."""

    def __init__(self, clock: IReactorTime, provider: Asks, namespace: str) -> None:
        self._clock = clock
        self._provider = provider
        self._namespace = namespace

    def wake(self, function: str) -> Deferred[None]:
        """
        :param function: its name here.
        :return: fires when it can be called; fails with a :class:`StartError`.
        """
        return Deferred.fromCoroutine(self._wake(function))

    async def _wake(self, function: str) -> None:
        name, _, namespace = function.partition(".")
        namespace = namespace or self._namespace
        order = {"serviceName": name, "namespace": namespace, "replicas": 1}
        where = [("namespace", namespace)]
        try:
            await self._provider.ask(
                "POST", f"scale-function/{name}", where, msgspec.json.encode(order)
            )
            for _ in range(MOST_LOOKS):
                answer = await self._provider.ask("GET", f"function/{name}", where)
                if msgspec.json.decode(answer, type=_Now).available_replicas > 0:
                    return
                await deferLater(self._clock, LOOK_SECONDS)
        except (ProviderError, msgspec.MsgspecError) as reason:
            raise StartError(f"it cannot be scaled from zero: {reason}") from None
        raise StartError(f"it is not there {MOST_LOOKS * LOOK_SECONDS:g} s after it was scaled up")
