"""What OpenFaaS' clients send to deploy a function, and how it is kept."""

from __future__ import annotations

from msgspec import Struct

#: Of :class:`Record`. A newer one is refused: it may say what this version does not know.
FORMAT = 1


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


class Record(Struct, frozen=True):
    """A deployment on disk.

    :ivar created_ns: when it was deployed first, Unix nanoseconds.
    :ivar replicas: what it was last scaled to.
    """

    deployment: FunctionDeployment
    created_ns: int
    replicas: int = 1
    format: int = FORMAT
