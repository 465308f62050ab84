"""A call of ours as a message of OpenFaaS', and the other way round.

What OpenFaaS' form would lose
==============================

OpenFaaS' gateway stores a path percent-*decoded*, and its queue-worker puts it into a URL as it
finds it. So ``/a%2Fb`` reaches a function as ``/a/b``, and ``/100%25`` never does. A message that
this daemon writes holds the decoded path where the queue-worker makes the very same path of it
again, and otherwise the path as it was written: that one the queue-worker hands on unchanged.

Go's ``Header`` is a map. Names come back in its case (``X-Call-Id``) and sorted, which means the
same in HTTP. A value that is no UTF-8 is spoiled by JSON.

Where this daemon would not read from OpenFaaS' fields what it had, path, query or a header's value,
the message has the whole head besides, in a field of this daemon's own that Go passes over. There,
too, is what tells two calls of one id apart.

The password of a callback's URL is not in ``CallbackUrl``. It is in the header ``X-Callback-Url``,
which all of them store, and is taken from there.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from faasd_async.call import callback_url, http_form
from faasd_async.call.body import Body
from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl
from faasd_async.call.headers import Headers, end_to_end, first, replaced
from faasd_async.call.ids import CallKey, TokenTooLong, adopted, encode_token
from faasd_async.call.openfaas.go import canonical_name, escape_path, mend_percents, unescape
from faasd_async.call.openfaas.message import OpenFaasMessage, UnreadableMessage
from faasd_async.call.openfaas.url import GoUrl
from faasd_async.call.request import QueueRequest
from faasd_async.call.route import without_namespace
from faasd_async.call.trace import TRACEPARENT, valid

#: Says why a callback may not go to a URL, or nothing.
Refuse = Callable[[CallbackUrl], str | None]

#: The names in the field that is ours: the call's acceptance, its head as it came.
_ACCEPT = "Accept"
_HEAD = "Head"

_FUNCTION = re.compile(r"[-a-zA-Z_0-9.]+\Z")
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BREAKS_OUT = re.compile(rb"[\r\n\0]")
_TARGET = re.compile(rb"/[^\x00-\x20\x7f]*\Z")

#: What a queue-worker cannot have in a path that it puts into a URL as it is.
_NOT_IN_URL = re.compile(rb"[%?#\x00-\x1f\x7f]")


class Place(NamedTuple):
    """Where a message lies in NATS Streaming, which tells it from every other.

    :ivar timestamp_ns: when it was stored, Unix nanoseconds.
    """

    channel: str
    sequence: int
    timestamp_ns: int


# -- writing


def write_request(request: QueueRequest, queue_name: str = "") -> bytes:
    """A call as OpenFaaS' queue-worker reads it.

    :param queue_name: empty for the queue that calls are in which name none.
    """
    path, mark, query = request.target.partition(b"?")
    headers = list(request.headers)
    if request.body:
        headers.append((b"Content-Length", b"%d" % len(request.body)))
    callback = request.callback
    message = OpenFaasMessage(
        function=request.function,
        header=_header_of(headers),
        host=_text(first(headers, b"x-forwarded-host") or b""),
        body=_whole(request.body),
        path=_path_for_go(path),
        query_string=_text(query),
        queue_name=queue_name,
        callback_url=None if callback is None else GoUrl.of(callback.text.encode("ascii")),
        ours=_ours(request, lossless=not mark or bool(query)),
    )
    return message.write()


def _header_of(headers: Headers) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name, value in headers:
        table.setdefault(canonical_name(_text(name)), []).append(_text(value))
    return table


def _path_for_go(path: bytes) -> str:
    if path == b"/":
        return ""
    decoded = unescape(path)
    if escape_path(decoded) == path and not _NOT_IN_URL.search(decoded) and _is_text(decoded):
        return decoded.decode()
    return _text(mend_percents(path))


def _ours(request: QueueRequest, *, lossless: bool) -> Mapping[str, str]:
    """:param lossless: whether the query is."""
    ours = {_ACCEPT: request.key.accept}
    path, _, query = request.target.partition(b"?")
    if lossless and escape_path(_path_for_go(path).encode("utf-8", "replace") or b"/") == path:
        lossless = _is_text(query) and all(_is_text(value) for _, value in request.headers)
    else:
        lossless = False
    if not lossless:
        head = http_form.write(request.target, request.headers, b"")
        ours[_HEAD] = base64.b64encode(head).decode()
    return ours


# -- reading


def read_request(
    written: bytes,
    place: Place,
    *,
    queue: str,
    namespace: str,
    refuse_callback: Refuse = lambda url: None,
) -> tuple[QueueRequest, str | None]:
    """A call out of a message, whoever wrote it.

    :param place: where the message lies.
    :param queue: the queue that the channel is here.
    :param namespace: the one that may stand behind the function's name.
    :param refuse_callback: why a callback may not go to a URL, or ``None``.
    :return: the call, and what is wrong with its callback's URL: then it has none.
    :raises UnreadableMessage: it is no call.
    """
    message = OpenFaasMessage.read(written)
    if not _FUNCTION.match(message.function):
        raise UnreadableMessage("Function is no function's name")
    function = without_namespace(message.function, namespace)
    target, fields = _head(message)
    start_time_ns = _start_time_ns(fields) or place.timestamp_ns
    key = _key(message.ours, fields, place)
    tracing = ((b"X-Call-Id", key.call_id.encode()), (b"X-Start-Time", b"%d" % start_time_ns))
    headers = replaced(end_to_end(fields, without=(b"host",)), tracing)
    if message.host and first(headers, b"x-forwarded-host") is None:
        headers.append((b"X-Forwarded-Host", _raw(message.host)))
    _check(target, headers)
    callback, trouble = _callback(message.callback_url, headers, refuse_callback)
    try:
        for name in (queue, function, *key):
            encode_token(name)
    except TokenTooLong as reason:
        raise UnreadableMessage(str(reason)) from None
    request = QueueRequest(
        function=function,
        queue=queue,
        key=key,
        start_time_ns=start_time_ns,
        target=target,
        headers=headers,
        body=message.body,
        callback=callback,
        # Whoever put it there has carried it on, or has not: it is theirs.
        traceparent=valid(first(headers, TRACEPARENT) or b""),
    )
    return request, trouble


def _head(message: OpenFaasMessage) -> tuple[bytes, Sequence[tuple[bytes, bytes]]]:
    """Target and header fields."""
    whole = message.ours.get(_HEAD)
    if whole is not None:
        try:
            target, fields, _ = http_form.read(base64.b64decode(whole, validate=True))
        except ValueError as reason:
            raise UnreadableMessage(f"{_HEAD}: {type(reason).__name__}") from None
        return target, fields
    target = escape_path(_raw(message.path)) or b"/"
    if not target.startswith(b"/"):
        target = b"/" + target
    if message.query_string:
        target += b"?" + _raw(message.query_string)
    return target, [
        (_raw(name), _raw(value)) for name, values in message.header.items() for value in values
    ]


def _key(ours: Mapping[str, str], fields: Headers, place: Place) -> CallKey:
    """The call's key: the same however often the message is delivered, and no other's.

    A caller may use an id twice, and OpenFaaS' gateway hands it on: the place tells them apart.
    """
    digest = hashlib.sha256(repr(place).encode()).digest()
    try:
        call_id = adopted(first(fields, b"x-call-id"))
    except TokenTooLong:
        # Better under another id than not at all.
        call_id = None
    accept = ours.get(_ACCEPT) or f"s{digest[:16].hex()}"
    return CallKey(call_id or str(UUID(bytes=digest[16:], version=4)), accept)


def _start_time_ns(fields: Headers) -> int:
    """The last one: what stands before it is the caller's."""
    for name, value in reversed(fields):
        if name.lower() == b"x-start-time":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0


def _callback(
    url: GoUrl | None, headers: Headers, refuse: Refuse
) -> tuple[CallbackUrl | None, str | None]:
    """Where the call's end is told, and what is wrong with that place."""
    if url is None:
        return None, None
    try:
        found = callback_url.parse(first(headers, b"x-callback-url") or url.text)
    except MalformedCallbackUrl as reason:
        return None, str(reason)
    why = refuse(found)
    return (found, None) if why is None else (None, why)


def _check(target: bytes, headers: Headers) -> None:
    """Nothing may break out of its line in what is stored and sent."""
    if not _TARGET.match(target):
        raise UnreadableMessage("path or query are not those of a request")
    for name, value in headers:
        if not _FIELD_NAME.match(name) or _BREAKS_OUT.search(value):
            raise UnreadableMessage("Header holds what no header can")


# -- text


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except ValueError:
        return False
    return True


def _whole(body: Body) -> bytes:
    if not isinstance(body, bytes):
        raise ValueError("a message of OpenFaaS' holds no body that lies elsewhere")
    return body
