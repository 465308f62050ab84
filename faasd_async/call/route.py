"""Which function a request target names, cut from the bytes as they came.

Nothing is decoded: ``%2F``, ``//`` and ``%ff`` reach the function as the caller wrote them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_ABSOLUTE_FORM = re.compile(rb"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_FUNCTION = re.compile(rb"/(async-)?function/([-a-zA-Z_0-9.]+)(?=[/?]|\Z)")

#: So many targets are known: most callers use the same few, again and again.
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class FunctionRoute:
    """A target of the form ``/function/<name>[/rest][?query]`` or its ``async-`` twin.

    :ivar asynchronous: it was ``/async-function/``.
    :ivar name: as written, perhaps with a namespace behind a dot.
    :ivar target: what the function sees: the rest, at least ``/``, and the query.
    """

    asynchronous: bool
    name: str
    target: bytes


def origin_form(target: bytes) -> bytes:
    """A request target without the scheme and authority of the absolute form."""
    if target.startswith(b"/"):
        return target
    found = _ABSOLUTE_FORM.match(target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


@lru_cache(_REMEMBERED)
def cut(target: bytes) -> FunctionRoute | None:
    """The function that *target* (in origin form) names, or ``None``."""
    found = _FUNCTION.match(target)
    if found is None:
        return None
    rest = target[found.end() :]
    if not rest.startswith(b"/"):
        rest = b"/" + rest
    return FunctionRoute(found[1] is not None, found[2].decode("ascii"), rest)


def without_namespace(name: str, namespace: str) -> str:
    """``figlet.openfaas-fn`` and ``figlet`` are the same function of ``openfaas-fn``."""
    return name.removesuffix(f".{namespace}")
