"""From a deployment of OpenFaaS to the table that would stand in the file.

of-watchdog's variables say of a command what keys say in the file.
"""

from __future__ import annotations

from collections.abc import Mapping

from faasd_async.settings.openfaas.deployment import FunctionDeployment
from faasd_async.settings.openfaas.limits import cpus, memory_bytes
from faasd_async.settings.values import boolean_text, integer_text

COMMAND = "com.faasd-async.command"
URL = "com.faasd-async.url"

#: What is no image, and the annotation that says so.
ANNOTATIONS = {"command": COMMAND, "url": URL}

#: of-watchdog's variables for any command, and those for one that answers HTTP, which are called
#: what the file calls them.
_OF_ANY = ("mode", "prefix_logs")
_OF_HTTP = ("upstream_url", "ready_path", "healthcheck_interval")


def kinds_of(deployment: FunctionDeployment) -> list[str]:
    """Which of ``command`` and ``url`` it is by its annotations; neither: an image."""
    annotations = deployment.annotations or {}
    return [kind for kind, key in ANNOTATIONS.items() if key in annotations]


def table_of(deployment: FunctionDeployment) -> dict[str, object]:
    """What would stand in the file.

    :raises ConfigurationError: one of its values is none.
    """
    kinds, annotations = kinds_of(deployment), deployment.annotations or {}
    table: dict[str, object] = {kind: annotations[ANNOTATIONS[kind]] for kind in kinds}
    variables = deployment.env_vars or {}
    if not kinds:
        table = _of_image(deployment)
    if "command" in kinds:
        table |= _of_command(variables)
        if deployment.limits is not None and deployment.limits.memory:
            table["memory"] = memory_bytes(deployment.limits.memory)
    if deployment.secrets and "url" not in kinds:
        table["secrets"] = deployment.secrets
    if "url" in kinds and variables.get("max_inflight", "0") != "0":
        table["max_inflight"] = integer_text(1)(variables["max_inflight"])
    if "exec_timeout" in variables:
        table["timeout"] = table["async_timeout"] = variables["exec_timeout"]
    return table | {"labels": deployment.labels or {}, "annotations": annotations}


def _of_image(deployment: FunctionDeployment) -> dict[str, object]:
    table: dict[str, object] = {
        "image": deployment.image,
        "environment": dict(deployment.env_vars or {}),
        "read_only": deployment.read_only_root_filesystem,
    }
    if deployment.env_process:
        table["fprocess"] = deployment.env_process
    if deployment.limits is not None and deployment.limits.memory:
        table["memory"] = memory_bytes(deployment.limits.memory)
    if deployment.limits is not None and deployment.limits.cpu:
        table["cpus"] = cpus(deployment.limits.cpu)
    return table


def _of_command(variables: Mapping[str, str]) -> dict[str, object]:
    table: dict[str, object] = {key: variables[key] for key in _OF_ANY if key in variables}
    if "prefix_logs" in table:
        table["prefix_logs"] = boolean_text(table["prefix_logs"])
    own = _OF_HTTP if variables.get("mode") == "http" else ("content_type",)
    table |= {key: variables[key] for key in own if key in variables}
    return table | {"environment": dict(variables)}
