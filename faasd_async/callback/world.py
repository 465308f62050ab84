"""The way out into the world: our own client, and treq for what that does not do.

treq and what it brings along are imported with the first callback that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from faasd_async.call.request import CallbackRequest
from faasd_async.callback.plain import PlainSender
from faasd_async.callback.tried import Try
from faasd_async.callback.way_out import WayOut
from faasd_async.http.errors import Unsendable
from faasd_async.queue.bodies import Bodies

if TYPE_CHECKING:
    from faasd_async.callback.sending import Sender


class World:
    """Makes tries, wherever they go.

    :param timeout_seconds: how long one may take, given the function's name.
    :param way: what connections are made with, by either client.
    :param bodies: where large ones lie.
    """

    def __init__(
        self,
        reactor: Any,
        timeout_seconds: Callable[[str], float],
        way: WayOut,
        bodies: Bodies | None = None,
    ) -> None:
        self._bodies = bodies
        self._reactor = reactor
        self._timeout_seconds = timeout_seconds
        self._way = way
        self._plain = PlainSender(reactor, timeout_seconds, way.endpoint)
        self._sender: Sender | None = None

    def send(self, callback: CallbackRequest) -> Deferred[Try]:
        """Try once. Whatever goes wrong is told by what it brings; it can be cancelled."""
        if callback.url.scheme == "http" and isinstance(callback.body, bytes):
            try:
                return self._plain.send(callback)
            except Unsendable:
                pass  # A field with a line break in it: treq mends such.
        return Deferred.fromCoroutine(self._treq().send(callback))

    def _treq(self) -> Sender:
        if self._sender is None:
            from faasd_async.callback.sending import Sender
            from faasd_async.callback.world_client import world_client

            client = world_client(self._way)
            self._sender = Sender(self._reactor, client, self._timeout_seconds, self._bodies)
        return self._sender
