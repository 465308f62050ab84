"""Parcels and records as JetStream messages.

A request's payload is its stored form (:mod:`faasd_async.call.http_form`). What the queue itself
needs stands in NATS headers of its own, ASCII throughout, so that no header of a caller's can
become one of NATS'. Ids and names stand in the subject and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from faasd_async.call import callback_url, http_form
from faasd_async.call import headers as call_headers
from faasd_async.call.body import Body, StoredBody
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ending import (
    DeadCallback,
    DeadLetter,
    Ending,
    Reason,
    State,
    Undelivered,
    Withheld,
)
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey, decode_token, encode_token
from faasd_async.call.posting import Posting
from faasd_async.call.request import NOT_TRIED, CallbackRequest, Outcome, QueueRequest
from faasd_async.nats.errors import BadHeader
from faasd_async.nats.wire import Headers, encode_headers
from faasd_async.queue.interface import Accepted
from faasd_async.queue.jetstream.subjects import (
    read_about_subject,
    read_callback_subject,
    read_queued_subject,
)
from faasd_async.queue.listing import End

#: The layout described above. A reader refuses a higher one.
FORMAT = 2

#: What a message is written in whose body is in it; one whose body lies elsewhere has the next.
_WHOLE_FORMAT = 1
_BODY_ELSEWHERE_FORMAT = 2

_FORMAT = b"Faas-Format"
_START_TIME = b"Faas-Start-Time"
_CALLBACK_URL = b"Faas-Callback-Url"
_HISTORY = b"Faas-History"
_GENERATION = b"Faas-Generation"
_DIGEST = b"Faas-Digest"
_QUEUE = b"Faas-Queue"
_CALLBACK = b"Faas-Callback"
_REPLAYS = b"Faas-Replays"
_ON_FAILURE_URL = b"Faas-On-Failure-Url"
_DEATH = b"Faas-Death"
_NOT_BEFORE = b"Faas-Not-Before"
_EXPIRES = b"Faas-Expires"
_MAX_ATTEMPTS = b"Faas-Max-Attempts"
_BODY = b"Faas-Body"
_TRACEPARENT = b"Faas-Traceparent"
_END = b"Faas-End"

#: JetStream's own: when a message of a stream that keeps schedules is due.
SCHEDULE = b"Nats-Schedule"

#: Of so many callback URLs the target is kept: most go where others went a moment ago.
_REMEMBERED = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Fields = list[tuple[bytes, bytes]]
Record = TypeVar("Record")


class Unreadable(ValueError):
    """A message that will never be understood; the text says why."""


class FromTheFuture(ValueError):
    """A message that a newer version wrote: it is whole, and has to wait for that version."""


class Message(Protocol):
    """What is read of a message."""

    @property
    def subject(self) -> bytes: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def payload(self) -> bytes: ...


# -- calls and callbacks


def write_request(request: QueueRequest) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload; the subject depends on where it goes."""
    fields = [_format(request.body), (_START_TIME, b"%d" % request.start_time_ns)]
    if request.callback is not None:
        fields.append((_CALLBACK_URL, request.callback.text.encode("ascii")))
    if request.history is not NOT_TRIED:
        fields.append((_HISTORY, _in_ascii(request.history)))
    if request.generation:
        fields.append((_GENERATION, b"%d" % request.generation))
    if request.digest:
        fields.append((_DIGEST, request.digest.encode("ascii")))
    if request.on_failure is not None:
        fields.append((_ON_FAILURE_URL, request.on_failure.text.encode("ascii")))
    if request.not_before_ns:
        fields.append((_NOT_BEFORE, b"%d" % request.not_before_ns))
    if request.expires_ns:
        fields.append((_EXPIRES, b"%d" % request.expires_ns))
    if request.max_attempts:
        fields.append((_MAX_ATTEMPTS, b"%d" % request.max_attempts))
    if request.traceparent:
        fields.append((_TRACEPARENT, request.traceparent))
    if type(request.body) is StoredBody:
        fields.append(_elsewhere(request.body))
    return fields, http_form.write(request.target, request.headers, request.body)


def first_written(request: QueueRequest) -> tuple[bytes, bytes]:
    """As :func:`write_request`, the headers encoded: for a call that was just accepted."""
    fields, payload = write_request(request)
    return encode_headers(fields), payload


