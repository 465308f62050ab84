"""What OpenFaaS' clients ask of whoever runs functions, all in one."""

from __future__ import annotations

import platform
from typing import Protocol

from faasd_async import __version__
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.system.functions import Sheet
from faasd_async.gateway.system.orders import Namespace

#: This is no build of a commit that anybody could name.
_VERSION = {"sha": "", "release": __version__}


class FunctionOrders(Protocol):
    """As :class:`~.functions.Functions`."""

    async def page(self, query: Query) -> list[Sheet]: ...

    async def show(self, name: str, query: Query) -> Sheet: ...

    async def deploy(self, body: bytes, *, new: bool) -> None: ...

    async def remove(self, body: bytes) -> None: ...

    async def scale(self, name: str, body: bytes) -> None: ...


class SecretOrders(Protocol):
    """As :class:`~.secrets.Secrets`."""

    async def page(self, query: Query) -> list[dict[str, str]]: ...

    async def create(self, body: bytes) -> None: ...

    async def update(self, body: bytes) -> None: ...

    async def remove(self, body: bytes) -> None: ...


class ShowsLogs(Protocol):
    """As :class:`~.log_lines.LogLines`."""

    async def show(self, query: Query, request: GatewayRequest) -> None: ...


class Provider:
    """The parts, each of which fulfils some orders."""

    def __init__(
        self,
        namespace: Namespace,
        functions: FunctionOrders,
        secrets: SecretOrders,
        logs: ShowsLogs,
    ) -> None:
        self.namespace = namespace
        self.functions = functions
        self.secrets = secrets
        self.logs = logs

    async def info(self) -> dict[str, object]:
        """What this is."""
        return {
            "provider": {
                "provider": "faasd-async",
                "version": _VERSION,
                "orchestration": "processes",
            },
            "version": _VERSION,
            "arch": platform.machine(),
        }

    async def namespaces(self) -> list[str]:
        return [self.namespace.name]

    async def about_namespace(self, name: str) -> dict[str, object]:
        """
        :raises Refusal: 404, there is no such namespace.
        """
        self.namespace.expect(name)
        return {"name": self.namespace.name, "labels": {}, "annotations": {}}

    async def order_namespace(self, method: str, name: str, body: bytes) -> None:
        """
        :raises Refusal: 400, there is but one; or it is not carried out.
        """
        raise Refusal(
            400, f"without another provider there is one namespace, {self.namespace.name}"
        )
