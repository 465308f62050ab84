"""The other provider, asked in the gateway's words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.gateway.system.orders import Namespace, carried_out, refusing
from faasd_async.provider.errors import ProviderAway, ProviderError
from faasd_async.provider.interface import Asks, Query, Receiver

Read = TypeVar("Read")


class Theirs:
    """Asks, and orders."""

    def __init__(self, provider: Asks, namespace: Namespace) -> None:
        self._provider = provider
        self._namespace = namespace

    def named(self, name: str, namespace: str | None) -> tuple[str, str]:
        """A function's name and namespace, which may stand in the name, too."""
        bare, _, appended = self._namespace.bare(name).partition(".")
        return bare, namespace or appended or self._namespace.name

    async def told(self, path: str, kind: type[Read], **query: str) -> Read:
        """
        :raises Refusal: it does not say.
        """
        with refusing():
            answer = await self._provider.ask("GET", path, list(query.items()))
            try:
                return msgspec.json.decode(answer, type=kind)
            except msgspec.MsgspecError as reason:
                raise ProviderAway(f"the provider's answer cannot be read: {reason}") from None

    async def follow(self, path: str, query: Query, receiver: Receiver) -> Deferred[None]:
        """As :meth:`~.interface.Asks.follow`.

        :raises Refusal: there is nothing to be told.
        """
        with refusing():
            return await self._provider.follow(path, query, receiver)

    async def order(
        self, method: str, path: str, body: bytes, then: Callable[[], Deferred[None]] | None = None
    ) -> None:
        """
        :param then: what has to be done before it counts.
        :raises Refusal: it is not carried out.
        """
        with refusing():
            await carried_out(self._order(method, path, body, then))

    async def _order(
        self, method: str, path: str, body: bytes, then: Callable[[], Deferred[None]] | None
    ) -> None:
        await self._provider.ask(method, path, (), body)
        if then is not None:
            # Whatever comes of that, the order is carried out.
            with suppress(ProviderError):
                await then()
