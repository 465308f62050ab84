"""What OpenFaaS' clients ask of whoever runs functions, all in one."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from faasd_async import __version__
from faasd_async.gateway.system.functions import Functions
from faasd_async.gateway.system.log_lines import LogLines
from faasd_async.gateway.system.orders import Namespace
from faasd_async.gateway.system.secrets import Secrets

#: This is no build of a commit that anybody could name.
_VERSION = {"sha": "", "release": __version__}


@dataclass(frozen=True)
class Provider:
    """The parts, each of which fulfils some orders."""

    namespace: Namespace
    functions: Functions
    secrets: Secrets
    logs: LogLines

    def info(self) -> dict[str, object]:
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

    def about_namespace(self, name: str) -> dict[str, object]:
        """
        :raises Refusal: 404, there is no such namespace.
        """
        self.namespace.expect(name)
        return {"name": self.namespace.name, "labels": {}, "annotations": {}}
