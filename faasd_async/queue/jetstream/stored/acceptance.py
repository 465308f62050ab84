"""What the headers of a call tell, and those of each record of it: how and when it was accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from faasd_async.call.history import History
from faasd_async.call.ids import decode_token, encode_token
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Accepted
from faasd_async.queue.jetstream.stored.message import (
    DIGEST,
    HISTORY,
    START_TIME,
    TRACEPARENT,
    Fields,
    Message,
    Unreadable,
    noted_in,
)
from faasd_async.queue.jetstream.subjects import read_about_subject, read_queued_subject

_QUEUE = b"Faas-Queue"
_CALLBACK = b"Faas-Callback"

#: JetStream's own: when a message of a stream that keeps schedules is due.
_SCHEDULE = b"Nats-Schedule"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        (START_TIME, b"%d" % request.start_time_ns),
        (_QUEUE, encode_token(request.queue).encode("ascii")),
    ]
    if request.digest:
        fields.append((DIGEST, request.digest.encode("ascii")))
    if callback_owed:
        fields.append((_CALLBACK, b"owed"))
    if request.traceparent:
        fields.append((TRACEPARENT, request.traceparent))
    return fields


def read_accepting(message: Message) -> Accepting:
    """What a record says of how its call was accepted, or the call itself."""
    noted = message.headers
    return Accepting(
        queue=decode_token(noted.get(_QUEUE).decode("ascii")),
        start_time_ns=start_time_of(message),
        callback_owed=bool(noted.get(_CALLBACK)),
        traceparent=noted.get(TRACEPARENT),
    )


def read_accepted(message: Message) -> Accepted:
    """How a keyed call was accepted; from the call itself, or from any record of it.

    :raises Unreadable: it says nothing of it.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = noted_in(message)
    subject = message.subject.decode()
    try:
        if subject.startswith("faas.outcome."):
            _, key = read_about_subject(subject)
        else:
            _, _, key = read_queued_subject(subject)
        return Accepted(key, int(noted.get(START_TIME)), noted.get(DIGEST).decode("ascii"))
    except ValueError as reason:
        raise Unreadable(f"{subject}: {reason!r}") from reason


def start_time_of(message: Message) -> int:
    """When a call was accepted, Unix nanoseconds; 0 if it does not say."""
    written = message.headers.get(START_TIME)
    return int(written) if written.isdigit() else 0


def due_time_of(message: Message) -> int:
    """When a call that was put off is due, Unix nanoseconds; 0 if it is not put off."""
    kind, _, at = message.headers.get(_SCHEDULE).partition(b" ")
    if kind != b"@at":
        return 0
    try:
        moment = datetime.fromisoformat(at.decode("ascii"))
    except ValueError:
        return 0
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def tried_of(message: Message) -> int:
    """How many attempts at a call there were when it was put where it is."""
    history = message.headers.get(HISTORY)
    return len(msgspec.json.decode(history, type=History).attempts) if history else 0
