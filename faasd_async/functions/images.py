"""From an OpenFaaS deployment of an image to the table that would stand in the file."""

from __future__ import annotations

import re
from fractions import Fraction

from faasd_async.functions.deployment import FunctionDeployment
from faasd_async.functions.errors import NotUsable

#: Kubernetes' units, and Docker's, which are small letters and count by 1,024.
_BYTES = {
    "": 1,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")


def table_of_image(deployment: FunctionDeployment) -> dict[str, object]:
    """What an image has besides what every function has.

    :raises NotUsable: a limit is none.
    """
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


def memory_bytes(text: str) -> int:
    """Read ``128Mi``, or ``128m`` as Docker has it."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in _BYTES:
        raise NotUsable(f'limits.memory: found {text!r}; allowed: such as "128Mi"')
    return int(Fraction(found[1]) * _BYTES[found[2]])


def cpus(text: str) -> float:
    """Read ``100m``, a tenth of a processor, or ``0.1``."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in ("", "m"):
        raise NotUsable(f'limits.cpu: found {text!r}; allowed: such as "100m" or "0.5"')
    return float(Fraction(found[1]) / (1000 if found[2] else 1))
