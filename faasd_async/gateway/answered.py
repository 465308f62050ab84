"""Whoever wants to know of each answer is told of its route, of which there are a few: not of the
names and ids in it."""

from __future__ import annotations

from collections.abc import Callable

from faasd_async.call.route import FunctionRoute

#: Given method, route, status, and the seconds from the request's last byte to the answer's.
Answered = Callable[[bytes, str, int, float], None]

QUEUED, AT_ONCE = "/async-function", "/function"

_OTHER = "other"

_SYSTEM = (
    "functions", "function", "scale-function", "secrets", "logs", "info", "namespaces",
    "namespace", "queues", "dead-letters", "schedules",
)  # fmt: skip

_KNOWN = frozenset(
    ("/call", "/healthz", "/readyz", "/openapi.json", "/ui", *(f"/system/{e}" for e in _SYSTEM))
)


def nobody(method: bytes, path: str, status: int, seconds: float) -> None:
    """Nobody wants to know."""


def route_of(route: FunctionRoute | None, path: bytes) -> str:
    """What a request was for."""
    if route is not None:
        return QUEUED if route.asynchronous else AT_ONCE
    parts = path.decode("latin-1").split("/", 3)
    found = "/".join(parts[:3] if parts[1:2] == ["system"] else parts[:2])
    return found if found in _KNOWN else _OTHER
