"""Dead letters: a call or a callback whole, and why it is one."""

from __future__ import annotations

import msgspec

from faasd_async.call.ending import DeadCallback, DeadLetter, Reason, Undelivered
from faasd_async.call.history import Attempt
from faasd_async.queue.jetstream.stored.callbacks import read_callback_as, write_callback
from faasd_async.queue.jetstream.stored.calls import read_request, write_request
from faasd_async.queue.jetstream.stored.message import (
    Fields,
    Message,
    decoded,
    in_ascii,
    noted_in,
    whole_format,
)
from faasd_async.queue.jetstream.subjects import read_queued_subject

_DEATH = b"Faas-Death"


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
    return [*fields, (_DEATH, in_ascii(death))], payload


def read_dead_letter(message: Message) -> DeadLetter:
    """As :func:`.calls.read_request`."""
    request = read_request(message)
    death = decoded(message, message.headers.get(_DEATH), _Death)
    return DeadLetter(request, death.reason, death.status, death.error, death.ended_ns)


def write_unreadable(why: str, ended_ns: int) -> Fields:
    """What stands beside a message that cannot be read, which is the letter's payload whole."""
    return [
        whole_format(),
        (_DEATH, in_ascii(_Death("unreadable", 0, ended_ns, why))),
    ]


def read_unreadable(message: Message) -> str | None:
    """Why what a letter holds could not be read; ``None`` if it could.

    :raises Unreadable: nor can the letter itself.
    :raises FromTheFuture: its format is not known yet.
    """
    noted_in(message)
    written = message.headers.get(_DEATH)
    if b'"unreadable"' not in written:
        return None
    death = decoded(message, written, _Death)
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
    return [*fields, (_DEATH, in_ascii(failure))], payload


def read_dead_callback(message: Message) -> DeadCallback:
    """As :func:`.callbacks.read_callback`."""
    callback = read_callback_as(message, lambda subject: read_queued_subject(subject)[1:])
    failure = decoded(message, message.headers.get(_DEATH), _Failure)
    return DeadCallback(
        callback,
        failure.reason,
        failure.status,
        failure.error,
        failure.tries,
        failure.ended_ns,
        failure.attempts,
    )
