"""Where a caller wants callbacks: ``X-Callback-Url`` and ``X-Callback-On-Failure``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl, parse
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.authentication import Authentication
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.refusal import Refusal


class CallbackOrders:
    """Reads them.

    :param authentication: asks callers for the password of a function whose call follows.
    :param refuse_destination: why a callback may not go to a URL, or ``None``.
    :param why_undeliverable: why one never could, or ``None``.
    :param own_route: the function of this daemon that one is for, or ``None``.
    """

    def __init__(
        self,
        directory: Directory,
        authentication: Authentication,
        *,
        refuse_destination: Callable[[CallbackUrl], str | None],
        why_undeliverable: Callable[[CallbackUrl], str | None],
        own_route: Callable[[CallbackUrl], FunctionRoute | None],
    ) -> None:
        self._directory = directory
        self._authentication = authentication
        self._refuse_destination = refuse_destination
        self._why_undeliverable = why_undeliverable
        self._own_route = own_route

    def read(self, arrival: Arrival, said: Mapping[bytes, bytes], name: str) -> CallbackUrl | None:
        """Where one goes.

        :param said: values by lower-case name.
        :param name: of the field that says it.
        :return: ``None`` if there is to be none.
        :raises Refusal: 400, it is not understood, or would never come; 403, it may not go there.
        """
        raw = said.get(name.lower().encode())
        if not raw:
            return None
        try:
            url = parse(raw)
        except MalformedCallbackUrl as reason:
            raise Refusal(400, f"{name}: {reason}") from None
        undeliverable = self._why_undeliverable(url)
        if undeliverable is not None:
            raise Refusal(400, f"{name}: {undeliverable}")
        forbidden = self._refuse_destination(url)
        if forbidden is not None:
            raise Refusal(403, f"{name}: {forbidden}")
        route = self._own_route(url)
        if route is not None and not self._directory.knows(route):
            raise Refusal(400, f"{name}: no function is called {route.name}")
        # Whoever names a user in the URL is asked for them at the door.
        if route is not None and url.username is None and not arrival.inside:
            self._authentication.admit_callback(route, arrival.headers)
        return url
