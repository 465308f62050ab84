"""What both doors make of a request before they part ways: who it is for, what goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from faasd_async.call.body import Body
from faasd_async.call.headers import Headers, end_to_end, first
from faasd_async.call.ids import CallKey, TokenTooLong, adopt_call_key
from faasd_async.call.route import FunctionRoute, without_namespace
from faasd_async.gateway.peers import without_forwarded
from faasd_async.gateway.refusal import RETRY_SOON, Fields, Refusal, unknown_function
from faasd_async.runtime.deployments import Deployment

#: Said by the caller, but ours to say to the function.
OURS = frozenset((b"host", b"x-call-id", b"x-start-time"))

#: Leaves out of header fields what is not for functions.
Withhold = Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as a door received it.

    :ivar headers: the field lines as they came.
    :ivar peer: the client's ``address:port``.
    :ivar trusted: whether the client is believed where the request came from.
    :ivar inside: it did not come through a door: it follows from a call of this daemon.
    """

    route: FunctionRoute
    method: bytes
    headers: Headers
    body: Body
    peer: bytes
    trusted: bool = True
    inside: bool = False


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
    return f"/call/{quote(call_id, safe='', errors='surrogateescape')}"


class Directory:
    """Finds the deployment that a route names.

    :param namespace: the one that may stand behind a function's name.
    :param complete: whether every function is there by now: the doors are open before.
    """

    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        namespace: str,
        complete: Callable[[], bool] = lambda: True,
    ) -> None:
        self._deployments = deployments
        self._namespace = namespace
        self._complete = complete

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
        """Whether there is such a function, or may be by the time that all have started."""
        name = without_namespace(route.name, self._namespace)
        return name in self._deployments or not self._complete()


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

    :param without: the lower-case names of those that stay here, :data:`OURS` among them.
    """
    fields = end_to_end(arrival.headers, without=without)
    if not arrival.trusted:
        fields = without_forwarded(fields)
    fields += tracing.fields
    host = first(arrival.headers, b"host")
    if host and first(fields, b"x-forwarded-host") is None:
        fields.append((b"X-Forwarded-Host", host))
    if first(fields, b"x-forwarded-for") is None:
        fields.append((b"X-Forwarded-For", arrival.peer))
    return fields
