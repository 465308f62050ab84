"""What all stored messages have in common: a format, what is noted in headers, and a body."""

from __future__ import annotations

import json
from typing import Protocol, TypeVar

import msgspec

from faasd_async.call.body import Body, StoredBody
from faasd_async.nats.errors import BadHeader
from faasd_async.nats.wire import Headers

#: The layout of this package. A reader refuses a higher one.
FORMAT = 2

#: What a message is written in whose body is in it; one whose body lies elsewhere has the next.
_WHOLE_FORMAT = 1
_BODY_ELSEWHERE_FORMAT = 2

_FORMAT = b"Faas-Format"
START_TIME = b"Faas-Start-Time"
GENERATION = b"Faas-Generation"
HISTORY = b"Faas-History"
DIGEST = b"Faas-Digest"
TRACEPARENT = b"Faas-Traceparent"
BODY = b"Faas-Body"
CALLBACK_URL = b"Faas-Callback-Url"

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


class Travelling(Message, Protocol):
    """A message as it comes, its headers not read yet."""

    @property
    def header_block(self) -> bytes: ...


def noted_in(message: Message) -> Headers:
    """What the queue noted in a message's own headers, their format checked."""
    try:
        noted = message.headers
    except BadHeader as reason:
        raise Unreadable(f"{message.subject!r}: {reason}") from reason
    written = noted.get(_FORMAT)
    if not written.isdigit():
        raise Unreadable(f"{message.subject!r}: no {_FORMAT.decode()} header")
    if int(written) > FORMAT:
        raise FromTheFuture(
            f"{message.subject!r} has format {int(written)}; this version reads up to {FORMAT}"
        )
    return noted


def decoded(message: Message, text: bytes, kind: type[Record]) -> Record:
    """:raises Unreadable: the text, JSON, is none of this kind."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as reason:
        raise Unreadable(f"{message.subject!r}: {reason}") from reason


def in_ascii(record: object) -> bytes:
    """JSON that may stand in a NATS header."""
    return json.dumps(msgspec.to_builtins(record), separators=(",", ":")).encode("ascii")


def format_of(body: Body) -> tuple[bytes, bytes]:
    """A version that knows nothing of bodies elsewhere is not to take one for missing."""
    return _FORMAT, b"%d" % (_WHOLE_FORMAT if type(body) is bytes else _BODY_ELSEWHERE_FORMAT)


def whole_format() -> tuple[bytes, bytes]:
    """The format of what never has a body elsewhere."""
    return _FORMAT, b"%d" % _WHOLE_FORMAT


def elsewhere_field(body: StoredBody) -> tuple[bytes, bytes]:
    """Says where a body lies, for :func:`body_of`."""
    return BODY, f"{body.name} {body.size_bytes} {body.sha256}".encode("ascii")


def body_of(message: Message) -> StoredBody | None:
    """Where a message's body lies, if it is not in it.

    :raises Unreadable: it does not say so in a way that is understood.
    """
    return body_in(message, message.headers.get(BODY))


def body_in(message: Message, written: bytes | None) -> StoredBody | None:
    """As :func:`body_of`, of what stands in the header."""
    if not written:
        return None
    try:
        name, size, sha256 = written.decode("ascii").split(" ")
        return StoredBody(name, int(size), sha256)
    except ValueError as reason:
        raise Unreadable(f"{message.subject!r}: {reason!r}") from reason
