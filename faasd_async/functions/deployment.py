"""How a deployment is kept."""

from __future__ import annotations

from msgspec import Struct

from faasd_async.settings.openfaas.deployment import FunctionDeployment

#: Of :class:`Record`. A newer one is refused: it may say what this version does not know.
FORMAT = 1


class Record(Struct, frozen=True):
    """A deployment on disk.

    :ivar created_ns: when it was deployed first, Unix nanoseconds.
    :ivar replicas: what it was last scaled to.
    """

    deployment: FunctionDeployment
    created_ns: int
    replicas: int = 1
    format: int = FORMAT
