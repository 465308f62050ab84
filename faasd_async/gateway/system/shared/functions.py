"""Functions: a deployment is ours if it takes the place of one of ours, or says by annotation what
runs here; every other is the provider's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import quote

import msgspec
from twisted.logger import Logger

from faasd_async.gateway.query import Query
from faasd_async.gateway.system.functions import Functions, Removal, Scaling, Sheet
from faasd_async.gateway.system.orders import Namespace, decoded
from faasd_async.gateway.system.shared.theirs import Theirs
from faasd_async.provider.catalogue import Catalogue
from faasd_async.provider.errors import ProviderError
from faasd_async.provider.listed import name_here
from faasd_async.settings.openfaas.table import COMMAND, URL


class _Deployment(msgspec.Struct):
    """Of a deployment, what tells whose it is."""

    service: str
    namespace: str = ""
    annotations: dict[str, str] | None = None


class SharedFunctions:
    """See :class:`~.provider.FunctionOrders`."""

    _log = Logger()

    def __init__(
        self,
        own: Functions,
        theirs: Theirs,
        catalogue: Catalogue,
        namespace: Namespace,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._own = own
        self._theirs = theirs
        self._catalogue = catalogue
        self._namespace = namespace
        self._counts = counts

    async def page(self, query: Query) -> list[Sheet]:
        """All of them; of the provider's what is known, if it does not answer.

        :raises Refusal: 404, of a namespace that there is not.
        """
        asked = query.text("namespace")
        # That it does not answer has been logged.
        with suppress(ProviderError):
            await self._catalogue.when_about_fresh()
        is_theirs = asked in self._catalogue.sheets and not self._namespace.is_meant(asked)
        ours = [] if is_theirs else await self._own.page(query)
        namespace = asked or self._namespace.name
        names = {sheet["name"] for sheet in ours}
        theirs = self._catalogue.sheets.get(namespace, ())
        counts = self._counts()
        return ours + [
            _counted(each, namespace, self._namespace.name, counts)
            for each in theirs
            if each.get("name") not in names
        ]

    async def show(self, name: str, query: Query) -> Sheet:
        """
        :raises Refusal: it is not there, or nobody can tell.
        """
        asked = query.text("namespace")
        if self._own.holds(name, asked):
            return await self._own.show(name, query)
        bare, namespace = self._theirs.named(name, asked)
        usage = {"usage": "1"} if query.flag("usage") else {}
        path = f"function/{quote(bare, safe='')}"
        sheet = await self._theirs.told(path, Sheet, namespace=namespace, **usage)
        return _counted(sheet, namespace, self._namespace.name, self._counts())

    async def deploy(self, body: bytes, *, new: bool) -> None:
        """
        :raises Refusal: it is not deployed.
        """
        deployment = decoded(body, _Deployment)
        ours = {COMMAND, URL} & (deployment.annotations or {}).keys()
        if ours or self._own.holds(deployment.service, deployment.namespace):
            await self._own.deploy(body, new=new)
            return
        await self._order("POST" if new else "PUT", "functions", body)
        self._log.info(
            "an operator has had {function} deployed by the provider", function=deployment.service
        )

    async def remove(self, body: bytes) -> None:
        """
        :raises Refusal: it is not removed.
        """
        removal = decoded(body, Removal)
        if self._own.holds(removal.function_name, removal.namespace):
            await self._own.remove(body)
            return
        await self._order("DELETE", "functions", body)
        self._log.info(
            "an operator has had {function} removed by the provider",
            function=removal.function_name,
        )

    async def scale(self, name: str, body: bytes) -> None:
        """
        :raises Refusal: it has as many replicas as before.
        """
        scaling = decoded(body, Scaling)
        if self._own.holds(name, scaling.namespace):
            await self._own.scale(name, body)
            return
        bare, namespace = self._theirs.named(name, scaling.namespace)
        order = {"serviceName": bare, "namespace": namespace, "replicas": scaling.replicas}
        path = f"scale-function/{quote(bare, safe='')}"
        await self._order("POST", path, msgspec.json.encode(order))

    async def _order(self, method: str, path: str, body: bytes) -> None:
        await self._theirs.order(method, path, body, self._catalogue.when_fresh)


def _counted(sheet: Sheet, namespace: str, own_namespace: str, counts: Mapping[str, int]) -> Sheet:
    """With the calls that went through us."""
    here = name_here(str(sheet.get("name")), namespace, own_namespace)
    count = counts.get(here, 0)
    return {**sheet, "invocationCount": count} if count or "invocationCount" not in sheet else sheet
