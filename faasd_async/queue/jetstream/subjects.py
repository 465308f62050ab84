"""Subjects and consumer names: where a parcel lies tells what it is.

====================================================  ==========================================
``faas.call.<queue>.<function>.<call>.<accept>``      a call that waits or is in flight
``faas.later.<queue>.<function>.<call>.<accept>``     a call to be made later: a schedule
``faas.due.<queue>.<function>.<call>.<accept>``       one whose time has come, on its way back
``faas.callback.<function>.<call>.<accept>``          a callback to be delivered
``faas.outcome.<function>.<call>.<accept>``           how a call ended
``faas.attempt.<function>.<call>.<accept>``           what was tried of a call that goes on
``faas.posting.<function>.<call>.<accept>.<g>.<r>``   what was tried of a callback: that of the
                                                      call's generation *g*, replayed *r* times
``faas.dead.<queue>.<function>.<call>.<accept>``      a dead letter
``faas.dead-callback.-.<function>.<call>.<accept>``   a callback that could not be delivered
``faas.body.<kind>.<name>.<n>``                       a piece of a body that is too large for one
                                                      message; it lies in the stream of its owner
``faas.owner.<kind>.<name>``                          what owns such a body: stream and subjects
``faas.control.<what>…``                              what all daemons of an installation agree on
``faas.ask.<call>.<accept>``                          who has a call in hand; stored nowhere
``faas.abort.<call>.<accept>``                        that it is cancelled; stored nowhere
``faas.moved.<call>.<accept>``                        that it begins or goes back; stored nowhere
====================================================  ==========================================

Each token is written by :func:`~faasd_async.call.ids.encode_token`. Because the ids stand in the
subject, a call is found without an index of our own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from faasd_async.call.ids import CallKey, decode_token, encode_token
from faasd_async.call.known import CallName
from faasd_async.call.request import CallbackName
from faasd_async.queue.interface import OfFunction, OfQueue, Selection, Source

CALLS = "FAAS_CALLS"
LATER = "FAAS_LATER"
CALLBACKS = "FAAS_CALLBACKS"
OUTCOMES = "FAAS_OUTCOMES"
DEAD = "FAAS_DEAD"
CONTROL = "FAAS_CONTROL"

DEAD_CALLBACK = "dead-callback"

CALLBACK_CONSUMER = "faas-callbacks"
DUE_CONSUMER = "faas-due"

_PAUSED = "faas.control.paused"
ALL_PAUSES = f"{_PAUSED}.>"

_OF_FUNCTION = "faas-call-"
_OF_QUEUE = "faas-queue-"

#: Everything that daemons ask and tell each other about calls in hand.
ALL_ASKS = "faas.ask.*.*"
ALL_ABORTS = "faas.abort.*.*"

#: Of so many functions it is known how the subjects of their calls begin.
_REMEMBERED = 1024

#: What makes this installation's idempotency keys its own.
SECRET = "faas.control.secret"  # noqa: S105 - where it is kept


_SCHEDULE = "faas.control.schedule"

#: Where a body lies by the kind of its owner: its name begins with the letter. No encoded token
#: holds a ``=``, so that none of them is ever mistaken for a call's id.
_BODY_KINDS = {"c": "call", "b": "callback", "o": "outcome", "d": "dead"}
BODY_STREAMS = {"call": CALLS, "callback": CALLBACKS, "outcome": OUTCOMES, "dead": DEAD}


class ForeignSubject(ValueError):
    """A subject that this daemon would not have written."""


def queued_subject(kind: str, queue: str, function: str, key: CallKey) -> str:
    """:param kind: ``call``, ``later``, ``due`` or ``dead``."""
    return ".".join((f"faas.{kind}", *map(encode_token, (queue, function, *key))))


def drawn_subject(queue: str, function: str, key: CallKey) -> bytes:
    """As :func:`queued_subject`, of a call that was just accepted and whose id was drawn: such an
    id is a token as it stands."""
    return b"%b%b.0" % (_before_id(queue, function), key.call_id.encode())


@lru_cache(_REMEMBERED)
def _before_id(queue: str, function: str) -> bytes:
    return f"faas.call.{encode_token(queue)}.{encode_token(function)}.".encode()


def read_queued_subject(subject: str) -> tuple[str, str, CallKey]:
    """:return: queue, function and key."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[0] != "faas":
        raise ForeignSubject(subject)
    # Most tokens are names as they are: that is seen of all of them in one go.
    tokens = map(decode_token, parts[2:]) if "_" in subject else parts[2:]
    queue, function, call_id, accept = tokens
    return queue, function, CallKey(call_id, accept)


