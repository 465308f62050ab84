"""All calls in a list, the one that changed last first: read out of the streams, with no index.

What waits lies in ``FAAS_CALLS`` and ``FAAS_LATER``, in the order in which it came there; how calls
ended lies in ``FAAS_OUTCOMES``, in the order of their ends. A page is merged from the three, each
read backwards. Terminal records come without their bodies, for their headers say enough. Of a work
queue nothing can be had but whole messages: these are weighed, and a page of large ones is short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from faasd_async.call.ids import TokenTooLong
from faasd_async.call.known import CallName
from faasd_async.errors import QueueUnavailable
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import StoredMessage
from faasd_async.queue.jetstream.backwards import Backwards
from faasd_async.queue.jetstream.records import Found, JetStreamRecords
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.acceptance import read_accepting, start_time_of, tried_of
from faasd_async.queue.jetstream.stored.message import Unreadable
from faasd_async.queue.jetstream.stored.records import end_of, generation_of
from faasd_async.queue.jetstream.subjects import (
    CALLS,
    LATER,
    OUTCOMES,
    calls_like,
    read_about_subject,
    read_queued_subject,
)
from faasd_async.queue.listing import BadPlace, CallPage, End, Listed, Wanted, Where

#: In this order: a call that moves on meanwhile is met further down.
_STREAMS: tuple[tuple[Where, str], ...] = (("queue", CALLS), ("later", LATER), ("ended", OUTCOMES))

#: How much of a work queue is read at a time.
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Line:
    """A call, and where it stands in which stream."""

    stream: str
    sequence: int
    generation: int
    call: Listed


class JetStreamListing:
    """See :class:`~faasd_async.queue.listing.Listing`."""

    _log = Logger()

    def __init__(self, store: Store, records: JetStreamRecords) -> None:
        self._store = store
        self._records = records

    def page(self, wanted: Wanted, after: str | None, limit: int) -> Deferred[CallPage]:
        return Deferred.fromCoroutine(self._page(wanted, after, limit))

    async def _page(self, wanted: Wanted, after: str | None, limit: int) -> CallPage:
        places = _read_places(after)
        ways: dict[str, Backwards] = {}
        lines: list[_Line] = []
        try:
            for where, stream in _STREAMS:
                if where in wanted.where:
                    ways[stream] = way = await self._way(stream, wanted, places.get(stream))
                    lines += await self._read(way, stream, wanted, limit)
        except TokenTooLong:
            return CallPage((), None)
        except NatsError as reason:
            raise queue_error(reason) from reason
        lines.sort(key=lambda line: line.call.changed_ns, reverse=True)
        ended = {line.call.name: line.generation for line in lines if line.stream == OUTCOMES}
        taken = lines[:limit]
        calls = [
            line.call
            for line in taken
            if line.stream == OUTCOMES or ended.get(line.call.name, -1) < line.generation
        ]
        return CallPage(await self._with_tries(calls), _next(ways, lines[limit:]))

    async def _way(self, stream: str, wanted: Wanted, before: int | None) -> Backwards:
        jetstream = self._store.jetstream
        like = calls_like(stream, wanted.function, wanted.call_id)

        async def heads(first: int, count: int) -> tuple[Sequence[StoredMessage], bool]:
            found = await jetstream.get_heads(stream, like, first, count=count)
            return found, len(found) < count

        async def whole(first: int, count: int) -> tuple[Sequence[StoredMessage], bool]:
            batch = await jetstream.get_messages(
                stream, like, first, count=count, max_bytes=_READ_BYTES
            )
            return batch.messages, not batch.pending

        state = (await jetstream.stream_info(stream)).state
        last = state.last_seq + 1
        look = heads if stream == OUTCOMES else whole
        return Backwards(look, last if before is None else min(before, last), state.first_seq)

    async def _read(self, way: Backwards, stream: str, wanted: Wanted, limit: int) -> list[_Line]:
        lines: list[_Line] = []
        while len(lines) < limit and not (way.is_over or way.is_tired):
            for message in await way.some():
                line = await self._line(stream, message)
                if line is not None and _is_meant(line.call, wanted):
                    lines.append(line)
        return lines

    async def _line(self, stream: str, message: StoredMessage) -> _Line | None:
        try:
            found = Found.of(message)
            call = _call(stream, found, message)
            if stream == OUTCOMES:
                end = end_of(found) or await self._end(call.name)
                if end is None:
                    return None
                call = replace(call, end=end, attempts=end.attempts)
            return _Line(stream, message.sequence, generation_of(found), call)
        except (ValueError, Unreadable) as reason:
            self._log.error("a message is left out of the list: {reason}", reason=reason)
            return None

    async def _end(self, name: CallName) -> End | None:
        """As a record of an earlier version has it, which has to be read whole."""
        ending = await self._records.find_ending(*name)
        if ending is None:
            return None
        outcome = ending.outcome
        attempts = len(ending.history.attempts)
        return End(ending.state, outcome.status, outcome.duration_seconds, attempts)

    async def _with_tries(self, calls: Sequence[Listed]) -> Sequence[Listed]:
        """What was tried of those that wait in the queue may be noted beside them."""
        asked = [Deferred.fromCoroutine(self._with_try(call)) for call in calls]
        try:
            return await gatherResults(asked, consumeErrors=True)
        except FirstError as reason:
            raise (reason.subFailure.value or reason) from reason

    async def _with_try(self, call: Listed) -> Listed:
        if call.where == "ended":
            return call
        try:
            history = await self._records.find_history(*call.name)
        except QueueUnavailable:
            return call
        tried = 0 if history is None else len(history.attempts)
        return replace(call, attempts=max(tried, call.attempts))


def _call(stream: str, found: Found, message: StoredMessage) -> Listed:
    changed_ns = round(message.time.timestamp() * 1e9)
    if stream == OUTCOMES:
        function, key = read_about_subject(message.subject)
        accepting = read_accepting(found)
        name = CallName(function, key)
        return Listed(name, accepting.queue, accepting.start_time_ns, changed_ns, "ended", 0)
    queue, function, key = read_queued_subject(message.subject)
    where: Where = "later" if message.subject.startswith("faas.later.") else "queue"
    name, tried = CallName(function, key), tried_of(found)
    return Listed(name, queue, start_time_of(found), changed_ns, where, tried)


def _is_meant(call: Listed, wanted: Wanted) -> bool:
    if call.end is not None and wanted.states is not None:
        return call.end.state in wanted.states
    return call.where in wanted.where


def _next(ways: dict[str, Backwards], left: Sequence[_Line]) -> str | None:
    """Where each of the streams is to be read on: before the last line that was taken, or where
    the reading has come to."""
    if not left and all(way.is_over for way in ways.values()):
        return None
    places = {stream: way.before for stream, way in ways.items()}
    for line in left:
        places[line.stream] = max(places[line.stream], line.sequence + 1)
    return "-".join(str(place) for place in _in_order(places))


def _in_order(places: dict[str, int]) -> Iterator[int]:
    for _, stream in _STREAMS:
        yield places.get(stream, 0)


def _read_places(after: str | None) -> dict[str, int]:
    if after is None:
        return {}
    places = after.split("-")
    if len(places) != len(_STREAMS) or not all(
        place.isascii() and place.isdigit() and len(place) < 20 for place in places
    ):
        raise BadPlace(after)
    return {stream: int(place) for (_, stream), place in zip(_STREAMS, places, strict=True)}
