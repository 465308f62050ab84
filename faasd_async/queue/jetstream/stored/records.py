"""Records as messages: how calls have ended, and what was tried of calls and callbacks."""

from __future__ import annotations

import msgspec

from faasd_async.call import headers as call_headers
from faasd_async.call.body import Body, StoredBody
from faasd_async.call.ending import Ending, Reason, State, Withheld
from faasd_async.call.history import History
from faasd_async.call.posting import Posting
from faasd_async.call.request import Outcome
from faasd_async.queue.jetstream.stored.message import (
    GENERATION,
    Fields,
    Message,
    body_of,
    decoded,
    elsewhere_field,
    format_of,
    noted_in,
    whole_format,
)
from faasd_async.queue.listing import End

_END = b"Faas-End"


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
    fields = [format_of(body), (_END, words.encode("ascii"))]
    if type(body) is bytes:
        return fields, line + body
    assert isinstance(body, StoredBody)
    return [*fields, elsewhere_field(body)], line


def read_ending(message: Message, now_ns: int = 0) -> Ending:
    """
    :param now_ns: Unix nanoseconds; an answer that is kept no longer is private.
    :raises Unreadable: it is no terminal record.
    :raises FromTheFuture: its format is not known yet.
    """
    noted_in(message)
    line, _, rest = message.payload.partition(b"\n")
    elsewhere = body_of(message)
    body: Body = rest if elsewhere is None else elsewhere
    head = decoded(message, line, _EndingHead)
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


def _as_text(fields: call_headers.Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def write_history(history: History) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    return [whole_format()], msgspec.json.encode(history)


def read_history(message: Message) -> History:
    """As :func:`read_ending`."""
    noted_in(message)
    return decoded(message, message.payload, History)


def write_posting(posting: Posting) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    return [whole_format()], msgspec.json.encode(posting)


def read_posting(message: Message) -> Posting:
    """As :func:`read_ending`."""
    noted_in(message)
    return decoded(message, message.payload, Posting)


def written_in(generation: int) -> Fields:
    """What a record says of how often its call had been replayed, for :func:`generation_of`."""
    return [(GENERATION, b"%d" % generation)] if generation else []


def generation_of(message: Message) -> int:
    """How often a record's call had been replayed when it was written; 0 if it does not say."""
    written = message.headers.get(GENERATION)
    return int(written) if written.isdigit() else 0