def read_request(message: Message) -> QueueRequest:
    """
    :raises Unreadable: it is no call.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message).by_name()
    try:
        queue, function, key = read_queued_subject(message.subject.decode())
        elsewhere = _body_in(message, noted.get(_BODY))
        target, headers, body = http_form.read(message.payload, elsewhere)
        url, history = noted.get(_CALLBACK_URL), noted.get(_HISTORY)
        on_failure = noted.get(_ON_FAILURE_URL)
        return QueueRequest(
            function=function,
            queue=queue,
            key=key,
            start_time_ns=int(noted.get(_START_TIME, b"")),
            target=target,
            headers=headers,
            body=body,
            callback=callback_url.parse(url) if url else None,
            history=msgspec.json.decode(history, type=History) if history else NOT_TRIED,
            generation=int(noted.get(_GENERATION, b"0")),
            digest=noted.get(_DIGEST, b"").decode("ascii"),
            on_failure=callback_url.parse(on_failure) if on_failure else None,
            not_before_ns=int(noted.get(_NOT_BEFORE, b"0")),
            expires_ns=int(noted.get(_EXPIRES, b"0")),
            max_attempts=int(noted.get(_MAX_ATTEMPTS, b"0")),
            traceparent=noted.get(_TRACEPARENT, b""),
        )
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason


def write_callback(callback: CallbackRequest) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    url = callback.url.text.encode("ascii")
    fields = [_format(callback.body), (_CALLBACK_URL, url)]
    if type(callback.body) is StoredBody:
        fields.append(_elsewhere(callback.body))
    if callback.generation:
        fields.append((_GENERATION, b"%d" % callback.generation))
    if callback.replays:
        fields.append((_REPLAYS, b"%d" % callback.replays))
    if callback.traceparent:
        fields.append((_TRACEPARENT, callback.traceparent))
    return fields, http_form.write(_target(callback.url), callback.headers, callback.body)


def read_callback(message: Message, since_ns: int = 0) -> CallbackRequest:
    """
    :param since_ns: when it was put into the queue, Unix nanoseconds.
    :raises Unreadable: it is no callback.
    :raises FromTheFuture: its format is not known yet.
    """
    return _callback(message, read_callback_subject, since_ns)


def _callback(
    message: Message, read_subject: Callable[[str], tuple[str, CallKey]], since_ns: int = 0
) -> CallbackRequest:
    noted = _noted(message).by_name()
    try:
        function, key = read_subject(message.subject.decode())
        elsewhere = _body_in(message, noted.get(_BODY))
        _, headers, body = http_form.read(message.payload, elsewhere)
        url = callback_url.parse(noted.get(_CALLBACK_URL, b""))
        generation = int(noted.get(_GENERATION, b"0"))
        replays = int(noted.get(_REPLAYS, b"0"))
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
    traceparent = noted.get(_TRACEPARENT, b"")
    return CallbackRequest(
        function, key, url, headers, body, generation, replays, traceparent, since_ns
    )


class Accepting(NamedTuple):
    """How a call was accepted, as the record of its end tells.

    :ivar queue: empty if it does not.
    :ivar start_time_ns: 0 if it does not.
    :ivar callback_owed: whether its end was to be told to somebody.
    :ivar traceparent: the trace it belongs to; empty: none.
    """

    queue: str
    start_time_ns: int
    callback_owed: bool
    traceparent: bytes = b""


def accepted_fields(request: QueueRequest, *, callback_owed: bool = False) -> Fields:
    """What the record of a call's end says besides, for :func:`read_accepted` and
    :func:`read_accepting`."""
    fields = [
        (_START_TIME, b"%d" % request.start_time_ns),
        (_QUEUE, encode_token(request.queue).encode("ascii")),
    ]
    if request.digest:
        fields.append((_DIGEST, request.digest.encode("ascii")))
    if callback_owed:
        fields.append((_CALLBACK, b"owed"))
    if request.traceparent:
        fields.append((_TRACEPARENT, request.traceparent))
    return fields


def read_accepting(message: Message) -> Accepting:
    """What a record says of how its call was accepted, or the call itself."""
    noted = message.headers
    return Accepting(
        queue=decode_token(noted.get(_QUEUE).decode("ascii")),
        start_time_ns=start_time_of(message),
        callback_owed=bool(noted.get(_CALLBACK)),
        traceparent=noted.get(_TRACEPARENT),
    )


def start_time_of(message: Message) -> int:
    """When a call was accepted, Unix nanoseconds; 0 if it does not say."""
    written = message.headers.get(_START_TIME)
    return int(written) if written.isdigit() else 0


def due_time_of(message: Message) -> int:
    """When a call that was put off is due, Unix nanoseconds; 0 if it is not put off."""
    kind, _, at = message.headers.get(SCHEDULE).partition(b" ")
    if kind != b"@at":
        return 0
    try:
        moment = datetime.fromisoformat(at.decode("ascii"))
    except ValueError:
        return 0
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def tried_of(message: Message) -> int:
    """How many attempts at a call there were when it was put where it is."""
    history = message.headers.get(_HISTORY)
    return len(msgspec.json.decode(history, type=History).attempts) if history else 0


def read_accepted(message: Message) -> Accepted:
    """How a keyed call was accepted; from the call itself, or from any record of it.

    :raises Unreadable: it says nothing of it.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message)
    subject = message.subject.decode()
    try:
        if subject.startswith("faas.outcome."):
            _, key = read_about_subject(subject)
        else:
            _, _, key = read_queued_subject(subject)
        return Accepted(key, int(noted.get(_START_TIME)), noted.get(_DIGEST).decode("ascii"))
    except ValueError as reason:
        raise Unreadable(f"{subject}: {reason!r}") from reason


