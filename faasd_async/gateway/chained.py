"""Calls that follow from others: accepted as if they had come through the door."""

from __future__ import annotations

from faasd_async.call.body import Body
from faasd_async.call.headers import Headers, first
from faasd_async.call.route import FunctionRoute
from faasd_async.errors import QueueError
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.refusal import Refusal, of_queue_error

#: Where they say they come from.
_HERE = b"127.0.0.1:0"


async def accept_chained(
    directory: Directory,
    acceptance: Acceptance,
    route: FunctionRoute,
    headers: Headers,
    body: Body,
) -> tuple[int, str, bytes | None]:
    """Take a call.

    :return: the status, why it is no 202, and ``Retry-After``.
    """
    try:
        await directory.look_around(route)
        try:
            body = await acceptance.take_along(body)
        except QueueError as reason:
            raise of_queue_error(reason, ()) from None
        await acceptance.accept(Arrival(route, b"POST", headers, body, _HERE, inside=True))
    except Refusal as refusal:
        return refusal.status, refusal.text, first(refusal.fields, b"retry-after")
    return 202, "", None