def about_subject(kind: str, function: str, key: CallKey) -> str:
    """:param kind: ``callback``, ``outcome`` or ``attempt``."""
    call_id, accept = key
    about = f"{encode_token(function)}.{encode_token(call_id)}.{encode_token(accept)}"
    return f"faas.{kind}.{about}"


def read_about_subject(subject: str) -> tuple[str, CallKey]:
    """:return: function and key."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[0] != "faas":
        raise ForeignSubject(subject)
    function, call_id, accept = map(decode_token, parts[2:]) if "_" in subject else parts[2:]
    return function, CallKey(call_id, accept)


def callback_subject(name: CallbackName) -> str:
    """A call that was replayed has a further callback, whose subject says so at its end: the
    earlier one may still wait. So may a callback that was given up and is replayed itself."""
    subject = about_subject("callback", name.function, name.key)
    if name.replays:
        return f"{subject}.{name.generation}.{name.replays}"
    return f"{subject}.{name.generation}" if name.generation else subject


def read_callback_subject(subject: str) -> tuple[str, CallKey]:
    """:return: function and key."""
    parts = subject.split(".")
    return read_about_subject(".".join(parts[:5] if len(parts) in (6, 7) else parts))


def posting_subject(name: CallbackName) -> str:
    """Where it is noted what was tried of a callback."""
    subject = about_subject("posting", name.function, name.key)
    return f"{subject}.{name.generation}.{name.replays}"


def dead_callback_subject(function: str, key: CallKey) -> str:
    """A callback has no queue of its own; a token in its place makes one filter fit both kinds."""
    return ".".join(("faas", DEAD_CALLBACK, "-", *map(encode_token, (function, *key))))


def bodies_beside(kind: str) -> tuple[str, str]:
    """All subjects of the bodies of one kind."""
    return f"faas.body.{kind}.>", f"faas.owner.{kind}.*"


def body_name(kind: str, drawn: str) -> str:
    """What a body of a kind is called."""
    letter = next(letter for letter, each in _BODY_KINDS.items() if each == kind)
    return f"{letter}={drawn}"


def body_kind(name: str) -> str:
    """What kind of owner a body has, by its name.

    :raises ForeignSubject: it is no name of ours.
    """
    kind = _BODY_KINDS.get(name[:1])
    if kind is None or name[1:2] != "=" or not name[2:].isalnum():
        raise ForeignSubject(name)
    return kind


def piece_subject(name: str, number: int | str) -> str:
    """Where a piece of a body lies; with ``*`` for its number, all of them."""
    return f"faas.body.{body_kind(name)}.{name}.{number}"


def owner_subject(name: str) -> str:
    """Where it stands who owns a body."""
    return f"faas.owner.{body_kind(name)}.{name}"


class Trace(NamedTuple):
    """A subject that is about a call.

    :ivar kind: its second token.
    :ivar turn: of what concerns a callback, the call's generation and the callback's own replays.
    """

    kind: str
    name: CallName
    subject: str
    turn: tuple[int, int]


def traces_like(stream: str, call_id: str) -> str:
    """A filter for all that a stream holds about the calls of an id.

    :raises TokenTooLong: there is none.
    """
    token = encode_token(call_id)
    if stream == OUTCOMES:
        return f"faas.*.*.{token}.>"
    if stream == CALLBACKS:
        return f"faas.callback.*.{token}.>"
    return f"faas.*.*.*.{token}.*"


def calls_like(stream: str, function: str | None, call_id: str | None) -> str:
    """A filter for the calls that a stream holds, or for their ends.

    :raises TokenTooLong: none can be meant.
    """
    function, call_id = (
        "*" if each is None else encode_token(each) for each in (function, call_id)
    )
    if stream == OUTCOMES:
        return f"faas.outcome.{function}.{call_id}.*"
    kind = "call" if stream == CALLS else "*"
    return f"faas.{kind}.*.{function}.{call_id}.*"


def read_trace(subject: str) -> Trace:
    """What a subject that such a filter found is about."""
    parts = subject.split(".")
    if parts[1] in ("outcome", "attempt", "posting", "callback"):
        function, key = read_about_subject(".".join(parts[:5]))
        generation, replays = (*map(int, parts[5:7]), 0, 0)[:2]
        return Trace(parts[1], CallName(function, key), subject, (generation, replays))
    _, function, key = read_queued_subject(subject)
    return Trace(parts[1], CallName(function, key), subject, (0, 0))


def dead_letters_like(selection: Selection) -> str:
    """A filter for dead letters, their reason aside.

    :raises TokenTooLong: none can be meant.
    """
    kind = {None: "*", "call": "dead", "callback": DEAD_CALLBACK}[selection.kind]
    wanted = (selection.function, selection.call_id, selection.accept)
    tokens = ("*" if each is None else encode_token(each) for each in wanted)
    return ".".join(("faas", kind, "*", *tokens))


def consumer_of(source: Source) -> str:
    """The durable consumer that hands a source's calls out."""
    if isinstance(source, OfFunction):
        return _OF_FUNCTION + encode_token(source.function)
    return _OF_QUEUE + encode_token(source.queue)