# -- what is known of calls


class _EndingHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a terminal record, JSON; the answer's body follows it."""

    state: State
    status: int
    seconds: float
    ended_ns: int
    history: History
    headers: tuple[tuple[str, str], ...] = ()
    error: str = ""
    reason: Reason | None = None
    is_private: bool = False
    kept_until_ns: int = 0
    withheld: Withheld | None = None


def write_ending(
    ending: Ending,
    *,
    with_result: bool,
    withheld: Withheld | None = None,
    kept_until_ns: int = 0,
) -> tuple[Fields, bytes]:
    """:param with_result: the answer's headers and body too, not only its status.
    :param withheld: why they are nobody's but the callback's.
    :param kept_until_ns: when they become so, Unix nanoseconds; 0: not before the record is gone.
    :return: NATS headers and payload."""
    outcome = ending.outcome
    head = _EndingHead(
        state=ending.state,
        status=outcome.status,
        seconds=outcome.duration_seconds,
        ended_ns=ending.ended_ns,
        history=ending.history,
        headers=_as_text(outcome.headers) if with_result else (),
        error=outcome.error,
        reason=ending.reason,
        is_private=withheld is not None,
        kept_until_ns=kept_until_ns,
        withheld=withheld,
    )
    body = outcome.body if with_result else b""
    line = msgspec.json.encode(head) + b"\n"
    attempts = len(ending.history.attempts)
    words = f"{ending.state} {outcome.status} {outcome.duration_seconds:.6f} {attempts}"
    fields = [_format(body), (_END, words.encode("ascii"))]
    if type(body) is bytes:
        return fields, line + body
    assert isinstance(body, StoredBody)
    return [*fields, _elsewhere(body)], line


def read_ending(message: Message, now_ns: int = 0) -> Ending:
    """
    :param now_ns: Unix nanoseconds; an answer that is kept no longer is private.
    :raises Unreadable: it is no terminal record.
    :raises FromTheFuture: its format is not known yet.
    """
    _noted(message)
    line, _, rest = message.payload.partition(b"\n")
    elsewhere = body_of(message)
    body: Body = rest if elsewhere is None else elsewhere
    head = _decoded(message, line, _EndingHead)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]
    outcome = Outcome(head.status, headers, body, head.seconds, head.error)
    return Ending(
        head.state, outcome, head.history, head.ended_ns, head.reason, _withheld(head, now_ns)
    )


def _withheld(head: _EndingHead, now_ns: int) -> Withheld | None:
    if head.is_private:
        return head.withheld or "unsaid"
    return "over" if 0 < head.kept_until_ns <= now_ns else None


def end_of(message: Message) -> End | None:
    """How a call ended, as the headers of its terminal record say; ``None`` if they do not, as
    those of earlier versions."""
    words = message.headers.get(_END).decode("ascii").split()
    if len(words) != 4:
        return None
    state, status, seconds, attempts = words
    return msgspec.convert(
        {"state": state, "status": status, "seconds": seconds, "attempts": attempts},
        End,
        strict=False,
    )


def write_history(history: History) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    return [(_FORMAT, b"%d" % _WHOLE_FORMAT)], msgspec.json.encode(history)


def read_history(message: Message) -> History:
    """As :func:`read_ending`."""
    _noted(message)
    return _decoded(message, message.payload, History)


def write_posting(posting: Posting) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    return [(_FORMAT, b"%d" % _WHOLE_FORMAT)], msgspec.json.encode(posting)


def read_posting(message: Message) -> Posting:
    """As :func:`read_ending`."""
    _noted(message)
    return _decoded(message, message.payload, Posting)


# -- dead letters


