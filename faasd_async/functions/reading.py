"""From an OpenFaaS deployment to a function's settings.

It goes the way of the file's own functions: what a deployment says becomes a table as it would
stand there, and the same code reads it. of-watchdog's variables say of a command what keys say in
the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from faasd_async.errors import ConfigurationError
from faasd_async.functions.deployment import FunctionDeployment
from faasd_async.functions.errors import NotPermitted, NotUsable
from faasd_async.functions.images import table_of_image
from faasd_async.settings import FunctionSettings, Settings
from faasd_async.settings.checks import check_streaming
from faasd_async.settings.functions import read_functions
from faasd_async.settings.mistakes import Mistakes
from faasd_async.settings.table import Table
from faasd_async.settings.values import boolean_text, integer_text

COMMAND = "com.faasd-async.command"
URL = "com.faasd-async.url"

_ANNOTATIONS = {"command": COMMAND, "url": URL}

#: of-watchdog's variables for any command, and those for one that answers HTTP, which are called
#: what the file calls them.
_OF_ANY = ("mode", "prefix_logs")
_OF_HTTP = ("upstream_url", "ready_path", "healthcheck_interval")


class DeploymentReader:
    """Reads deployments under the settings of the daemon.

    :param has_engine: whether there is one to run images on.
    """

    def __init__(self, settings: Settings, has_engine: Callable[[], bool] = lambda: False) -> None:
        self._settings = settings
        self._has_engine = has_engine

    def read(self, deployment: FunctionDeployment) -> tuple[FunctionSettings, list[str]]:
        """
        :return: the settings, and a line for each annotation that is ignored.
        :raises NotUsable: it cannot be deployed here.
        :raises NotPermitted: it may not be.
        """
        name, mistakes, notices = deployment.service, Mistakes(), list[str]()
        root = Table("the deployment", {}, mistakes)
        gateway = self._settings.gateway
        try:
            functions = read_functions(
                Table("the deployment", {name: self._table(deployment)}, mistakes, "functions"),
                self._settings.template,
                base=os.getcwd(),
                namespace=gateway.namespace,
                max_body_bytes=gateway.max_body_bytes,
                notices=notices,
            )
            check_streaming(root, replace(self._settings, functions=functions))
            mistakes.raise_if_any()
        except ConfigurationError as reason:
            raise NotUsable("; ".join(str(reason).splitlines())) from None
        return functions[name], notices

    def _table(self, deployment: FunctionDeployment) -> dict[str, object]:
        """What would stand in the file.

        :raises NotUsable: it is not for here.
        """
        annotations = deployment.annotations or {}
        kinds = [kind for kind, key in _ANNOTATIONS.items() if key in annotations]
        if not kinds and not (deployment.image and self._has_engine()):
            raise NotUsable(_no_container_runtime(deployment))
        for kind in kinds:
            if kind not in self._settings.gateway.deploy:
                raise NotPermitted(
                    f"{_ANNOTATIONS[kind]} may not be deployed here: [gateway] deploy in the"
                    f' settings would have to name "{kind}"'
                )
        table: dict[str, object] = {kind: annotations[_ANNOTATIONS[kind]] for kind in kinds}
        variables = deployment.env_vars or {}
        if not kinds:
            table = table_of_image(deployment)
        if "command" in kinds:
            table |= _of_command(variables)
        if deployment.secrets and "url" not in kinds:
            table["secrets"] = deployment.secrets
        if "url" in kinds and variables.get("max_inflight", "0") != "0":
            table["max_inflight"] = integer_text(1)(variables["max_inflight"])
        if "exec_timeout" in variables:
            table["timeout"] = table["async_timeout"] = variables["exec_timeout"]
        return table | {"labels": deployment.labels or {}, "annotations": annotations}


def _of_command(variables: Mapping[str, str]) -> dict[str, object]:
    table: dict[str, object] = {key: variables[key] for key in _OF_ANY if key in variables}
    if "prefix_logs" in table:
        table["prefix_logs"] = boolean_text(table["prefix_logs"])
    own = _OF_HTTP if variables.get("mode") == "http" else ("content_type",)
    table |= {key: variables[key] for key in own if key in variables}
    return table | {"environment": dict(variables)}


def _no_container_runtime(deployment: FunctionDeployment) -> str:
    what = f"the image {deployment.image}" if deployment.image else "nothing to run"
    return (
        f"{deployment.service} has {what}, and this daemon has no container runtime; a function"
        f" without one has the annotation {COMMAND} or {URL}"
    )
