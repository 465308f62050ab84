"""Subjects and consumer names: where a parcel lies tells what it is.

``faas.call.<queue>.<function>.<call>.<accept>`` and ``faas.callback.<function>.<call>.<accept>``;
each token is written by :func:`~faasd_async.call.ids.encode_token`. Because the ids stand in the
subject, a call is found without an index of our own.
"""

from __future__ import annotations

from faasd_async.call.ids import CallKey, decode_token, encode_token
from faasd_async.queue.interface import OfFunction, Source

CALLS = "FAAS_CALLS"
CALLBACKS = "FAAS_CALLBACKS"

ALL_CALLS = "faas.call.>"
ALL_CALLBACKS = "faas.callback.>"

CALLBACK_CONSUMER = "faas-callbacks"

_OF_FUNCTION = "faas-call-"
_OF_QUEUE = "faas-queue-"


class ForeignSubject(ValueError):
    """A subject that this daemon would not have written."""


def call_subject(queue: str, function: str, key: CallKey) -> str:
    return ".".join(("faas.call", *map(encode_token, (queue, function, *key))))


def read_call_subject(subject: str) -> tuple[str, str, CallKey]:
    """:return: queue, function and key."""
    parts = subject.split(".")
    if len(parts) != 6 or parts[:2] != ["faas", "call"]:
        raise ForeignSubject(subject)
    queue, function, call_id, accept = map(decode_token, parts[2:])
    return queue, function, CallKey(call_id, accept)


def callback_subject(function: str, key: CallKey) -> str:
    return ".".join(("faas.callback", *map(encode_token, (function, *key))))


def read_callback_subject(subject: str) -> tuple[str, CallKey]:
    """:return: function and key."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[:2] != ["faas", "callback"]:
        raise ForeignSubject(subject)
    function, call_id, accept = map(decode_token, parts[2:])
    return function, CallKey(call_id, accept)


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
