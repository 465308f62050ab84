"""The figures' own small front door, on a listener of its own."""

from __future__ import annotations

from collections.abc import Callable

from klein import Klein
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request, Site

_READ_ONLY = ("GET", "HEAD")


class FiguresGateway:
    """``/metrics`` and ``/healthz``.

    :param render: the figures in Prometheus' text format, and their content type.
    :param refresh: brings those up to date that have to be asked for; it never fails.
    """

    app = Klein()

    def __init__(
        self,
        render: Callable[[], tuple[bytes, str]],
        refresh: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._render = render
        self._refresh = refresh

    def site(self, reactor: IReactorTime) -> Site:
        """The factory to listen with."""
        site = Site(self.app.resource(), reactor=reactor, parsePOSTFormSubmission=False)
        site.noisy = False
        site.log = _nothing  # type: ignore[assignment,method-assign]  # who asks for figures is no news
        return site

    @app.route("/metrics", methods=_READ_ONLY)
    async def metrics(self, request: Request) -> bytes:
        await self._refresh()
        body, content_type = self._render()
        request.setHeader(b"Content-Type", content_type.encode())
        return body

    @app.route("/healthz", methods=_READ_ONLY)
    def healthz(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        return b"OK\n"


def _nothing(request: Request) -> None:
    """Log no access."""
