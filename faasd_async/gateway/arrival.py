"""What both doors make of a request before they part ways: who it is for, what goes on with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import quote

from twisted.internet.defer import Deferred

from faasd_async.call.body import Body
from faasd_async.call.headers import Headers, end_to_end, first
from faasd_async.call.ids import CallKey, TokenTooLong, adopt_call_key
from faasd_async.call.route import FunctionRoute, without_namespace
from faasd_async.gateway.peers import without_forwarded
from faasd_async.gateway.refusal import (
    RETRY_SOON,
    Fields,
    Refusal,
    of_provider_error,
    unknown_function,
)
from faasd_async.gateway.regular import Regular
from faasd_async.provider.errors import ProviderError
from faasd_async.runtime.deployments import Deployment

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


class Elsewhere(Protocol):
    """Somebody else who runs functions, and may have one that is not known here yet."""

    def when_looked_for(self) -> Deferred[None]:
        """:return: fires when what it has by now is deployed; fails with a
        :class:`ProviderError`."""


class Directory:
    """Finds the deployment that a route names.

    :param namespace: the one that may stand behind a function's name.
    :param complete: whether every function is there by now: the doors are open before.
    :param elsewhere: who is asked for a function before it is said that there is none.
    """

    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        namespace: str,
        complete: Callable[[], bool] = lambda: True,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._deployments = deployments
        self._namespace = namespace
        self._complete = complete
        self._elsewhere = elsewhere

    def may_come(self, route: FunctionRoute) -> bool:
        """Whether nothing is known of the function here, and it might be elsewhere."""
        if self._elsewhere is None or not self._complete():
            return False
        return without_namespace(route.name, self._namespace) not in self._deployments

    async def look_around(self, route: FunctionRoute) -> None:
        """Have a function deployed that is not known here, if it is elsewhere.

        :raises Refusal: nobody can tell now: 503, or 502 as for any call whose function cannot be
            reached while the caller waits.
        """
        if self._elsewhere is not None and self.may_come(route):
            try:
                await self._elsewhere.when_looked_for()
            except ProviderError as reason:
                refusal = of_provider_error(reason)
                raise refusal if route.asynchronous else Refusal(502, str(reason)) from None

    def find(self, route: FunctionRoute) -> Deployment:
        """
        :raises Refusal: 404, no function is called so; 503, not yet.
        """
        name = without_namespace(route.name, self._namespace)
        try:
            return self._deployments[name]
        except KeyError:
            if not self._complete():
                raise Refusal(503, "the functions are still starting", RETRY_SOON) from None
            raise unknown_function(route.name) from None

    def knows(self, route: FunctionRoute) -> bool:
        """Whether there is such a function, or may be by the time that all have started, or
        elsewhere."""
        name = without_namespace(route.name, self._namespace)
        return name in self._deployments or self._elsewhere is not None or not self._complete()


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
