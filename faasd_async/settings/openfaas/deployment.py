"""What OpenFaaS' clients send to deploy a function."""

from __future__ import annotations

from msgspec import Struct


class Resources(Struct, frozen=True, omit_defaults=True):
    """Limits or requests, as Kubernetes writes them (``64Mi``, ``100m``)."""

    memory: str = ""
    cpu: str = ""


class FunctionDeployment(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """OpenFaaS' FunctionDeployment.

    :ivar service: the function's name.
    """

    service: str
    image: str = ""
    namespace: str = ""
    env_process: str = ""
    env_vars: dict[str, str] | None = None
    constraints: list[str] | None = None
    secrets: list[str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    limits: Resources | None = None
    requests: Resources | None = None
    read_only_root_filesystem: bool = False
