"""Two providers, as if they were one."""

from __future__ import annotations

from urllib.parse import quote

from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.orders import Namespace
from faasd_async.gateway.system.provider import Provider
from faasd_async.gateway.system.shared.functions import SharedFunctions
from faasd_async.gateway.system.shared.logs import SharedLogs
from faasd_async.gateway.system.shared.secrets import SharedSecrets
from faasd_async.gateway.system.shared.theirs import Theirs


class SharedProvider(Provider):
    """See :class:`~..provider.Provider`."""

    def __init__(
        self,
        namespace: Namespace,
        functions: SharedFunctions,
        secrets: SharedSecrets,
        logs: SharedLogs,
        theirs: Theirs,
    ) -> None:
        super().__init__(namespace, functions, secrets, logs)
        self._theirs = theirs

    async def info(self) -> dict[str, object]:
        """The provider's, as OpenFaaS' gateway shows it; ours while it does not answer."""
        ours = await super().info()
        try:
            return {**ours, "provider": await self._theirs.told("info", dict[str, object])}
        except Refusal:
            return ours

    async def namespaces(self) -> list[str]:
        """
        :raises Refusal: nobody can tell.
        """
        try:
            theirs = await self._theirs.told("namespaces", list[str])
        except Refusal as refusal:
            if refusal.status not in (404, 501):
                raise
            theirs = []
        return list(dict.fromkeys([self.namespace.name, *theirs]))

    async def about_namespace(self, name: str) -> dict[str, object]:
        """
        :raises Refusal: there is no such namespace, or nobody can tell.
        """
        if self.namespace.is_meant(name):
            return await super().about_namespace(name)
        return await self._theirs.told(f"namespace/{quote(name, safe='')}", dict[str, object])

    async def order_namespace(self, method: str, name: str, body: bytes) -> None:
        """All but one are the provider's.

        :raises Refusal: it is not carried out.
        """
        await self._theirs.order(method, f"namespace/{quote(name, safe='')}", body)
