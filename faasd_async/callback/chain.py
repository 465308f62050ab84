"""Callbacks that are calls: those for an asynchronous function of this very daemon.

They need no connection: the call is accepted at once, by the rules of the door it would have come
through. Its ``Webhook-Id`` makes it one call however often it is sent, its ``X-Call-Id`` is the one
of the call before it. How long a chain has grown is counted along with it, so that one that bites
its own tail comes to an end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import Body
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.headers import Headers, first, replaced
from faasd_async.call.request import CallbackRequest
from faasd_async.call.route import FunctionRoute, cut
from faasd_async.callback.letter import HOPS
from faasd_async.callback.tried import LOOPED, Try

#: Accepts a call; brings a status, why it is no 202, and ``Retry-After``.
Enqueue = Callable[[FunctionRoute, Headers, Body], Awaitable[tuple[int, str, bytes | None]]]

#: By these our own door says no for now: each try is signed anew, and secrets are changed; the
#: function may be deployed again; there may be more room or more time. Whatever else is wrong with
#: a call stays so, for each try is the same request.
_MAY_CHANGE = frozenset((401, 404, 408, 425, 429))


class Sends(Protocol):
    """Who makes tries."""

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        """Try once. Whatever goes wrong is told by what it brings; it can be cancelled."""


class Chain:
    """Makes tries: calls of this daemon go into the queue, all others out into the world.

    :param is_own: whether a URL leads to this daemon.
    :param max_hops: so many calls may follow from one.
    :param home: where else a URL is that leads to this daemon by a name of its own.
    """

    def __init__(
        self,
        clock: IReactorTime,
        world: Sends,
        *,
        is_own: Callable[[CallbackUrl], bool],
        enqueue: Enqueue,
        max_hops: int,
        home: Callable[[CallbackUrl], CallbackUrl] = lambda url: url,
    ) -> None:
        self._clock = clock
        self._world = world
        self._is_own = is_own
        self._enqueue = enqueue
        self._max_hops = max_hops
        self._home = home

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        """As :meth:`Sends.send`."""
        route = self._route(callback.url)
        if route is None:
            return self._world.send(_sent_to(callback, self._home(callback.url)))
        return Deferred.fromCoroutine(self._accept(callback, route))

    async def _accept(self, callback: CallbackRequest, route: FunctionRoute) -> Try:
        hops = hops_of(callback.headers) + 1
        if hops > self._max_hops:
            return Try(LOOPED, 0.0, f"this would be call {hops} of a chain: it may be a loop")
        began = self._clock.seconds()
        headers = replaced(callback.headers, ((HOPS, b"%d" % hops),))
        accepting = Deferred.fromCoroutine(_awaited(self._enqueue(route, headers, callback.body)))
        status, why, retry_after = await accepting
        seconds = self._clock.seconds() - began
        return Try(status, seconds, why, retry_after, is_refused=_is_refused(status))

    def _route(self, url: CallbackUrl) -> FunctionRoute | None:
        # Whoever names a user wants them to be asked for.
        if url.username is not None or not self._is_own(url):
            return None
        query = url.without_credentials.partition("?")
        target = url.path + "".join(query[1:])
        route = cut(target.encode("ascii"))
        return route if route is not None and route.asynchronous else None


def _is_refused(status: int) -> bool:
    return 400 <= status < 500 and status not in _MAY_CHANGE


def _sent_to(callback: CallbackRequest, url: CallbackUrl) -> CallbackRequest:
    return callback if url is callback.url else replace(callback, url=url)


async def _awaited(
    accepted: Awaitable[tuple[int, str, bytes | None]],
) -> tuple[int, str, bytes | None]:
    return await accepted


def hops_of(headers: Headers) -> int:
    """How many calls came before one, in its chain."""
    written = first(headers, HOPS.lower()) or b""
    return int(written) if written.isdigit() and len(written) < 5 else 0
