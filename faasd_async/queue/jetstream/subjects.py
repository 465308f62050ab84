"""Subjects and consumer names: where a parcel lies tells what it is.

====================================================  ==========================================
``faas.call.<queue>.<function>.<call>.<accept>``      a call that waits or is in flight
``faas.later.<queue>.<function>.<call>.<accept>``     a call to be made later: a schedule
``faas.due.<queue>.<function>.<call>.<accept>``       one whose time has come, on its way back
``faas.callback.<function>.<call>.<accept>``          a callback to be delivered
``faas.outcome.<function>.<call>.<accept>``           how a call ended
``faas.attempt.<function>.<call>.<accept>``           what was tried of a call that goes on
``faas.dead.<queue>.<function>.<call>.<accept>``      a dead letter
``faas.control.<what>…``                              what all daemons of an installation agree on
====================================================  ==========================================

Each token is written by :func:`~faasd_async.call.ids.encode_token`. Because the ids stand in the
subject, a call is found without an index of our own.
"""

from __future__ import annotations

from faasd_async.call.ids import CallKey, decode_token, encode_token
from faasd_async.queue.interface import OfFunction, Source

CALLS = "FAAS_CALLS"
LATER = "FAAS_LATER"
CALLBACKS = "FAAS_CALLBACKS"
OUTCOMES = "FAAS_OUTCOMES"
DEAD = "FAAS_DEAD"
CONTROL = "FAAS_CONTROL"

CALLBACK_CONSUMER = "faas-callbacks"
DUE_CONSUMER = "faas-due"

_OF_FUNCTION = "faas-call-"
_OF_QUEUE = "faas-queue-"

#: What makes this installation's idempotency keys its own.
SECRET = "faas.control.secret"


class ForeignSubject(ValueError):
    """A subject that this daemon would not have written."""


def queued_subject(kind: str, queue: str, function: str, key: CallKey) -> str:
    """:param kind: ``call``, ``later``, ``due`` or ``dead``."""
    return ".".join((f"faas.{kind}", *map(encode_token, (queue, function, *key))))


def read_queued_subject(subject: str) -> tuple[str, str, CallKey]:
    """:return: queue, function and key."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[0] != "faas":
        raise ForeignSubject(subject)
    queue, function, call_id, accept = map(decode_token, parts[2:])
    return queue, function, CallKey(call_id, accept)


def about_subject(kind: str, function: str, key: CallKey) -> str:
    """:param kind: ``callback``, ``outcome`` or ``attempt``."""
    return ".".join((f"faas.{kind}", *map(encode_token, (function, *key))))


def read_about_subject(subject: str) -> tuple[str, CallKey]:
    """:return: function and key."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[0] != "faas":
        raise ForeignSubject(subject)
    function, call_id, accept = map(decode_token, parts[2:])
    return function, CallKey(call_id, accept)


def dead_letters_of(call_id: str) -> str:
    """A filter for the dead letters of a call id, whatever function they are of."""
    return f"faas.dead.*.*.{encode_token(call_id)}.*"


def dead_letters_of_function(function: str) -> str:
    """A filter for a function's dead letters."""
    return f"faas.dead.*.{encode_token(function)}.>"


def consumer_of(source: Source) -> str:
    """The durable consumer that hands a source's calls out."""
    if isinstance(source, OfFunction):
        return _OF_FUNCTION + encode_token(source.function)
    return _OF_QUEUE + encode_token(source.queue)


def filter_of(source: Source) -> str:
    if isinstance(source, OfFunction):
        return f"faas.call.*.{encode_token(source.function)}.>"
    return f"faas.call.{encode_token(source.queue)}.>"


def belongs_to_mode(consumer: str, static: bool) -> bool:
    """Whether a consumer of calls is one that this queue mode uses."""
    return consumer.startswith(_OF_QUEUE if static else _OF_FUNCTION)
