"""The caller's routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from functools import partial

from klein import Klein
from klein.resource import KleinResource

from faasd_async.gateway.answers import explain_errors, json
from faasd_async.gateway.calls.asked import asked_for
from faasd_async.gateway.calls.cancel import Cancellation
from faasd_async.gateway.calls.events import Events
from faasd_async.gateway.calls.flowing import pass_on
from faasd_async.gateway.calls.results import Results, Shown, receipt
from faasd_async.gateway.calls.status import Status
from faasd_async.gateway.operator import Operators
from faasd_async.gateway.prefer import LONGEST_SECONDS, Preferences, read_preferences
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.queue.bodies import Bodies
from faasd_async.settings.mistakes import Refusal as Mistake
from faasd_async.settings.quantities import parse_duration_or_zero

_READ_ONLY = ("GET", "HEAD")


class CallsGateway:
    """Everything under ``/call/``.

    :param bodies: where large results lie.
    """

    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def __init__(
        self,
        status: Status,
        results: Results,
        cancellation: Cancellation,
        events: Events,
        operators: Operators,
        bodies: Bodies | None = None,
    ) -> None:
        self._bodies = bodies
        self._status = status
        self._cancellation = cancellation
        self._events = events
        self._operators = operators
        self.results = results

    def resource(self) -> KleinResource:
        return self.app.resource()

    @app.route("/<call_id>", methods=_READ_ONLY)
    async def status(self, request: GatewayRequest, call_id: str) -> bytes:
        query = Query(request.args)
        asked = asked_for(request, call_id, query, self._operators)
        query.finish()
        step = await self._status.step(await self._status.find(asked), asked)
        request.setHeader(b"Cache-Control", b"no-store")
        return json(request, 200, step.sheet)

    @app.route("/<call_id>", methods=["DELETE"])
    async def cancel(self, request: GatewayRequest, call_id: str) -> bytes:
        return await self.cancel_named(request, call_id)

    async def cancel_named(self, request: GatewayRequest, call_id: str) -> bytes:
        """Cancel a call, whatever route it was named by."""
        query = Query(request.args)
        asked = asked_for(request, call_id, query, self._operators)
        query.finish()
        known = await self._cancellation.cancel(asked)
        return await self.show(request, receipt(known.name))

    @app.route("/<call_id>/result", methods=_READ_ONLY)
    async def result(self, request: GatewayRequest, call_id: str) -> bytes:
        query = Query(request.args)
        asked = asked_for(request, call_id, query, self._operators)
        preferences = read_preferences(request.field_lines)
        seconds = _wait_seconds(query, preferences)
        query.finish()
        found = await self.results.find(asked, seconds)
        if preferences.wait_seconds == seconds:
            request.setHeader(b"Preference-Applied", b"wait=%d" % preferences.wait_seconds)
        known = request.getHeader(b"if-none-match")
        return await self.show(request, found.for_one_who_has(known))

    async def show(self, request: GatewayRequest, found: Shown) -> bytes:
        """Answer with a result."""
        if isinstance(found.body, bytes):
            _head(request, found)
            return found.body
        if request.method == b"HEAD":
            _head(request, found)
            return b""
        assert self._bodies is not None
        await pass_on(request, self._bodies.open(found.body), partial(_head, request, found))
        return b""

    @app.route("/<call_id>/events", methods=_READ_ONLY)
    async def events(self, request: GatewayRequest, call_id: str) -> None:
        query = Query(request.args)
        asked = asked_for(request, call_id, query, self._operators)
        query.finish()
        last_id = request.getHeader(b"last-event-id") or b""

        def begin() -> None:
            request.setHeader(b"Content-Type", b"text/event-stream")
            request.setHeader(b"Cache-Control", b"no-store")
            # To a proxy that would rather gather a reply before it passes it on.
            request.setHeader(b"X-Accel-Buffering", b"no")

        if request.method == b"HEAD":
            await self._status.find(asked)
            begin()
            return
        follow = self._events.follow(asked, last_id.decode("latin-1"), begin, request.write)
        if not await follow:
            request.setResponseCode(204)


def _head(request: GatewayRequest, found: Shown) -> None:
    request.setResponseCode(found.status)
    for name, _ in found.fields:
        request.responseHeaders.removeHeader(name)
    for name, value in found.fields:
        request.responseHeaders.addRawHeader(name, value)


def _wait_seconds(query: Query, preferences: Preferences) -> float:
    """How long a client waits: as its query says, or else as it prefers."""
    text = query.text("wait")
    if text is None:
        return preferences.wait_seconds or 0
    try:
        return min(parse_duration_or_zero(text), LONGEST_SECONDS)
    except Mistake as mistake:
        raise Refusal(400, f"wait: {mistake}") from None
