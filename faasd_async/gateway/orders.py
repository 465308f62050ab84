"""Header fields that are orders to this daemon: one of each.

Of two that say different things one would have to be disobeyed, and nobody could tell which.
"""

from __future__ import annotations

from faasd_async.call.headers import Headers, by_name
from faasd_async.gateway.refusal import Refusal

#: As a caller writes them, by their lower-case names.
_ORDERS = {
    name.lower().encode(): name
    for name in (
        "X-Callback-Url",
        "X-Callback-On-Failure",
        "Idempotency-Key",
        "webhook-id",
        "X-Delay",
        "X-Not-Before",
        "X-Expires",
        "X-Max-Attempts",
    )
}

ORDERS = frozenset(_ORDERS)


def read_orders(headers: Headers) -> dict[bytes, bytes]:
    """A request's fields by their lower-case names, each order's single value among them.

    :raises Refusal: 400, an order is there more than once.
    """
    said = by_name(headers)
    if len(said) != len(headers):
        _refuse_doubled(headers)
    return said


def _refuse_doubled(headers: Headers) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        lowered = name.lower()
        if lowered in seen and lowered in _ORDERS:
            raise Refusal(400, f"{_ORDERS[lowered]}: it may be there only once")
        seen.add(lowered)
