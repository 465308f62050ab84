"""What is told by a call, once, as a Deferred: for those who would rather wait."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from faasd_async.errors import QueueError


def told(do: Callable[[Callable[[QueueError | None], None]], None]) -> Deferred[None]:
    """What *do* tells by a call, as a Deferred.

    :param do: is given what it has to call once: with ``None``, or with why it failed.
    """
    done: Deferred[None] = Deferred()

    def tell(reason: QueueError | None) -> None:
        if reason is None:
            done.callback(None)
        else:
            done.errback(reason)

    do(tell)
    return done
