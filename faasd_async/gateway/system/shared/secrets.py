"""Secrets: each is written to both, so that a function finds it wherever it runs."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.orders import Namespace, decoded
from faasd_async.gateway.system.secrets import Secret, Secrets
from faasd_async.gateway.system.shared.theirs import Theirs


class SharedSecrets:
    """See :class:`~.provider.SecretOrders`."""

    def __init__(self, own: Secrets, theirs: Theirs, namespace: Namespace) -> None:
        self._own = own
        self._theirs = theirs
        self._namespace = namespace

    async def page(self, query: Query) -> list[dict[str, str]]:
        """
        :raises Refusal: nobody can tell.
        """
        asked = query.text("namespace")
        ours = await self._own.page(query) if self._namespace.is_meant(asked) else []
        names = {each["name"] for each in ours}
        namespace = asked or self._namespace.name
        theirs = await self._theirs.told("secrets", list[Secret], namespace=namespace)
        return ours + [
            {"name": each.name, "namespace": each.namespace or namespace}
            for each in theirs
            if each.name not in names
        ]

    async def create(self, body: bytes) -> None:
        """
        :raises Refusal: it is not kept; the provider's, that it is there already, among them.
        """
        secret = self._checked(body)
        await self._theirs.order("POST", "secrets", body)
        await self._write_own(secret, body)

    async def update(self, body: bytes) -> None:
        """
        :raises Refusal: it is what it was.
        """
        secret = self._checked(body)
        here = self._is_here(secret)
        await _unless(404, here, self._theirs.order("PUT", "secrets", body))
        await self._write_own(secret, body)

    def _checked(self, body: bytes) -> Secret:
        """What we would refuse is refused before the provider has it."""
        secret = decoded(body, Secret)
        if self._namespace.is_meant(secret.namespace):
            self._own.check(body)
        return secret

    async def _write_own(self, secret: Secret, body: bytes) -> None:
        if not self._namespace.is_meant(secret.namespace):
            return
        await (self._own.update(body) if self._own.holds(secret.name) else self._own.create(body))

    async def remove(self, body: bytes) -> None:
        """
        :raises Refusal: it is still there.
        """
        secret = decoded(body, Secret)
        here = self._is_here(secret)
        if here:
            await self._own.remove(body)
        await _unless(404, here, self._theirs.order("DELETE", "secrets", body))

    def _is_here(self, secret: Secret) -> bool:
        return self._namespace.is_meant(secret.namespace) and self._own.holds(secret.name)


async def _unless(
    status: int, may_be_ignored: bool, order: Coroutine[Deferred[Any], Any, None]
) -> None:
    try:
        await order
    except Refusal as refusal:
        if not may_be_ignored or refusal.status != status:
            raise
