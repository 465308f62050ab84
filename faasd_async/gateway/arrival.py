"""What both doors make of a request before they part ways: its ids, and what of it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple
from urllib.parse import quote

from faasd_async.call.body import Body
from faasd_async.call.headers import Headers, end_to_end, first
from faasd_async.call.ids import CallKey, TokenTooLong, adopt_call_key
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.peers import without_forwarded
from faasd_async.gateway.refusal import Fields, Refusal
from faasd_async.gateway.regular import Regular

#: Said by the caller, but ours to say to the function.
OURS = frozenset((b"host", b"x-call-id", b"x-start-time"))

#: Leaves out of header fields what is not for functions.
Withhold = Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]

#: Of a call id that stands in a path as it is.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


class Arrival(NamedTuple):
    """A request as a door received it.

    :ivar headers: the field lines as they came.
    :ivar peer: the client's ``address:port``.
    :ivar trusted: whether the client is believed where the request came from.
    :ivar inside: it did not come through a door: it follows from a call of this daemon.
    :ivar regular: its head, if it came by the short cut: who has made something of it can leave
        that there for the next that is the same.
    """

    route: FunctionRoute
    method: bytes
    headers: Headers
    body: Body
    peer: bytes
    trusted: bool = True
    inside: bool = False
    regular: Regular | None = None


class Tracing(NamedTuple):
    """What identifies a call to caller, function and callback."""

    key: CallKey
    start_time_ns: int

    @property
    def fields(self) -> Fields:
        return (
            (b"X-Call-Id", self.key.call_id.encode()),
            (b"X-Start-Time", b"%d" % self.start_time_ns),
        )


def path_of(call_id: str) -> str:
    """Where a call can be asked after."""
    if _UNRESERVED.fullmatch(call_id):
        return f"/call/{call_id}"
    return f"/call/{quote(call_id, safe='', errors='surrogateescape')}"


def trace(
    arrival: Arrival, now_ns: int, key_for: Callable[[bytes | None], CallKey] = adopt_call_key
) -> Tracing:
    """Give a request its ids.

    :param key_for: makes the key, given the caller's own id.
    :raises Refusal: 400, the caller's own id is too long.
    """
    try:
        return Tracing(key_for(first(arrival.headers, b"x-call-id")), now_ns)
    except TokenTooLong as reason:
        raise Refusal(400, f"X-Call-Id: {reason}") from None


def forwarded(
    arrival: Arrival, tracing: Tracing, *, without: Collection[bytes] = OURS
) -> list[tuple[bytes, bytes]]:
    """The fields that go on to the function: the caller's, and what a proxy adds.

    :param without: the lower-case names of those that stay here, :data:`OURS` among them. They are
        the same each time for one function, and so for one head.
    """
    before, after = around(arrival, without=without)
    return [*before, *tracing.fields, *after]


def around(arrival: Arrival, *, without: Collection[bytes]) -> tuple[Headers, Headers]:
    """As :func:`forwarded`, but for the call's ids.

    :return: the fields before them, and those behind.
    """
    regular = arrival.regular
    if regular is None:
        return _around(arrival, without)
    if regular.around is None:
        regular.around = _around(arrival, without)
    return regular.around


def _around(arrival: Arrival, without: Collection[bytes]) -> tuple[Headers, Headers]:
    fields = end_to_end(arrival.headers, without=without)
    if not arrival.trusted:
        fields = without_forwarded(fields)
    names = {name.lower() for name, _ in fields}
    after = []
    host = first(arrival.headers, b"host")
    if host and b"x-forwarded-host" not in names:
        after.append((b"X-Forwarded-Host", host))
    if b"x-forwarded-for" not in names:
        after.append((b"X-Forwarded-For", arrival.peer))
    return fields, after
