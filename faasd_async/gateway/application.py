"""The routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.answers import explain_errors, text, written_json
from faasd_async.gateway.arrival import Arrival
from faasd_async.gateway.authentication import Authentication
from faasd_async.gateway.calls.application import CallsGateway
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.operator import Operators, refuse_foreign_pages
from faasd_async.gateway.prefer import applied, read_preferences, without
from faasd_async.gateway.proxy import Proxy
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import SMALL_BODY_BYTES, GatewayRequest
from faasd_async.gateway.routed import pass_through
from faasd_async.gateway.shortcut import ShortcutSite
from faasd_async.gateway.site import GatewaySite
from faasd_async.gateway.system.application import SystemGateway
from faasd_async.gateway.ui import page
from faasd_async.gateway.upload import Uploads
from faasd_async.queue.bodies import Bodies
from faasd_async.runtime.deployments import Deployment

_READ_ONLY = ("GET", "HEAD")


class Gateway:
    """The front door.

    :param why_not_ready: what a caller would have to wait for, or ``None``.
    :param largest_body_bytes: the limit for any body.
    :param authentication: asks the callers of functions that want a password for it.
    :param operators: lets those in who may give orders.
    :param bodies: where large ones go.
    """

    app = Klein()
    # A target is taken as it is written: nothing is merged, nothing redirected.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def __init__(
        self,
        directory: Directory,
        acceptance: Acceptance,
        proxy: Proxy,
        calls: CallsGateway,
        system: SystemGateway,
        *,
        why_not_ready: Callable[[], str | None],
        largest_body_bytes: int,
        authentication: Authentication,
        operators: Operators,
        bodies: Bodies | None = None,
    ) -> None:
        self._bodies = bodies
        self._directory = directory
        self._acceptance = acceptance
        self._proxy = proxy
        self._calls = calls
        self._system = system
        self._why_not_ready = why_not_ready
        self._largest_body_bytes = largest_body_bytes
        self._authentication = authentication
        self._operators = operators

    def site(self, read_timeout_seconds: float, reactor: IReactorTime) -> GatewaySite:
        """The factory to listen with."""
        site = ShortcutSite(
            self.app.resource(),
            self._body_limit,
            read_timeout_seconds,
            reactor,
            self._acceptance,
            self._proxy,
            find_regular=self._find_regular,
        )
        if self._bodies is not None:
            site.uploads = Uploads(self._acceptance, self._bodies, reactor)
        return site

    def _find_regular(
        self, method: bytes, route: FunctionRoute, body_bytes: int
    ) -> Deployment | None:
        """Whom a call is for that comes by the short cut; ``None``: it may not, because there is
        nobody, or its body is too large to be gathered."""
        try:
            if route.asynchronous:
                found = self._acceptance.find(method, route)
                limit = self._acceptance.largest_gathered_bytes(found)
            else:
                found = self._proxy.find(method, route)
                limit = found.settings.max_body_bytes
        except Refusal:
            return None
        return found if body_bytes <= limit else None

    def _body_limit(self, method: bytes, route: FunctionRoute | None, fields: Headers) -> int:
        """How much may be sent.

        :raises Refusal: nobody would read it.
        """
        if route is None:
            return min(self._largest_body_bytes, SMALL_BODY_BYTES)
        if self._directory.may_come(route):
            # Whose it is will be known when the body is here; it is measured again then.
            most = self._largest_body_bytes
            return most if self._bodies else min(most, self._acceptance.gathered_body_bytes)
        deployment = (self._acceptance if route.asynchronous else self._proxy).find(method, route)
        auth = deployment.settings.auth
        if auth is not None:
            self._authentication.admit(auth, fields)
        if route.asynchronous:
            return self._acceptance.largest_body_bytes(deployment)
        return deployment.settings.max_body_bytes

    @app.route("/async-function/")
    async def async_function(self, request: GatewayRequest) -> bytes:
        await self._look_around(request)
        arrival = await _arrival(request)
        if arrival.method == b"DELETE" and arrival.route.target.partition(b"?")[0] == b"/":
            return await self._calls.cancel_named(request, arrival.route.name)
        return await self._accept(request, arrival)

    @app.route("/function/")
    async def function(self, request: GatewayRequest) -> bytes | None:
        await self._look_around(request)
        arrival = await _arrival(request)
        if arrival.method == b"POST" and read_preferences(arrival.headers).respond_async:
            route = replace(arrival.route, asynchronous=True)
            return await self._accept(request, arrival._replace(route=route), asked=True)
        await pass_through(self._proxy, arrival, request)
        return None

    async def _look_around(self, request: GatewayRequest) -> None:
        """Have the function deployed, if it is elsewhere.

        :raises Refusal: nobody can tell now.
        """
        if request.route is not None and self._directory.may_come(request.route):
            try:
                await self._directory.look_around(request.route)
            except Refusal:
                if request.upload is not None:
                    request.upload.abort()
                raise

    async def _accept(
        self, request: GatewayRequest, arrival: Arrival, *, asked: bool = False
    ) -> bytes:
        """Answer with a receipt, or with the result, if the client prefers to wait for it.

        :param asked: it was for the client to say that the call is an asynchronous one.
        """
        preferences = read_preferences(arrival.headers)
        if asked or preferences.wait_seconds is not None:
            arrival = arrival._replace(headers=without(arrival.headers, preferences))
        receipt = await self._acceptance.accept(arrival)
        waited = await self._calls.results.wait_for_receipt(receipt, preferences.wait_seconds)
        done = applied(respond_async=asked, wait_seconds=waited.seconds)
        if waited.result is not None:
            return await self._calls.show(
                request, waited.result.with_fields(*receipt.fields, *done)
            )
        request.setResponseCode(202)
        request.setHeader(b"Content-Length", b"0")
        for name, value in (*receipt.fields, *done):
            request.setHeader(name, value)
        return b""

    @app.route("/call/", branch=True)
    def call(self, request: GatewayRequest) -> KleinResource:
        """What became of a call."""
        return self._calls.resource()

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

    @app.route("/openapi.json", methods=_READ_ONLY)
    def openapi(self, request: GatewayRequest) -> bytes:
        """All of this, for programs that make clients of it."""
        # Hardly anybody asks: until then it costs nothing.
        from faasd_async.gateway.openapi.document import written

        return written_json(request, 200, written())

    @app.route("/system/", branch=True)
    def system(self, request: GatewayRequest) -> KleinResource:
        """What only an operator may ask."""
        self._operators.admit(
            request.peer_host, request.field_lines, trusted=request.channel.trusted
        )
        refuse_foreign_pages(request.field_lines)
        return self._system.resource()

    @app.route("/ui", branch=True)
    def ui(self, request: GatewayRequest) -> bytes:
        """The operator's page."""
        self._operators.admit(
            request.peer_host, request.field_lines, trusted=request.channel.trusted
        )
        return page.show(request)


async def _arrival(request: GatewayRequest) -> Arrival:
    if request.route is None:
        raise Refusal(404, "no function is named")
    return Arrival(
        route=request.route,
        method=request.method,
        headers=request.field_lines,
        body=request.read_body() if request.upload is None else await request.upload.finish(),
        peer=request.peer,
        trusted=request.channel.trusted,
    )
