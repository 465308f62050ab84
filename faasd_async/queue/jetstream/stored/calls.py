"""Calls as messages."""

from __future__ import annotations

import re

import msgspec

from faasd_async.call import callback_url, http_form
from faasd_async.call.body import StoredBody
from faasd_async.call.history import History
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import NOT_TRIED, QueueRequest
from faasd_async.nats.wire import encode_headers
from faasd_async.queue.jetstream.stored.message import (
    BODY,
    CALLBACK_URL,
    DIGEST,
    GENERATION,
    HISTORY,
    START_TIME,
    TRACEPARENT,
    Fields,
    Message,
    Travelling,
    Unreadable,
    body_in,
    elsewhere_field,
    format_of,
    in_ascii,
    noted_in,
)
from faasd_async.queue.jetstream.subjects import read_queued_subject

_ON_FAILURE_URL = b"Faas-On-Failure-Url"
_NOT_BEFORE = b"Faas-Not-Before"
_EXPIRES = b"Faas-Expires"
_MAX_ATTEMPTS = b"Faas-Max-Attempts"

#: All that is noted of nearly every call: the format, the time, and perhaps a callback.
_NOTED_OF_MOST = re.compile(
    rb"NATS/1\.0\r\nFaas-Format: 1\r\nFaas-Start-Time: (\d+)\r\n"
    rb"(?:Faas-Callback-Url: ([!-~]+)\r\n)?\r\n"
)

#: What is noted of a plain call, encoded, but for its time.
_OF_PLAIN = encode_headers((format_of(b""), (START_TIME, b"%d")))


def write_request(request: QueueRequest) -> tuple[Fields, bytes]:
    """:return: NATS headers and payload; the subject depends on where it goes."""
    fields = [format_of(request.body), (START_TIME, b"%d" % request.start_time_ns)]
    if request.callback is not None:
        fields.append((CALLBACK_URL, request.callback.text.encode("ascii")))
    if request.history is not NOT_TRIED:
        fields.append((HISTORY, in_ascii(request.history)))
    if request.generation:
        fields.append((GENERATION, b"%d" % request.generation))
    if request.digest:
        fields.append((DIGEST, request.digest.encode("ascii")))
    if request.on_failure is not None:
        fields.append((_ON_FAILURE_URL, request.on_failure.text.encode("ascii")))
    if request.not_before_ns:
        fields.append((_NOT_BEFORE, b"%d" % request.not_before_ns))
    if request.expires_ns:
        fields.append((_EXPIRES, b"%d" % request.expires_ns))
    if request.max_attempts:
        fields.append((_MAX_ATTEMPTS, b"%d" % request.max_attempts))
    if request.traceparent:
        fields.append((TRACEPARENT, request.traceparent))
    if type(request.body) is StoredBody:
        fields.append(elsewhere_field(request.body))
    return fields, http_form.write(request.target, request.headers, request.body)


def first_written(request: QueueRequest) -> tuple[bytes, bytes]:
    """As :func:`write_request`, the headers encoded: for a call that was just accepted."""
    fields, payload = write_request(request)
    return encode_headers(fields), payload


def read_waiting(message: Travelling) -> QueueRequest:
    """As :func:`read_request`, of a call as it comes out of the queue."""
    noted = _NOTED_OF_MOST.fullmatch(message.header_block)
    if noted is None:
        return read_request(message)
    started, url = noted.groups()
    try:
        queue, function, key = read_queued_subject(message.subject.decode())
        target, headers, body = http_form.read(message.payload)
        callback = callback_url.parse(url) if url else None
        return QueueRequest(function, queue, key, int(started), target, headers, body, callback)
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason


def plain_header_block(call: PlainCall) -> bytes:
    """The headers, encoded; the payload is as :attr:`.PlainCall.written` has it."""
    return _OF_PLAIN % call.start_time_ns


def read_request(message: Message) -> QueueRequest:
    """
    :raises Unreadable: it is no call.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = noted_in(message).by_name()
    try:
        queue, function, key = read_queued_subject(message.subject.decode())
        elsewhere = body_in(message, noted.get(BODY))
        target, headers, body = http_form.read(message.payload, elsewhere)
        started_ns = int(noted.get(START_TIME, b""))
        url, history = noted.get(CALLBACK_URL), noted.get(HISTORY)
        on_failure = noted.get(_ON_FAILURE_URL)
        return QueueRequest(
            function=function,
            queue=queue,
            key=key,
            start_time_ns=started_ns,
            target=target,
            headers=headers,
            body=body,
            callback=callback_url.parse(url) if url else None,
            history=msgspec.json.decode(history, type=History) if history else NOT_TRIED,
            generation=int(noted.get(GENERATION, b"0")),
            digest=noted.get(DIGEST, b"").decode("ascii"),
            on_failure=callback_url.parse(on_failure) if on_failure else None,
            not_before_ns=int(noted.get(_NOT_BEFORE, b"0")),
            expires_ns=int(noted.get(_EXPIRES, b"0")),
            max_attempts=int(noted.get(_MAX_ATTEMPTS, b"0")),
            traceparent=noted.get(TRACEPARENT, b""),
        )
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
