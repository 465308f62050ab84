"""Functions over REST, as OpenFaaS has it: shown, deployed, changed, scaled and removed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.logger import Logger

from faasd_async.call.moments import rfc3339
from faasd_async.functions.roster import Entry, Roster
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.orders import Namespace, carried_out, decoded, refusing
from faasd_async.settings import FunctionSettings
from faasd_async.settings.openfaas.deployment import FunctionDeployment

Sheet = dict[str, object]

#: What a function's processes use: thousandths of a CPU, and bytes.
UsageOf = Callable[[str], tuple[float, int]]


class Removal(msgspec.Struct, rename="camel"):
    function_name: str
    namespace: str = ""


class Scaling(msgspec.Struct, rename="camel"):
    replicas: int
    service_name: str = ""
    namespace: str = ""


class Functions:
    """Fulfils the orders.

    :param counts: how often each function was invoked since the daemon was started.
    """

    _log = Logger()

    def __init__(
        self,
        roster: Roster,
        namespace: Namespace,
        *,
        counts: Callable[[], Mapping[str, int]],
        usage_of: UsageOf,
    ) -> None:
        self._roster = roster
        self._namespace = namespace
        self._counts = counts
        self._usage_of = usage_of

    def holds(self, name: str, namespace: str | None) -> bool:
        """Whether there is one of that name here."""
        return self._namespace.is_meant(namespace) and self._namespace.bare(name) in self._roster

    async def page(self, query: Query) -> list[Sheet]:
        """All of them.

        :raises Refusal: 404, of a namespace that there is not.
        """
        self._namespace.expect(query.text("namespace"))
        counts = self._counts()
        return [self._sheet(entry, counts) for entry in self._roster]

    async def show(self, name: str, query: Query) -> Sheet:
        """One of them.

        :raises Refusal: 404, it is not there.
        """
        bare = self._namespace.bare(name, query.text("namespace"))
        with refusing():
            sheet = self._sheet(self._roster.find(bare), self._counts())
        if query.flag("usage"):
            cpu_millicores, memory_bytes = self._usage_of(bare)
            sheet["usage"] = {"cpu": cpu_millicores, "totalMemoryBytes": memory_bytes}
        return sheet

    async def deploy(self, body: bytes, *, new: bool) -> None:
        """
        :param new: whether it may be new, or has to be there.
        :raises Refusal: 400, 403, 404, 409 or 507: it is not deployed.
        """
        deployment = decoded(body, FunctionDeployment)
        name = self._namespace.bare(deployment.service, deployment.namespace)
        with refusing():
            deployment = replace(deployment, service=name, namespace="")
            await carried_out(self._roster.put(deployment, new=new))
        self._log.info("an operator has deployed {function}", function=name)

    async def remove(self, body: bytes) -> None:
        """
        :raises Refusal: 400, 404, 409 or 507: it is not removed.
        """
        removal = decoded(body, Removal)
        name = self._namespace.bare(removal.function_name, removal.namespace)
        with refusing():
            await carried_out(self._roster.remove(name))
        self._log.info("an operator has removed {function}", function=name)

    async def scale(self, name: str, body: bytes) -> None:
        """
        :raises Refusal: 400, 404 or 507: it has as many replicas as before.
        """
        scaling = decoded(body, Scaling)
        bare = self._namespace.bare(name, scaling.namespace)
        said = scaling.service_name
        if said and self._namespace.bare(said) != bare:
            raise Refusal(400, f"serviceName: found {said[:80]!r}; allowed: {bare}")
        with refusing():
            await carried_out(self._roster.scale(bare, scaling.replicas))
        self._log.info(
            "an operator has scaled {function} to {replicas}",
            function=bare,
            replicas=scaling.replicas,
        )

    def _sheet(self, entry: Entry, counts: Mapping[str, int]) -> Sheet:
        if entry.record is not None:
            said: dict[str, Any] = msgspec.to_builtins(entry.record.deployment)
            del said["service"]
        else:
            said = {} if entry.settings is None else _of_file(entry.settings)
        return {
            "name": entry.name,
            "image": "",
            "namespace": self._namespace.name,
            "labels": {},
            "annotations": {},
            **{key: value for key, value in said.items() if value is not None},
            "invocationCount": counts.get(entry.name, 0),
            "replicas": entry.replicas,
            "availableReplicas": entry.available,
            "createdAt": rfc3339(entry.created_ns),
        }


def _of_file(settings: FunctionSettings) -> Sheet:
    """What of the file's function is shown: not its environment, which nobody meant to show."""
    said: Sheet = {"labels": dict(settings.labels), "annotations": dict(settings.annotations)}
    if settings.command is not None:
        said["envProcess"] = shlex.join(settings.command.words)
    if settings.secrets:
        said["secrets"] = list(settings.secrets)
    return said