def source_of(consumer: str) -> Source | None:
    """Whose calls a durable consumer hands out; ``None`` if it is no consumer of calls."""
    if consumer.startswith(_OF_FUNCTION):
        return OfFunction(decode_token(consumer.removeprefix(_OF_FUNCTION)))
    if consumer.startswith(_OF_QUEUE):
        return OfQueue(decode_token(consumer.removeprefix(_OF_QUEUE)))
    return None


def filter_of(source: Source, kind: str = "call") -> str:
    """:param kind: ``call``, ``later`` or ``due``."""
    if isinstance(source, OfFunction):
        return f"faas.{kind}.*.{encode_token(source.function)}.>"
    return f"faas.{kind}.{encode_token(source.queue)}.>"


def ask_subject(key: CallKey) -> str:
    """Where it is asked who has a call in hand."""
    return f"faas.ask.{encode_token(key.call_id)}.{encode_token(key.accept)}"


def read_ask_subject(subject: str) -> CallKey:
    """Which call is meant."""
    return _key_of(subject.removeprefix("faas.ask."))


def abort_subject(key: CallKey) -> str:
    """Where whoever has a call in hand is told to let go of it."""
    return f"faas.abort.{encode_token(key.call_id)}.{encode_token(key.accept)}"


def read_abort_subject(subject: str) -> CallKey:
    """Which call is meant."""
    return _key_of(subject.removeprefix("faas.abort."))


def moved_subject(key: CallKey) -> str:
    """Where it is said that a call has begun, or goes back to the queue."""
    return f"faas.moved.{encode_token(key.call_id)}.{encode_token(key.accept)}"


def _key_of(tokens: str) -> CallKey:
    call_id, _, accept = tokens.partition(".")
    return CallKey(decode_token(call_id), decode_token(accept))


def pause_subject(source: Source) -> str:
    """Where it stands whether a source is paused."""
    if isinstance(source, OfFunction):
        return f"{_PAUSED}.function.{encode_token(source.function)}"
    return f"{_PAUSED}.queue.{encode_token(source.queue)}"


def read_pause_subject(subject: str) -> Source:
    """The source that it is about."""
    prefix, _, rest = subject.partition(f"{_PAUSED}.")
    kind, _, token = rest.partition(".")
    if prefix or not token or "." in token:
        raise ForeignSubject(subject)
    if kind == "function":
        return OfFunction(decode_token(token))
    if kind == "queue":
        return OfQueue(decode_token(token))
    raise ForeignSubject(subject)


def schedule_subject(what: str, function: str) -> str:
    """Where it stands what is known of a function's schedule.

    :param what: ``last`` or ``removed``.
    """
    return f"{_SCHEDULE}.{what}.{encode_token(function)}"


def belongs_to_mode(consumer: str, static: bool) -> bool:
    """Whether a consumer of calls is one that this queue mode uses."""
    return consumer.startswith(_OF_QUEUE if static else _OF_FUNCTION)
