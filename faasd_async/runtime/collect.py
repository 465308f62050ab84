"""Gather a reply's body whole, up to a bound."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from faasd_async.errors import InvocationBroken
from faasd_async.runtime.interface import Reply


def gather(reply: Reply, limit_bytes: int) -> Deferred[bytes]:
    """Take a body into memory.

    :return: the body; cancelling it aborts the function. Fails as
        :meth:`~faasd_async.runtime.interface.Reply.deliver_to` does, and with
        :class:`~faasd_async.errors.InvocationBroken`, the function aborted, for a body of more
        than *limit_bytes*.
    """
    gathering = _Gathering(reply, limit_bytes)
    return reply.deliver_to(gathering.keep).addCallbacks(gathering.join, gathering.judge)


class _Gathering:
    """A body that is being gathered."""

    __slots__ = ("_limit_bytes", "_pieces", "_reply", "_size")

    def __init__(self, reply: Reply, limit_bytes: int) -> None:
        self._reply = reply
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit_bytes:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
            self._reply.abort()

    def join(self, _: None) -> bytes:
        return b"".join(self._pieces)

    def judge(self, reason: Failure) -> Failure:
        if reason.check(CancelledError) and self._size > self._limit_bytes:
            return Failure(
                InvocationBroken(
                    f"the reply's body is over the {self._limit_bytes} bytes that can be taken"
                )
            )
        return reason
