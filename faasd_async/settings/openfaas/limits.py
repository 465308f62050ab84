"""Limits as OpenFaaS' deployments have them: quantities of Kubernetes."""

from __future__ import annotations

import re
from fractions import Fraction

from faasd_async.errors import ConfigurationError

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


def memory_bytes(text: str) -> int:
    """Read ``128Mi``, or ``128m`` as Docker has it.

    :raises ConfigurationError: it is none.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in _BYTES:
        raise ConfigurationError(f'limits.memory: found {text!r}; allowed: such as "128Mi"')
    return int(Fraction(found[1]) * _BYTES[found[2]])


def cpus(text: str) -> float:
    """Read ``100m``, a tenth of a processor, or ``0.1``.

    :raises ConfigurationError: it is none.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in ("", "m"):
        raise ConfigurationError(f'limits.cpu: found {text!r}; allowed: such as "100m" or "0.5"')
    return float(Fraction(found[1]) / (1000 if found[2] else 1))
