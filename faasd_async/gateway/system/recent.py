"""The calls that there are, listed for an operator; and what one of them was called with, and
answered."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, get_args

from twisted.internet.defer import Deferred, gatherResults

from faasd_async.call.body import Body
from faasd_async.call.ending import DeadLetter, State
from faasd_async.call.ids import TokenTooLong
from faasd_async.call.known import Grip
from faasd_async.call.moments import rfc3339
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.gateway.arrival import path_of
from faasd_async.gateway.query import Query, mistake
from faasd_async.gateway.refusal import answered
from faasd_async.gateway.system.letter_sheet import Sheet, message_sheet, shown
from faasd_async.queue.interface import DeadLetters, Lookup, Peers, Selection
from faasd_async.queue.listing import EVERYWHERE, BadPlace, CallPage, Listed, Listing, Wanted, Where

CallState = Literal["scheduled", "queued", "running", "retrying"] | State

ENDED: tuple[State, ...] = get_args(State)
WAITING: tuple[Literal["scheduled", "queued", "running", "retrying"], ...] = (
    "scheduled",
    "queued",
    "running",
    "retrying",
)

USUAL_LIMIT, HIGHEST_LIMIT = 50, 200

#: Of a state that many others are found before, so many pages are looked through for one.
_MOST_PAGES = 5

#: Of a body that is longer only the beginning is shown.
_SHOWN_BYTES = 64 * 1024

_ENDED: tuple[Where, ...] = ("ended",)

#: Where calls of a state that have not ended may be.
_WHERE: dict[str | None, tuple[Where, ...]] = {
    "scheduled": ("later",),
    "queued": ("queue",),
    "running": ("queue",),
    "retrying": ("queue", "later"),
}


class RecentCalls:
    """Lists them."""

    def __init__(
        self, listing: Listing, lookup: Lookup, letters: DeadLetters, peers: Peers
    ) -> None:
        self._listing = listing
        self._lookup = lookup
        self._letters = letters
        self._peers = peers

    async def page(self, query: Query) -> Sheet:
        """A page of them, the one that changed last first.

        :raises Refusal: 400, the query is not understood; 503.
        """
        call_id, function = query.text("id"), query.text("function")
        state: CallState | None = query.choice("state", (*WAITING, *ENDED))
        limit = query.number("limit", USUAL_LIMIT, 1, HIGHEST_LIMIT)
        after = query.text("after")
        query.finish()
        ended = [each for each in ENDED if each == state]
        where = _ENDED if ended else _WHERE.get(state, EVERYWHERE)
        wanted = Wanted(call_id, function, where, ended or None)
        lines: list[Sheet] = []
        for _ in range(_MOST_PAGES):
            page = await self._look(wanted, after, limit - len(lines))
            told = await gatherResults([Deferred.fromCoroutine(self._line(c)) for c in page.calls])
            lines += [line for line in told if state in (None, line["state"])]
            after = page.next
            if after is None or len(lines) >= limit:
                break
        return {"calls": lines} | ({} if after is None else {"next": after})

    async def ended(self, limit: int) -> Sequence[Sheet]:
        """The calls that have ended last, the last first.

        :raises Refusal: 503.
        """
        page = await self._look(Wanted(None, None, _ENDED), None, limit)
        return [_sheet(call, None) for call in page.calls]

    async def request(self, call_id: str, query: Query) -> Sheet:
        """What a call was called with, as long as the queue or a dead letter has it, and what came
        of it, as long as that is kept.

        :raises Refusal: 400, 503.
        """
        accept = query.text("accept")
        query.finish()
        known = await answered(self._lookup.find(call_id, accept))
        request = None if known is None else known.request
        if request is None:
            request = await self._dead(call_id, accept)
        ending = None if known is None else known.ending
        return {
            "id": shown(call_id),
            "request": None if request is None else _request(request),
            "result": None if ending is None or ending.withheld else _result(ending.outcome),
        }

    async def _dead(self, call_id: str, accept: str | None) -> QueueRequest | None:
        selection = Selection(call_id=call_id, accept=accept, kind="call")
        try:
            page = await answered(self._letters.look_through(selection, 0, 1))
        except TokenTooLong:
            return None
        letters = [each.letter for each in page.letters if isinstance(each.letter, DeadLetter)]
        return letters[0].request if letters else None

    async def _look(self, wanted: Wanted, after: str | None, limit: int) -> CallPage:
        try:
            return await answered(self._listing.page(wanted, after, limit))
        except BadPlace:
            raise mistake(
                "after", repr((after or "")[:80]), "what a page has as its next"
            ) from None

    async def _line(self, call: Listed) -> Sheet:
        grip = await self._peers.ask(call.name.key) if call.where == "queue" else None
        return _sheet(call, grip)


def _sheet(call: Listed, grip: Grip | None) -> Sheet:
    """A call in a line of a list, for JSON."""
    key, end = call.name.key, call.end
    return {
        "id": shown(key.call_id),
        "accept": shown(key.accept),
        "function": shown(call.name.function),
        "queue": shown(call.queue) or None,
        "state": _state(call, grip),
        "attempts": call.attempts,
        "status": None if end is None else end.status,
        "seconds": None if end is None else round(end.seconds, 6),
        "accepted": rfc3339(call.accepted_ns),
        "changed": rfc3339(call.changed_ns),
        "self": path_of(key.call_id),
    }


def _state(call: Listed, grip: Grip | None) -> CallState:
    if call.end is not None:
        return call.end.state
    if grip is not None and grip.begun_ns:
        return "running"
    if call.attempts:
        return "retrying"
    return "scheduled" if call.where == "later" else "queued"


def _request(request: QueueRequest) -> Sheet:
    return {
        "target": request.target.decode("latin-1"),
        "size": len(request.body),
        "callback_url": None if request.callback is None else str(request.callback),
        **message_sheet(request.headers, _beginning(request.body), secrets=False),
    }


def _result(outcome: Outcome) -> Sheet:
    return {
        "status": outcome.status,
        "size": len(outcome.body),
        **message_sheet(outcome.headers, _beginning(outcome.body), secrets=False),
    }


def _beginning(body: Body) -> Body:
    if isinstance(body, bytes) and len(body) > _SHOWN_BYTES:
        body = body[:_SHOWN_BYTES]
        with suppress(UnicodeDecodeError):
            # A character that is cut in two is left out.
            body = codecs.getincrementaldecoder("utf-8")().decode(body).encode()
    return body
