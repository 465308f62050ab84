"""The caller's routes. Each is a few lines: what a route does stands in a module of its own."""

from __future__ import annotations

from klein import Klein
from klein.resource import KleinResource

from faasd_async.gateway.answers import explain_errors, json
from faasd_async.gateway.calls.asked import Asked, asked_for, unknown
from faasd_async.gateway.calls.results import LONGEST_SECONDS, Results, Shown, answered
from faasd_async.gateway.calls.sheet import Sheet, sheet_of
from faasd_async.gateway.channel import GatewayRequest
from faasd_async.gateway.prefer import Preferences, read_preferences
from faasd_async.gateway.refusal import Refusal
from faasd_async.gateway.system.query import Query
from faasd_async.queue.interface import Lookup, Peers
from faasd_async.settings.mistakes import Refusal as Mistake
from faasd_async.settings.quantities import parse_duration_or_zero

_READ_ONLY = ("GET", "HEAD")


class CallsGateway:
    """Everything under ``/call/``."""

    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    explain_errors(app)

    def __init__(self, lookup: Lookup, peers: Peers, results: Results) -> None:
        self._lookup = lookup
        self._peers = peers
        self.results = results

    def resource(self) -> KleinResource:
        return self.app.resource()

    @app.route("/<call_id>", methods=_READ_ONLY)
    async def status(self, request: GatewayRequest, call_id: str) -> bytes:
        query = Query(request.args)
        asked = asked_for(request, call_id, query)
        query.finish()
        sheet = await self._status(asked)
        request.setHeader(b"Cache-Control", b"no-store")
        return json(request, 200, sheet)

    async def _status(self, asked: Asked) -> Sheet:
        known = await answered(self._lookup.find(*asked))
        if known is None:
            raise unknown(asked)
        if known.is_forgotten:
            raise Refusal(410, "the call has ended, and what became of it is kept no longer")
        is_under_way = known.place == "queue"
        grip = await self._peers.ask(known.name.key) if is_under_way else None
        return sheet_of(known, grip, asked)

    @app.route("/<call_id>/result", methods=_READ_ONLY)
    async def result(self, request: GatewayRequest, call_id: str) -> bytes:
        query = Query(request.args)
        asked = asked_for(request, call_id, query)
        preferences = read_preferences(request.field_lines)
        seconds = _wait_seconds(query, preferences)
        query.finish()
        found = await self.results.find(asked, seconds)
        if preferences.wait_seconds is not None:
            request.setHeader(b"Preference-Applied", b"wait=%d" % preferences.wait_seconds)
        return show(request, found)


def _wait_seconds(query: Query, preferences: Preferences) -> float:
    """How long a client waits: as its query says, or else as it prefers."""
    text = query.text("wait")
    if text is None:
        return preferences.wait_seconds or 0
    try:
        return min(parse_duration_or_zero(text), LONGEST_SECONDS)
    except Mistake as mistake:
        raise Refusal(400, f"wait: {mistake}") from None


def show(request: GatewayRequest, found: Shown) -> bytes:
    """Answer with a result."""
    found = found.for_one_who_has(request.getHeader(b"if-none-match"))
    request.setResponseCode(found.status)
    for name, _ in found.fields:
        request.responseHeaders.removeHeader(name)
    for name, value in found.fields:
        request.responseHeaders.addRawHeader(name, value)
    return found.body
