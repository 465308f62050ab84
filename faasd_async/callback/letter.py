"""What a callback says: the function's answer, and which call it answers."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

from faasd_async.call.ending import Ending, callback_url_of
from faasd_async.call.headers import Headers, end_to_end, first, replaced
from faasd_async.call.http_form import StoredFields
from faasd_async.call.ids import CallKey, encode_token
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.call.trace import of_callback

#: How many calls came before this one, each the callback of another.
HOPS = b"X-Call-Hops"

_HOPS = HOPS.lower()

#: What a function may not say in its callback: some of these are put there when it is sent, the
#: others identify the call and are ours alone.
_NOT_ITS_OWN = frozenset(
    (
        b"host",
        b"user-agent",
        _HOPS,
        b"webhook-timestamp",
        b"webhook-signature",
        b"webhook-id",
        b"x-call-id",
        b"x-duration-seconds",
        b"x-function-name",
        b"x-function-status",
        b"x-retry",
        b"x-retry-max",
        b"x-start-time",
    )
)


def write_letter(
    request: QueueRequest, ending: Ending, most_attempts: int, *, now_seconds: Callable[[], float]
) -> CallbackRequest:
    """The callback that tells a call's end.

    The function's own header fields go along; those that identify the call are ours alone.

    :param most_attempts: how many the retry policy allows.
    :param now_seconds: the wall clock, for a ``Date`` where the function sent none.
    """
    url = callback_url_of(request, ending)
    if url is None:
        raise ValueError(f"call {request.key.call_id} asked for no callback of this end")
    outcome = ending.outcome
    fields = end_to_end(outcome.headers, without=_NOT_ITS_OWN)
    if first(fields, b"date") is None:
        fields.append((b"Date", _date(int(now_seconds()))))
    fields += (
        (b"Webhook-Id", webhook_id(request.key, request.generation)),
        (b"X-Call-Id", request.key.call_id.encode()),
        (b"X-Duration-Seconds", b"%f" % outcome.duration_seconds),
        (b"X-Function-Name", request.function.encode()),
        (b"X-Function-Status", b"%d" % outcome.status),
        (b"X-Retry", b"%d" % ending.history.retries),
        (b"X-Retry-Max", b"%d" % (most_attempts - 1)),
        (b"X-Start-Time", b"%d" % request.start_time_ns),
    )
    if request.traceparent:
        fields = replaced(fields, _trace(request))
    hops = _hops(request.headers)
    if hops is not None:
        fields.append((HOPS, hops))
    return CallbackRequest(
        function=request.function,
        key=request.key,
        url=url,
        headers=fields,
        body=outcome.body,
        generation=request.generation,
        traceparent=request.traceparent,
    )


def _hops(headers: Headers) -> bytes | None:
    if type(headers) is StoredFields and not headers.may_hold(_HOPS):
        return None
    return first(headers, _HOPS)


@lru_cache(1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _trace(request: QueueRequest) -> Headers:
    name = webhook_id(request.key, request.generation)
    return of_callback(request.traceparent, request.headers, name)


def webhook_id(key: CallKey, generation: int) -> bytes:
    """What a receiver knows a callback by, however often it is sent: the same for each try and
    each replay of it, and no other's.

    The name is that of Standard Webhooks, whose ids hold no full stop.

    :param generation: a call that is replayed has a callback of its own.
    """
    return f"msg_{encode_token(key.call_id)}_{encode_token(key.accept)}_{generation}".encode()
