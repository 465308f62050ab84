"""What the engine is asked for: a container as Docker's API describes one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from faasd_async.runtime.container.secrets import IN_THE_CONTAINER
from faasd_async.settings import FunctionSettings

#: Without these a container gets the engine's limits, which may be more than it can give: where it
#: may not raise limits, nothing would start then.
ULIMITS = {"nofile": 1024, "nproc": 1000}

_NANO = 10**9


def describe(settings: FunctionSettings) -> dict[str, Any]:
    """The container of a function, but for the labels and secrets that :mod:`.ours` adds."""
    container = settings.container
    port = f"{container.port}/tcp"
    environment = dict(container.environment)
    if container.fprocess is not None:
        environment["fprocess"] = container.fprocess
    host: dict[str, Any] = {
        "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        "ReadonlyRootfs": container.read_only,
        "RestartPolicy": {"Name": "no"},
        "Ulimits": [{"Name": name, "Soft": most, "Hard": most} for name, most in ULIMITS.items()],
    }
    if container.read_only:
        # As OpenFaaS has it: functions count on it.
        host["Tmpfs"] = {"/tmp": ""}  # noqa: S108 - in the container
    if container.memory_bytes:
        # As much swap besides would be another limit than the one that was set.
        host["Memory"] = host["MemorySwap"] = container.memory_bytes
    if container.cpus:
        host["NanoCpus"] = round(container.cpus * _NANO)
    return {
        "Image": settings.image,
        "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
        "Labels": dict(settings.labels),
        "ExposedPorts": {port: {}},
        "HostConfig": host,
    }


def with_secrets(description: Mapping[str, Any], directory: str) -> dict[str, Any]:
    """Mount a directory of secrets, read-only; ``z`` is for SELinux."""
    host = {**description["HostConfig"], "Binds": [f"{directory}:{IN_THE_CONTAINER}:ro,z"]}
    return {**description, "HostConfig": host}


def digest(description: Mapping[str, Any], secrets: Mapping[str, bytes]) -> str:
    """What two containers have in common that are the same but for their names."""
    told = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, content in sorted(secrets.items()):
        told.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return told.hexdigest()[:32]
