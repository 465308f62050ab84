"""Gather a reply's body whole, up to a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from faasd_async.call.body import Body, StoredBody
from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken
from faasd_async.runtime.interface import (
    Answer,
    Invocation,
    InvokeWhole,
    Reply,
    Runtime,
    WhenWhole,
    WholeRuntime,
)
from faasd_async.runtime.spill import Spill, Spilling


def gather(reply: Reply, limit_bytes: int, spill: Spill | None = None) -> Deferred[Body]:
    """Take a body into memory.

    :param spill: where it goes instead if it is too large for that.
    :return: the body; cancelling it aborts the function. Fails as
        :meth:`~faasd_async.runtime.interface.Reply.deliver_to` does, and with
        :class:`~faasd_async.errors.InvocationBroken`, the function aborted, for a body of more
        than *limit_bytes*.
    """
    gathering = _Gathering(reply, limit_bytes, spill)
    delivered: Deferred[None] = reply.deliver_to(gathering.keep)
    return delivered.addCallbacks(gathering.join, gathering.judge)


class _Gathering:
    """A body that is being gathered."""

    __slots__ = (
        "_gathered_bytes", "_limit_bytes", "_pieces", "_reply", "_size", "_spill", "_spilling",
        "_why",
    )  # fmt: skip

    def __init__(self, reply: Reply, limit_bytes: int, spill: Spill | None) -> None:
        self._spill = spill
        self._spilling: Spilling | None = None
        self._why: Exception | None = None
        self._gathered_bytes = limit_bytes
        if spill is not None:
            # They are stored beside it.
            self._gathered_bytes = spill.gathered_bytes - size_of(reply.headers)
        self._reply = reply
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit_bytes:
            self._pieces.clear()
            self._reply.abort()
        elif self._size <= self._gathered_bytes:
            self._pieces.append(piece)
        else:
            self._spill_over(piece)

    def _spill_over(self, piece: bytes) -> None:
        if self._spilling is None:
            assert self._spill is not None
            gathered, self._pieces = self._pieces, []
            try:
                self._spilling = Spilling(self._spill, self._reply, gathered)
            except InvocationBroken as reason:
                self._why = reason
                self._reply.abort()
                return
        self._spilling.write(piece)

    def join(self, _: None) -> bytes | Deferred[Body]:
        if self._spilling is None:
            return b"".join(self._pieces)
        spilling = self._spilling
        stored: Deferred[Body] = Deferred(lambda _: spilling.abort())

        def told(body: StoredBody | Exception) -> None:
            if isinstance(body, Exception):
                stored.errback(body)
            else:
                stored.callback(body)

        spilling.finish(told)
        return stored

    def judge(self, reason: Failure) -> Failure:
        if self._spilling is not None:
            self._spilling.abort()
        if self._why is not None:
            return Failure(self._why)
        if reason.check(CancelledError) and self._size > self._limit_bytes:
            return Failure(over_the_limit(self._limit_bytes))
        return reason


def size_of(headers: Headers) -> int:
    """How many bytes header fields hold."""
    return sum(len(name) + len(value) for name, value in headers)


def invoker_of(runtime: Runtime) -> InvokeWhole:
    """What does for any runtime as
    :meth:`~faasd_async.runtime.interface.WholeRuntime.invoke_whole` does."""
    if isinstance(runtime, WholeRuntime):
        return runtime.invoke_whole

    def invoke_whole(
        invocation: Invocation, timeout_seconds: float, most_bytes: int, when_whole: WhenWhole
    ) -> Callable[[], None]:
        replying = runtime.invoke(invocation, timeout_seconds)
        return gather_whole(replying, most_bytes, when_whole, invocation.spill)

    return invoke_whole


def gather_whole(
    replying: Deferred[Reply],
    most_bytes: int,
    when_whole: WhenWhole,
    spill: Spill | None = None,
) -> Callable[[], None]:
    """Gather a reply that is to come; parameters and result as of
    :meth:`~faasd_async.runtime.interface.WholeRuntime.invoke_whole`."""
    whole = _Whole(most_bytes, when_whole, spill)
    whole.wait_for(replying)
    return whole.stop


class _Whole:
    """An answer that is being gathered, for somebody who waits for it whole."""

    __slots__ = ("_most_bytes", "_reply", "_spill", "_stopped", "_waiting", "_when_whole")

    _reply: Reply
    _waiting: Deferred[Any]

    def __init__(self, most_bytes: int, when_whole: WhenWhole, spill: Spill | None) -> None:
        self._spill = spill
        self._most_bytes = most_bytes
        self._when_whole = when_whole
        self._stopped = False

    def wait_for(self, replying: Deferred[Reply]) -> None:
        self._waiting = replying
        replying.addCallbacks(self._replied, self._failed)

    def stop(self) -> None:
        self._stopped = True
        self._waiting.cancel()

    def _replied(self, reply: Reply) -> None:
        self._reply = reply
        gathering = gather(reply, self._most_bytes, self._spill)
        self._waiting = gathering
        gathering.addCallbacks(self._gathered, self._failed)

    def _gathered(self, body: Body) -> None:
        self._tell(Answer(self._reply.status, self._reply.headers, body))

    def _failed(self, failure: Failure) -> None:
        reason = failure.value
        self._tell(reason if isinstance(reason, Exception) else RuntimeError(repr(reason)))

    def _tell(self, whole: Answer | Exception) -> None:
        if not self._stopped:
            self._when_whole(whole)


def over_the_limit(limit_bytes: int) -> InvocationBroken:
    """An answer is larger than it may be."""
    return InvocationBroken(f"the reply's body is over the {limit_bytes} bytes that can be taken")
