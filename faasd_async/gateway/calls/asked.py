"""Which call is asked for, and whether whoever asks may be told.

An id that this daemon drew is a secret between it and the caller: nobody can guess it. One that a
caller chose may be anything; a short one could be found by trying, so that it is shown only to the
operator.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from faasd_async.call.known import CallName, Known
from faasd_async.gateway.arrival import path_of
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.query import Query, named
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import GatewayRequest

#: An id of fewer characters is not shown to everybody.
SHORTEST_SECRET = 16


class Asked(NamedTuple):
    """An id, and perhaps which acceptance of it."""

    call_id: str
    accept: str | None


def asked_for(request: GatewayRequest, segment: str, query: Query, operators: Operators) -> Asked:
    """Which call a path and its query name.

    :param segment: of the path, as it was written.
    :raises Refusal: 401 or 403, the id is a short one and this is not the operator; 400.
    """
    call_id = named(segment)
    if len(call_id) < SHORTEST_SECRET:
        try:
            operators.admit(request.peer_host, request.field_lines, trusted=request.channel.trusted)
        except Refusal as refusal:
            raise Refusal(
                refusal.status,
                f"an id of fewer than {SHORTEST_SECRET} characters is shown to the operator alone:"
                f" {refusal.text}",
                refusal.fields,
            ) from None
    return Asked(call_id, query.text("accept"))


def link_to(name: CallName, known: Known, asked: Asked, what: str = "") -> str:
    """A link to one of the calls that there are of an id, or to something of it."""
    several = known.others or asked.accept is not None
    which = f"?accept={quote(name.key.accept, safe='')}" if several else ""
    return f"{path_of(name.key.call_id)}{what}{which}"


def unknown(asked: Asked) -> Refusal:
    return Refusal(404, f"there is no call {asked.call_id[:80]!r}, or not any more")
