"""What an operator can do with dead letters: look through them, replay them, purge them.

An order that names no letter takes a filter, and one that means all of them has to say so: a
filter that is forgotten, or misspelt, does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ending import Kind, Letter, Reason, Undelivered
from faasd_async.call.ids import TokenTooLong, encode_token
from faasd_async.errors import CallTooLarge, MaybeStored, QueueError
from faasd_async.gateway.query import Query
from faasd_async.gateway.refusal import Refusal, answered
from faasd_async.gateway.system.edits import CHANGES, Edits, read_edits
from faasd_async.gateway.system.letter_sheet import Sheet, address, summary, whole
from faasd_async.gateway.system.replay import NotReplayable, Replay
from faasd_async.queue.interface import Filed, Selection

KINDS: tuple[Kind, ...] = get_args(Kind)
REASONS: tuple[str, ...] = tuple(dict.fromkeys((*get_args(Reason), *get_args(Undelivered))))

USUAL_LIMIT, HIGHEST_LIMIT = 100, 1000

#: A place that no letter lies behind.
_LAST_PLACE = 2**63 - 1

#: How many letters are put back at a time.
_REPLAYS = 16

Given = Mapping[bytes, Sequence[bytes]]


class Answer(NamedTuple):
    """An HTTP status, and an object for JSON."""

    status: int
    sheet: Sheet


class _Tally:
    """What became of the letters of one order.

    :ivar seen: how many were meant.
    :ivar queue_fails: whether the queue did not do its part: more of it would not help.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.replayed = 0
        self.queue_fails = False
        self._failed: list[Sheet] = []
        self._status = 202

    def failed(self, letter: Letter, status: int, why: str) -> None:
        if not self._failed:
            self._status = status
        self.queue_fails = self.queue_fails or status in (503, 504)
        self._failed.append(address(letter) | {"why": why})

    def answer(self) -> Answer:
        """A failure's status only if there was nothing but failures."""
        status = 202 if self.replayed else self._status
        return Answer(status, {"replayed": self.replayed, "failed": self._failed})


class DeadLetterOffice:
    """Fulfils the orders.

    :param refuse_destination: why a callback may not go to a URL, or ``None``.
    """

    def __init__(
        self, replay: Replay, refuse_destination: Callable[[CallbackUrl], str | None]
    ) -> None:
        self._replay = replay
        self._letters = replay.queue.dead_letters
        self._refuse_destination = refuse_destination

    async def page(self, given: Given) -> Answer:
        """A page of all letters, a line each.

        :raises Refusal: 400, the query is not understood; 503.
        """
        query = Query(given)
        selection = _filter(query)
        limit = query.number("limit", USUAL_LIMIT, 1, HIGHEST_LIMIT)
        after = query.number("after", 0, 0, _LAST_PLACE)
        query.finish()
        page = await answered(self._letters.look_through(selection, after, limit))
        lines = [summary(filed.letter) for filed in page.letters]
        return Answer(200, {"dead_letters": lines} | _next(page.next))

    async def show(self, call_id: str, given: Given) -> Answer:
        """The letters of one id, whole.

        :raises Refusal: 404, there is none; 400, 503.
        """
        query = Query(given)
        selection = _named(call_id, query)
        secrets = query.flag("secrets")
        limit = query.number("limit", USUAL_LIMIT, 1, HIGHEST_LIMIT)
        after = query.number("after", 0, 0, _LAST_PLACE)
        query.finish()
        page = await answered(self._letters.look_through(selection, after, limit))
        if not page.letters:
            raise _none(call_id)
        sheets = [whole(filed.letter, secrets=secrets) for filed in page.letters]
        return Answer(200, {"dead_letters": sheets} | _next(page.next))

    async def purge_named(self, call_id: str, given: Given) -> Answer:
        """Purge the letters of one id.

        :raises Refusal: 404, there is none; 400, 503.
        """
        query = Query(given)
        selection = _named(call_id, query)
        query.finish()
        answer = await self._purge(selection)
        if not answer.sheet["purged"]:
            raise _none(call_id)
        return answer

    async def purge(self, given: Given) -> Answer:
        """Purge what a filter means.

        :raises Refusal: 400, there is no filter; 503.
        """
        query = Query(given)
        selection = _filter(query)
        _finish_filter(query, selection)
        return await self._purge(selection)

    async def _purge(self, selection: Selection) -> Answer:
        purged = await answered(self._letters.purge(selection))
        await answered(self._replay.queue.when_durable())
        return Answer(200, {"purged": purged})

    async def replay_named(self, call_id: str, given: Given, body: bytes) -> Answer:
        """Replay the letters of one id.

        :raises Refusal: 404, there is none; 400, 403, 503.
        """
        query = Query(given)
        selection = _named(call_id, query)
        query.finish()
        edits = read_edits(body, self._refuse_destination)
        told = await self._replay_all(selection, edits, None)
        if told.seen == 0:
            raise _none(call_id)
        return told.answer()

    async def replay_many(self, given: Given, body: bytes) -> Answer:
        """Replay what a filter means, oldest first; what dies again meanwhile stays dead.

        :param body: JSON: what is to be changed, as for one, and the filter, if it is not in the
            query.
        :raises Refusal: 400, there is no filter; 403, 503.
        """
        filtered, changes = _filter_and_changes(body, given)
        query = Query({**given, **filtered})
        selection = _filter(query)
        limit = query.number("limit", 0, 1, _LAST_PLACE) or None
        _finish_filter(query, selection)
        edits = read_edits(changes, self._refuse_destination)
        return (await self._replay_all(selection, edits, limit)).answer()

    async def _replay_all(self, selection: Selection, edits: Edits, limit: int | None) -> _Tally:
        told = _Tally()
        slots = DeferredSemaphore(_REPLAYS)

        async def put_back(filed: Filed) -> None:
            try:
                await self._replay.put_back(filed, edits)
            except NotReplayable as reason:
                told.failed(filed.letter, 409, str(reason))
            except QueueError as reason:
                told.failed(filed.letter, _status(reason), str(reason))
            else:
                told.replayed += 1

        newest = await answered(self._letters.newest())
        after: int | None = 0
        while after is not None and after < newest and not told.queue_fails:
            wanted = USUAL_LIMIT if limit is None else min(USUAL_LIMIT, limit - told.seen)
            if wanted <= 0:
                break
            page = await answered(self._letters.look_through(selection, after, wanted))
            meant = [filed for filed in page.letters if filed.place <= newest]
            told.seen += len(meant)
            begun = [slots.run(_begin, put_back(each)) for each in meant]
            try:
                await gatherResults(begun, consumeErrors=True)
            except FirstError as reason:
                raise (reason.subFailure.value or reason) from reason
            after = page.next
        return told


