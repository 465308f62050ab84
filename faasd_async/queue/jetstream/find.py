"""Finding calls: by subject, in the streams, with no index of our own.

A call lies in ``FAAS_CALLS`` or ``FAAS_LATER`` until its end is written, and its end is written
before it leaves them. So they are looked through in this order: a call that moves on meanwhile is
met further down. One that has moved back (its wait is over) is met in ``FAAS_CALLS`` when that is
looked into once more, before anybody is told that there is nothing. And what was found in the list
and is gone when it is read has moved as well: then everything begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger

from faasd_async.call.ending import Ending, callback_url_of
from faasd_async.call.history import History
from faasd_async.call.ids import TokenTooLong
from faasd_async.call.known import (
    CallbackKnown,
    CallbackState,
    CallName,
    Known,
    Place,
    buried,
)
from faasd_async.call.posting import NOT_POSTED, Posting
from faasd_async.call.request import NOT_TRIED, CallbackName, Outcome, QueueRequest
from faasd_async.errors import QueueUnavailable
from faasd_async.nats.errors import BadHeader, NatsError
from faasd_async.nats.jetstream import MessageNotFound
from faasd_async.queue.jetstream.records import Found, JetStreamRecords
from faasd_async.queue.jetstream.store import Store, queue_error
from faasd_async.queue.jetstream.stored.acceptance import (
    Accepting,
    due_time_of,
    read_accepting,
    start_time_of,
)
from faasd_async.queue.jetstream.stored.calls import read_request
from faasd_async.queue.jetstream.stored.dead_letters import read_dead_callback, read_dead_letter
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Unreadable
from faasd_async.queue.jetstream.stored.records import generation_of
from faasd_async.queue.jetstream.subjects import (
    CALLBACKS,
    CALLS,
    DEAD,
    DEAD_CALLBACK,
    LATER,
    OUTCOMES,
    Trace,
    read_trace,
    traces_like,
)

#: How often it is looked for a call that is on the move: it may leave each of the places where it
#: can wait in the very moment in which it is found there, and then it has ended.
_LOOKS = 5

#: Where the end of a call, or what is left of it, can be told from.
_STREAM_OF = {"call": CALLS, "later": LATER, "due": LATER, "outcome": OUTCOMES, "dead": DEAD}

#: Where a call may wait, by the kind of its subject.
_PLACES: tuple[tuple[str, Place], ...] = (("call", "queue"), ("due", "queue"), ("later", "later"))

_Traces = dict[CallName, list[Trace]]


class _Moved(Exception):
    """What was there a moment ago is not there any more."""


class JetStreamLookup:
    """See :class:`~faasd_async.queue.interface.Lookup`."""

    _log = Logger()

    def __init__(self, store: Store, records: JetStreamRecords) -> None:
        self._store = store
        self._records = records

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        return Deferred.fromCoroutine(self._find(call_id, accept))

    async def _find(self, call_id: str, accept: str | None) -> Known | None:
        for _ in range(_LOOKS):
            try:
                return await self._look(call_id, accept)
            except _Moved:
                continue
            except TokenTooLong:
                return None
            except NatsError as reason:
                raise queue_error(reason) from reason
            except (FromTheFuture, Unreadable, BadHeader) as reason:
                raise QueueUnavailable(str(reason)) from reason
        raise QueueUnavailable("the call is on the move; ask again")

    async def _look(self, call_id: str, accept: str | None) -> Known | None:
        traces: _Traces = {}
        for stream in (CALLS, LATER):
            await self._look_into(stream, call_id, traces)
        rest = (OUTCOMES, CALLBACKS, DEAD)
        try:
            await gatherResults(
                [
                    Deferred.fromCoroutine(self._look_into(stream, call_id, traces))
                    for stream in rest
                ],
                consumeErrors=True,
            )
        except FirstError as reason:
            raise (reason.subFailure.value or reason) from reason
        if not any(_STREAM_OF.keys() & {each.kind for each in of} for of in traces.values()):
            await self._look_into(CALLS, call_id, traces)
        if accept is not None:
            traces = {name: of for name, of in traces.items() if name.key.accept == accept}
        if not traces:
            return None
        name = await self._newest(traces)
        known = await _Call(self._store, self._records, name, traces[name]).tell()
        return replace(known, others=tuple(sorted(traces.keys() - {name})))

    async def _look_into(self, stream: str, call_id: str, traces: _Traces) -> None:
        like = traces_like(stream, call_id)
        info = await self._store.jetstream.stream_info(stream, subjects_filter=like)
        for subject in info.state.subjects or ():
            try:
                trace = read_trace(subject)
            except ValueError:
                self._log.error("a foreign subject is passed over: {subject}", subject=subject)
                continue
            traces.setdefault(trace.name, []).append(trace)

    async def _newest(self, traces: _Traces) -> CallName:
        """The one that was accepted last, of those that came last into each of the streams: however
        many share an id, so many are read."""
        if len(traces) == 1:
            return next(iter(traces))
        found: list[tuple[int, CallName]] = [(-1, max(traces))]
        last: dict[str, Trace] = {}
        for of in traces.values():
            for trace in of:
                last[trace.kind] = trace
        for kind in _STREAM_OF.keys() & last.keys():
            like = _like(last[kind])
            try:
                message = await self._store.jetstream.get_last_message(_STREAM_OF[kind], like)
            except MessageNotFound:
                continue
            try:
                trace, start_time_ns = read_trace(message.subject), start_time_of(Found.of(message))
            except ValueError:
                continue
            if trace.name in traces:
                found.append((start_time_ns, trace.name))
        return max(found)[1]


def _like(trace: Trace) -> str:
    """A filter for what is to calls of the same id as this is to one."""
    parts = trace.subject.split(".")
    call = len(parts) - 2
    return ".".join([*parts[:2], *("*" for _ in parts[2:call]), parts[call], "*"])


class _Call:
    """One call, told from its traces."""

    def __init__(
        self, store: Store, records: JetStreamRecords, name: CallName, traces: Sequence[Trace]
    ) -> None:
        self._store = store
        self._records = records
        self._name = name
        self._traces = traces

    async def tell(self) -> Known:
        """
        :raises _Moved: it has to be looked for anew.
        """
        place, request, due_ns = await self._waiting()
        ending, accepting = await self._ended(request)
        history = NOT_TRIED if request is None else request.history
        if ending is not None:
            history = ending.history
        elif request is not None:
            history = await self._noted(request)
            accepting = _accepting(request, owed=False)
        return Known(
            name=self._name,
            queue=accepting.queue,
            accepted_ns=accepting.start_time_ns,
            place=None if ending is not None else place,
            request=request,
            history=history,
            not_before_ns=due_ns or history.not_before_ns,
            ending=ending,
            callback=await self._callback(request, ending, accepting.callback_owed),
            traceparent=accepting.traceparent,
        )

    async def _waiting(self) -> tuple[Place | None, QueueRequest | None, int]:
        """The call itself, if it is in the queue, and when it is due."""
        for kind, place in _PLACES:
            for trace in self._of(kind):
                found = await self._read(trace)
                return place, read_request(found), due_time_of(found)
        return None, None, 0

    async def _ended(self, request: QueueRequest | None) -> tuple[Ending | None, Accepting]:
        """How it ended, unless it was replayed since; if nothing else is left, as its dead letter
        has it."""
        for trace in self._of("outcome"):
            found = await self._read(trace)
            if request is None or generation_of(found) >= request.generation:
                return self._records.read_ending(found), read_accepting(found)
        for trace in self._of("dead") if request is None else ():
            letter = read_dead_letter(await self._read(trace))
            outcome = Outcome(letter.status, (), b"", 0.0, letter.error)
            history = letter.request.history
            state = buried(letter.reason)
            ending = Ending(state, outcome, history, letter.ended_ns, letter.reason, "buried")
            accepted = letter.request
            owed = callback_url_of(accepted, ending) is not None
            return ending, _accepting(accepted, owed=owed)
        return None, Accepting("", 0, False)

    async def _noted(self, request: QueueRequest) -> History:
        if not self._of("attempt"):
            return request.history
        noted = await self._records.find_history(*self._name, request.generation)
        if noted is None or len(noted.attempts) < len(request.history.attempts):
            return request.history
        return noted

    async def _callback(
        self, request: QueueRequest | None, ending: Ending | None, owed: bool
    ) -> CallbackKnown | None:
        waiting, postings = self._of("callback"), self._of("posting")
        newest = max((*waiting, *postings), key=lambda trace: trace.turn, default=None)
        if newest is not None:
            name = CallbackName(*self._name, *newest.turn)
            posting = await self._records.find_posting(name) or NOT_POSTED
            if newest.turn in {trace.turn for trace in waiting} or posting.state == "waiting":
                return CallbackKnown("waiting", posting)
            return CallbackKnown(posting.state, posting)
        for trace in self._of(DEAD_CALLBACK):
            letter = read_dead_callback(await self._read(trace))
            posting = Posting("given_up", letter.tries, 0, letter.status, letter.error)
            return CallbackKnown("given_up", posting)
        asked = request is not None and (request.callback or request.on_failure)
        state: CallbackState = "pending" if ending is None else "forgotten"
        return CallbackKnown(state) if asked or owed else None

    def _of(self, kind: str) -> list[Trace]:
        return [trace for trace in self._traces if trace.kind == kind]

    async def _read(self, trace: Trace) -> Found:
        stream = DEAD if trace.kind == DEAD_CALLBACK else _STREAM_OF[trace.kind]
        try:
            return Found.of(await self._store.jetstream.get_last_message(stream, trace.subject))
        except MessageNotFound:
            raise _Moved from None


def _accepting(request: QueueRequest, *, owed: bool) -> Accepting:
    return Accepting(request.queue, request.start_time_ns, owed, request.traceparent)
