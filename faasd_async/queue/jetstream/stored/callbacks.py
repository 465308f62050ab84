"""Callbacks as messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from faasd_async.call import callback_url, http_form
from faasd_async.call.body import StoredBody
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.queue.jetstream.stored.message import (
    BODY,
    CALLBACK_URL,
    GENERATION,
    TRACEPARENT,
    Fields,
    Message,
    Travelling,
    Unreadable,
    body_in,
    elsewhere_field,
    format_of,
    noted_in,
)
from faasd_async.queue.jetstream.subjects import read_callback_subject

_REPLAYS = b"Faas-Replays"

#: Of so many callback URLs the target is kept: most go where others went a moment ago.
_REMEMBERED = 256

#: All that is noted of nearly every callback: where it goes, and what JetStream was told of it.
_NOTED_OF_MOST = re.compile(
    rb"NATS/1\.0\r\nFaas-Format: 1\r\nFaas-Callback-Url: ([!-~]+)\r\n"
    rb"(?:Nats-[^\r]*\r\n)*\r\n"
)


def write_callback(callback: CallbackRequest) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload."""
    url = callback.url.text.encode("ascii")
    fields = [format_of(callback.body), (CALLBACK_URL, url)]
    if type(callback.body) is StoredBody:
        fields.append(elsewhere_field(callback.body))
    if callback.generation:
        fields.append((GENERATION, b"%d" % callback.generation))
    if callback.replays:
        fields.append((_REPLAYS, b"%d" % callback.replays))
    if callback.traceparent:
        fields.append((TRACEPARENT, callback.traceparent))
    return fields, http_form.write(_target(callback.url), callback.headers, callback.body)


def read_fresh_callback(message: Travelling, since_ns: int) -> CallbackRequest:
    """As :func:`read_callback`, of a callback as it comes out of the queue."""
    noted = _NOTED_OF_MOST.fullmatch(message.header_block)
    if noted is None:
        return read_callback(message, since_ns)
    try:
        function, key = read_callback_subject(message.subject.decode())
        _, headers, body = http_form.read(message.payload)
        url = callback_url.parse(noted[1])
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
    return CallbackRequest(function, key, url, headers, body, since_ns=since_ns)


def read_callback(message: Message, since_ns: int = 0) -> CallbackRequest:
    """
    :param since_ns: when it was put into the queue, Unix nanoseconds.
    :raises Unreadable: it is no callback.
    :raises FromTheFuture: its format is not known yet.
    """
    return read_callback_as(message, read_callback_subject, since_ns)


def read_callback_as(
    message: Message, read_subject: Callable[[str], tuple[str, CallKey]], since_ns: int = 0
) -> CallbackRequest:
    """As :func:`read_callback`, on a subject of another kind."""
    noted = noted_in(message).by_name()
    try:
        function, key = read_subject(message.subject.decode())
        elsewhere = body_in(message, noted.get(BODY))
        _, headers, body = http_form.read(message.payload, elsewhere)
        url = callback_url.parse(noted.get(CALLBACK_URL, b""))
        generation = int(noted.get(GENERATION, b"0"))
        replays = int(noted.get(_REPLAYS, b"0"))
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
    traceparent = noted.get(TRACEPARENT, b"")
    return CallbackRequest(
        function, key, url, headers, body, generation, replays, traceparent, since_ns
    )


@lru_cache(_REMEMBERED)
def _target(url: CallbackUrl) -> bytes:
    rest = url.without_credentials.partition("://")[2]
    query = rest.partition("?")[2]
    return (f"{url.path}?{query}" if query else url.path).encode("ascii")