def _begin(work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
    return Deferred.fromCoroutine(work)


def _status(reason: QueueError) -> int:
    if isinstance(reason, CallTooLarge):
        return 413
    return 504 if isinstance(reason, MaybeStored) else 503


def _filter(query: Query) -> Selection:
    function = query.text("function")
    kind = query.choice("kind", KINDS)
    reason = query.choice("reason", REASONS)
    return _possible(Selection(function=function, kind=kind, reason=reason), 400)


def _named(call_id: str, query: Query) -> Selection:
    accept = query.text("accept")
    kind = query.choice("kind", KINDS)
    return _possible(Selection(call_id=call_id, accept=accept, kind=kind), 404)


def _possible(selection: Selection, status: int) -> Selection:
    """
    :raises Refusal: nothing can be called so.
    """
    try:
        for name in (selection.call_id, selection.accept, selection.function):
            if name is not None:
                encode_token(name)
    except TokenTooLong as reason:
        raise Refusal(status, f"there is no such dead letter: {reason}") from None
    return selection


def _finish_filter(query: Query, selection: Selection) -> None:
    """
    :raises Refusal: 400, a filter that takes everything has to say so.
    """
    everything = query.flag("all")
    query.finish()
    if everything == (selection != Selection()):
        raise Refusal(400, "say which dead letters: function=, kind= or reason=; or all=true")


def _filter_and_changes(body: bytes, given: Given) -> tuple[Given, bytes]:
    """Tell a filter that came as JSON, in the form of one that came in the query, from the body of
    an order that changes something."""
    if not body.strip():
        return {}, b""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        changes = {name: fields.pop(name) for name in CHANGES if name in fields}
        filtered = msgspec.convert(
            {name: msgspec.json.decode(value) for name, value in fields.items()},
            dict[str, str | int | bool],
        )
    except msgspec.MsgspecError as reason:
        raise Refusal(400, f"the body: {reason}") from None
    told = {name.encode("latin-1", "replace"): [_text(value)] for name, value in filtered.items()}
    for name in told.keys() & given.keys():
        raise Refusal(400, f"{name.decode('latin-1')}: stands both in the query and in the body")
    return told, msgspec.json.encode(changes)


def _text(value: str | int | bool) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode("utf-8", "surrogateescape")


def _next(place: int | None) -> Sheet:
    return {} if place is None else {"next": place}


def _none(call_id: str) -> Refusal:
    return Refusal(404, f"there is no dead letter of {call_id[:80]!r}")
