"""Parcels as JetStream messages.

The payload is the stored form of the HTTP request (:mod:`faasd_async.call.http_form`). What the
queue itself needs stands in NATS headers of its own, ASCII throughout, so that no header of a
caller's can become one of NATS'. Ids and names stand in the subject and nowhere else.
"""

from __future__ import annotations

from typing import Protocol

from faasd_async.call import callback_url, http_form
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.nats.wire import Headers
from faasd_async.queue.jetstream.subjects import (
    call_subject,
    callback_subject,
    read_call_subject,
    read_callback_subject,
)

#: The layout described above. A reader refuses a higher one.
FORMAT = 1

_FORMAT = b"Faas-Format"
_START_TIME = b"Faas-Start-Time"
_CALLBACK_URL = b"Faas-Callback-Url"

Fields = list[tuple[bytes, bytes]]


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


def write_call(request: QueueRequest) -> tuple[str, Fields, bytes]:
    """:return: subject, NATS headers, payload."""
    fields = [(_FORMAT, b"%d" % FORMAT), (_START_TIME, b"%d" % request.start_time_ns)]
    if request.callback is not None:
        fields.append((_CALLBACK_URL, request.callback.text.encode("ascii")))
    subject = call_subject(request.queue, request.function, request.key)
    return subject, fields, http_form.write(request.target, request.headers, request.body)


def read_call(message: Message) -> QueueRequest:
    """
    :raises Unreadable: it is no call.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message)
    try:
        queue, function, key = read_call_subject(message.subject.decode())
        target, headers, body = http_form.read(message.payload)
        url = noted.get(_CALLBACK_URL)
        return QueueRequest(
            function=function,
            queue=queue,
            key=key,
            start_time_ns=int(noted.get(_START_TIME)),
            target=target,
            headers=headers,
            body=body,
            callback=callback_url.parse(url) if url else None,
        )
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason


def write_callback(callback: CallbackRequest) -> tuple[str, Fields, bytes]:
    """:return: subject, NATS headers, payload."""
    url = callback.url.text.encode("ascii")
    fields = [(_FORMAT, b"%d" % FORMAT), (_CALLBACK_URL, url)]
    payload = http_form.write(_target(callback.url), callback.headers, callback.body)
    return callback_subject(callback.function, callback.key), fields, payload


def read_callback(message: Message) -> CallbackRequest:
    """
    :raises Unreadable: it is no callback.
    :raises FromTheFuture: its format is not known yet.
    """
    noted = _noted(message)
    try:
        function, key = read_callback_subject(message.subject.decode())
        _, headers, body = http_form.read(message.payload)
        url = callback_url.parse(noted.get(_CALLBACK_URL))
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
    return CallbackRequest(function, key, url, headers, body)


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


def _target(url: CallbackUrl) -> bytes:
    rest = url.without_credentials.partition("://")[2]
    query = rest.partition("?")[2]
    return (f"{url.path}?{query}" if query else url.path).encode("ascii")
