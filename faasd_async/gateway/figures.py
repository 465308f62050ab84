"""The figures' own small front door, on a listener of its own."""

from __future__ import annotations

from collections.abc import Callable

from klein import Klein
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute
from faasd_async.gateway.answers import explain_errors, text
from faasd_async.gateway.request import SMALL_BODY_BYTES, GatewayRequest
from faasd_async.gateway.site import GatewaySite

_READ_ONLY = ("GET", "HEAD")
_READ_TIMEOUT_SECONDS = 60.0


class FiguresGateway:
    """``/metrics`` and ``/healthz``.

    :param render: the figures in Prometheus' text format, and their content type.
    :param refresh: brings those up to date that have to be asked for; it never fails.
    """

    app = Klein()
    explain_errors(app)

    def __init__(
        self,
        render: Callable[[], tuple[bytes, str]],
        refresh: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._render = render
        self._refresh = refresh

    def site(self, reactor: IReactorTime) -> GatewaySite:
        """The factory to listen with."""
        return GatewaySite(self.app.resource(), _body_limit, _READ_TIMEOUT_SECONDS, reactor)

    @app.route("/metrics", methods=_READ_ONLY)
    async def metrics(self, request: GatewayRequest) -> bytes:
        await self._refresh()
        body, content_type = self._render()
        request.setHeader(b"Content-Type", content_type.encode())
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    @app.route("/healthz", methods=_READ_ONLY)
    def healthz(self, request: GatewayRequest) -> bytes:
        return text(request, 200, "OK")


def _body_limit(method: bytes, route: FunctionRoute | None, fields: Headers) -> int:
    """Nobody reads a body here."""
    return SMALL_BODY_BYTES
