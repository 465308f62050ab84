"""The routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.answers import explain_errors, text
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.channel import SMALL_BODY_BYTES, GatewayRequest, GatewaySite
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.shortcut import ShortcutSite
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.system.operator import admit

_READ_ONLY = ("GET", "HEAD")


class Gateway:
    """The front door.

    :param why_not_ready: what a caller would have to wait for, or ``None``.
    :param largest_body_bytes: the limit for any body.
    """

    app = Klein()
    # A target is taken as it is written: nothing is merged, nothing redirected.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def __init__(
        self,
        acceptance: Acceptance,
        proxy: Proxy,
        system: SystemGateway,
        *,
        why_not_ready: Callable[[], str | None],
        largest_body_bytes: int,
    ) -> None:
        self._acceptance = acceptance
        self._proxy = proxy
        self._system = system
        self._why_not_ready = why_not_ready
        self._largest_body_bytes = largest_body_bytes

    def site(self, read_timeout_seconds: float, reactor: IReactorTime) -> GatewaySite:
        """The factory to listen with."""
        return ShortcutSite(
            self.app.resource(), self._body_limit, read_timeout_seconds, reactor, self._acceptance
        )

    def _body_limit(self, method: bytes, route: FunctionRoute | None) -> int:
        """How much may be sent.

        :raises Refusal: nobody would read it.
        """
        if route is None:
            return min(self._largest_body_bytes, SMALL_BODY_BYTES)
        if route.asynchronous:
            deployment = self._acceptance.find(method, route)
            return self._acceptance.largest_body_bytes(deployment)
        return self._proxy.find(method, route).settings.max_body_bytes

    @app.route("/async-function/")
    async def async_function(self, request: GatewayRequest) -> bytes:
        receipt = await self._acceptance.accept(_arrival(request))
        request.setResponseCode(202)
        request.setHeader(b"Content-Length", b"0")
        for name, value in receipt.fields:
            request.setHeader(name, value)
        return b""

    @app.route("/function/")
    async def function(self, request: GatewayRequest) -> None:
        await self._proxy.pass_through(_arrival(request), request)

    @app.route("/healthz", methods=_READ_ONLY)
    def healthz(self, request: GatewayRequest) -> bytes:
        """Alive: the reactor answers."""
        return text(request, 200, "OK")

    @app.route("/readyz", methods=_READ_ONLY)
    def readyz(self, request: GatewayRequest) -> bytes:
        """Ready: a call would be accepted and run."""
        waiting_for = self._why_not_ready()
        if waiting_for is None:
            return text(request, 200, "OK")
        return text(request, 503, waiting_for)

    @app.route("/system/", branch=True)
    def system(self, request: GatewayRequest) -> KleinResource:
        """What only an operator may ask."""
        admit(request.peer_host, request.field_lines)
        return self._system.resource()


def _arrival(request: GatewayRequest) -> Arrival:
    if request.route is None:
        raise Refusal(404, "no function is named")
    return Arrival(
        route=request.route,
        method=request.method,
        headers=request.field_lines,
        body=request.read_body(),
        peer=request.peer,
    )
