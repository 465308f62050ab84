"""Parcels and records as JetStream messages.

A request's payload is its stored form (:mod:`faasd_async.call.http_form`). What the queue itself
needs stands in NATS headers of its own, ASCII throughout, so that no header of a caller's can
become one of NATS'. Ids and names stand in the subject and nowhere else.
"""

from __future__ import annotations

import json
from typing import Protocol, TypeVar

import msgspec

from faasd_async.call import callback_url, http_form
from faasd_async.call import headers as call_headers
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ending import DeadLetter, Ending, Reason, State
from faasd_async.call.history import History
from faasd_async.call.request import NOT_TRIED, CallbackRequest, Outcome, QueueRequest
from faasd_async.nats.wire import Headers
from faasd_async.queue.interface import Accepted
from faasd_async.queue.jetstream.subjects import read_about_subject, read_queued_subject

#: The layout described above. A reader refuses a higher one.
FORMAT = 1

_FORMAT = b"Faas-Format"
_START_TIME = b"Faas-Start-Time"
_CALLBACK_URL = b"Faas-Callback-Url"
_HISTORY = b"Faas-History"
_GENERATION = b"Faas-Generation"
_DIGEST = b"Faas-Digest"
_DEATH = b"Faas-Death"

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
    fields = [(_FORMAT, b"%d" % FORMAT), (_START_TIME, b"%d" % request.start_time_ns)]
    if request.callback is not None:
        fields.append((_CALLBACK_URL, request.callback.text.encode("ascii")))
    if request.history is not NOT_TRIED:
        fields.append((_HISTORY, _in_ascii(request.history)))
    if request.generation:
        fields.append((_GENERATION, b"%d" % request.generation))
    if request.digest:
        fields.append((_DIGEST, request.digest.encode("ascii")))
    return fields, http_form.write(request.target, request.headers, request.body)


def read_request(message: Message) -> QueueRequest:
    """
    :raises Unreadable: it is no call.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message)
    try:
        queue, function, key = read_queued_subject(message.subject.decode())
        target, headers, body = http_form.read(message.payload)
        url, history = noted.get(_CALLBACK_URL), noted.get(_HISTORY)
        return QueueRequest(
            function=function,
            queue=queue,
            key=key,
            start_time_ns=int(noted.get(_START_TIME)),
            target=target,
            headers=headers,
            body=body,
            callback=callback_url.parse(url) if url else None,
            history=msgspec.json.decode(history, type=History) if history else NOT_TRIED,
            generation=int(noted.get(_GENERATION, b"0")),
            digest=noted.get(_DIGEST, b"").decode("ascii"),
        )
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason


def write_callback(callback: CallbackRequest) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    url = callback.url.text.encode("ascii")
    fields = [(_FORMAT, b"%d" % FORMAT), (_CALLBACK_URL, url)]
    return fields, http_form.write(_target(callback.url), callback.headers, callback.body)


def read_callback(message: Message) -> CallbackRequest:
    """
    :raises Unreadable: it is no callback.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message)
    try:
        function, key = read_about_subject(message.subject.decode())
        _, headers, body = http_form.read(message.payload)
        url = callback_url.parse(noted.get(_CALLBACK_URL))
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
    return CallbackRequest(function, key, url, headers, body)


def accepted_fields(request: QueueRequest) -> Fields:
    """What a record of a keyed call says besides, for :func:`read_accepted`."""
    if not request.digest:
        return []
    return [
        (_START_TIME, b"%d" % request.start_time_ns),
        (_DIGEST, request.digest.encode("ascii")),
    ]


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


def write_ending(ending: Ending, *, with_result: bool) -> tuple[Fields, bytes]:
    """:param with_result: the answer's headers and body too, not only its status.
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
    )
    body = outcome.body if with_result else b""
    return [(_FORMAT, b"%d" % FORMAT)], msgspec.json.encode(head) + b"\n" + body


def read_ending(message: Message) -> Ending:
    """
    :raises Unreadable: it is no terminal record.
    :raises FromTheFuture: its format is not known yet.
    """
    _noted(message)
    line, _, body = message.payload.partition(b"\n")
    head = _decoded(message, line, _EndingHead)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]
    outcome = Outcome(head.status, headers, body, head.seconds, head.error)
    return Ending(head.state, outcome, head.history, head.ended_ns, head.reason)


def write_history(history: History) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    return [(_FORMAT, b"%d" % FORMAT)], msgspec.json.encode(history)


def read_history(message: Message) -> History:
    """As :func:`read_ending`."""
    _noted(message)
    return _decoded(message, message.payload, History)


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


# -- their parts


def _noted(message: Message) -> Headers:
    """What the queue noted in a message's own headers, their format checked."""
    noted = message.headers
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


def _target(url: CallbackUrl) -> bytes:
    rest = url.without_credentials.partition("://")[2]
    query = rest.partition("?")[2]
    return (f"{url.path}?{query}" if query else url.path).encode("ascii")
