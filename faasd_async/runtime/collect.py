"""Gather a reply's body whole, up to a bound."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from faasd_async.errors import InvocationBroken
from faasd_async.runtime.interface import Reply


def gather(reply: Reply, limit_bytes: int) -> Deferred[bytes]:
    """Take a body into memory.

    :return: the body; cancelling it aborts the function. Fails as
        :meth:`~faasd_async.runtime.interface.Reply.deliver_to` does, and with
        :class:`~faasd_async.errors.InvocationBroken`, the function aborted, for a body of more
        than *limit_bytes*.
    """
    return Deferred.fromCoroutine(_gather(reply, limit_bytes))


async def _gather(reply: Reply, limit_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0

    def keep(piece: bytes) -> None:
        nonlocal size
        size += len(piece)
        if size <= limit_bytes:
            pieces.append(piece)
        else:
            pieces.clear()
            reply.abort()

    try:
        await reply.deliver_to(keep)
    except CancelledError:
        if size > limit_bytes:
            raise InvocationBroken(
                f"the reply's body is over the {limit_bytes} bytes that can be taken"
            ) from None
        raise
    return b"".join(pieces)
