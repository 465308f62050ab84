"""What a callback says: the function's answer, and which call it answers."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

from faasd_async.call.ending import Ending
from faasd_async.call.headers import end_to_end, first, replaced
from faasd_async.call.request import CallbackRequest, QueueRequest


def write_letter(
    request: QueueRequest, ending: Ending, most_attempts: int, *, now_seconds: Callable[[], float]
) -> CallbackRequest:
    """The callback that tells a call's end.

    The function's own header fields go along; those that identify the call are ours alone.

    :param most_attempts: how many the retry policy allows.
    :param now_seconds: the wall clock, for a ``Date`` where the function sent none.
    """
    if request.callback is None:
        raise ValueError(f"call {request.key.call_id} asked for no callback")
    outcome = ending.outcome
    fields = end_to_end(outcome.headers, without=(b"host",))
    if first(fields, b"date") is None:
        fields.append((b"Date", formatdate(now_seconds(), usegmt=True).encode()))
    ours = (
        (b"X-Call-Id", request.key.call_id.encode()),
        (b"X-Duration-Seconds", b"%f" % outcome.duration_seconds),
        (b"X-Function-Name", request.function.encode()),
        (b"X-Function-Status", b"%d" % outcome.status),
        (b"X-Retry", b"%d" % max(len(ending.history.attempts) - 1, 0)),
        (b"X-Retry-Max", b"%d" % (most_attempts - 1)),
        (b"X-Start-Time", b"%d" % request.start_time_ns),
    )
    return CallbackRequest(
        function=request.function,
        key=request.key,
        url=request.callback,
        headers=replaced(fields, ours),
        body=outcome.body,
        generation=request.generation,
    )
