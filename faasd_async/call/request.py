"""A call on its way through the queue."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from faasd_async.call.body import Body
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.headers import Headers
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey

NOT_TRIED = History()


class QueueRequest(msgspec.Struct, frozen=True, gc=False):
    """An HTTP request for a function, accepted and waiting to be made.

    :ivar function: the deployment's name, without a namespace.
    :ivar queue: the queue the function belonged to when the call was accepted.
    :ivar key: call id and acceptance.
    :ivar start_time_ns: when it was accepted, Unix nanoseconds; ``X-Start-Time``.
    :ivar target: path and query as the function sees them, raw; at least ``/``.
    :ivar headers: the caller's, end to end; without ``Host`` and ``Content-Length``.
    :ivar body: raw, or where it lies.
    :ivar callback: where the outcome goes, if anywhere.
    :ivar history: what has been tried of it before this message was written.
    :ivar generation: how often it was replayed as a dead letter.
    :ivar digest: of a call that its caller may repeat, what the repetition has to equal.
    :ivar on_failure: where the outcome goes instead if it is no success.
    :ivar not_before_ns: until when its caller put it off, Unix nanoseconds; 0 if it was not.
    :ivar expires_ns: when it is too late for it to begin, as its caller has it; 0 if it never is.
    :ivar max_attempts: how often it is tried at most, as its caller has it; 0 if only its function
        says so.
    :ivar traceparent: the trace that it belongs to, and its own span in it; empty: none.
    """

    function: str
    queue: str
    key: CallKey
    start_time_ns: int
    target: bytes
    headers: Headers
    body: Body
    callback: CallbackUrl | None = None
    history: History = NOT_TRIED
    generation: int = 0
    digest: str = ""
    on_failure: CallbackUrl | None = None
    not_before_ns: int = 0
    expires_ns: int = 0
    max_attempts: int = 0
    traceparent: bytes = b""

    @property
    def since_ns(self) -> int:
        """Since when it waits to be made: its age counts from here."""
        return max(self.start_time_ns, self.not_before_ns)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one invocation.

    :ivar status: the function's HTTP status, or the one that tells why there is none.
    :ivar headers: the function's, end to end.
    :ivar body: raw, or where it lies.
    :ivar duration_seconds: from the start of the invocation to the last byte of its answer.
    :ivar error: why there was no answer of the function's own; empty if there was one.
    """

    status: int
    headers: Headers
    body: Body
    duration_seconds: float
    error: str = ""


class CallbackName(NamedTuple):
    """What tells a callback from all others.

    :ivar generation: the call's; each has a callback of its own.
    :ivar replays: how often it was put back after it had been given up.
    """

    function: str
    key: CallKey
    generation: int = 0
    replays: int = 0


class CallbackRequest(msgspec.Struct, frozen=True, gc=False):
    """An outcome on its way to a caller: one POST, whole.

    :ivar url: where it goes.
    :ivar headers: all but the framing and ``Host``.
    :ivar generation: the call's.
    :ivar replays: how often it was put back after it had been given up.
    :ivar traceparent: its call's; its own stands in the headers.
    :ivar since_ns: when it was put into the queue, Unix nanoseconds; 0 where nobody knows.
    """

    function: str
    key: CallKey
    url: CallbackUrl
    headers: Headers
    body: Body
    generation: int = 0
    replays: int = 0
    traceparent: bytes = b""
    since_ns: int = 0

    @property
    def name(self) -> CallbackName:
        return CallbackName(self.function, self.key, self.generation, self.replays)