class _Death(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands beside the request in a dead letter."""

    reason: Reason
    status: int
    ended_ns: int
    error: str = ""


def write_dead_letter(letter: DeadLetter) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    fields, payload = write_request(letter.request)
    death = _Death(letter.reason, letter.status, letter.ended_ns, letter.error)
    return [*fields, (_DEATH, _in_ascii(death))], payload


def read_dead_letter(message: Message) -> DeadLetter:
    """As :func:`read_request`."""
    request = read_request(message)
    death = _decoded(message, message.headers.get(_DEATH), _Death)
    return DeadLetter(request, death.reason, death.status, death.error, death.ended_ns)


def write_unreadable(why: str, ended_ns: int) -> Fields:
    """What stands beside a message that cannot be read, which is the letter's payload whole."""
    return [
        (_FORMAT, b"%d" % _WHOLE_FORMAT),
        (_DEATH, _in_ascii(_Death("unreadable", 0, ended_ns, why))),
    ]


def read_unreadable(message: Message) -> str | None:
    """Why what a letter holds could not be read; ``None`` if it could.

    As :func:`read_ending`.
    """
    _noted(message)
    written = message.headers.get(_DEATH)
    if b'"unreadable"' not in written:
        return None
    death = _decoded(message, written, _Death)
    return death.error if death.reason == "unreadable" else None


class _Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands beside a callback that could not be delivered."""

    reason: Undelivered
    status: int
    tries: int
    ended_ns: int
    error: str = ""
    attempts: tuple[Attempt, ...] = ()


def write_dead_callback(letter: DeadCallback) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    fields, payload = write_callback(letter.callback)
    failure = _Failure(
        letter.reason, letter.status, letter.tries, letter.ended_ns, letter.error, letter.attempts
    )
    return [*fields, (_DEATH, _in_ascii(failure))], payload


def read_dead_callback(message: Message) -> DeadCallback:
    """As :func:`read_callback`."""
    callback = _callback(message, lambda subject: read_queued_subject(subject)[1:])
    failure = _decoded(message, message.headers.get(_DEATH), _Failure)
    return DeadCallback(
        callback,
        failure.reason,
        failure.status,
        failure.error,
        failure.tries,
        failure.ended_ns,
        failure.attempts,
    )


# -- the generation of what is known of a call


def written_in(generation: int) -> Fields:
    """What a record says of how often its call had been replayed, for :func:`generation_of`."""
    return [(_GENERATION, b"%d" % generation)] if generation else []


def generation_of(message: Message) -> int:
    """How often a record's call had been replayed when it was written; 0 if it does not say."""
    written = message.headers.get(_GENERATION)
    return int(written) if written.isdigit() else 0


# -- a body that lies elsewhere


def _format(body: Body) -> tuple[bytes, bytes]:
    """A version that knows nothing of bodies elsewhere is not to take one for missing."""
    return _FORMAT, b"%d" % (_WHOLE_FORMAT if type(body) is bytes else _BODY_ELSEWHERE_FORMAT)


def _elsewhere(body: StoredBody) -> tuple[bytes, bytes]:
    return _BODY, f"{body.name} {body.size_bytes} {body.sha256}".encode("ascii")


def body_of(message: Message) -> StoredBody | None:
    """Where a message's body lies, if it is not in it.

    :raises Unreadable: it does not say so in a way that is understood.
    """
    return _body_in(message, message.headers.get(_BODY))


def _body_in(message: Message, written: bytes | None) -> StoredBody | None:
    if not written:
        return None
    try:
        name, size, sha256 = written.decode("ascii").split(" ")
        return StoredBody(name, int(size), sha256)
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason


# -- their parts


def _noted(message: Message) -> Headers:
    """What the queue noted in a message's own headers, their format checked."""
    try:
        noted = message.headers
    except BadHeader as reason:
        raise Unreadable(f"{message.subject!r}: {reason}") from reason
    written = noted.get(_FORMAT)
    if not written.isdigit():
        raise Unreadable(f"{message.subject!r}: no {_FORMAT.decode()} header")
    if int(written) > FORMAT:
        raise FromTheFuture(
            f"{message.subject!r} has format {int(written)}; this version reads up to {FORMAT}"
        )
    return noted


def _decoded(message: Message, text: bytes, kind: type[Record]) -> Record:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as reason:
        raise Unreadable(f"{message.subject!r}: {reason}") from reason


def _in_ascii(record: object) -> bytes:
    """JSON that may stand in a NATS header."""
    return json.dumps(msgspec.to_builtins(record), separators=(",", ":")).encode("ascii")


def _as_text(fields: call_headers.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


@lru_cache(_REMEMBERED)
def _target(url: CallbackUrl) -> bytes:
    rest = url.without_credentials.partition("://")[2]
    query = rest.partition("?")[2]
    return (f"{url.path}?{query}" if query else url.path).encode("ascii")
