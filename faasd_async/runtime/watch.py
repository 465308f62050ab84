"""Whether a server is ready: looked at again and again, the more often the less it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

FIRST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 1.0


async def watch(
    clock: IReactorTime,
    look: Callable[[], Awaitable[bool]],
    *,
    busy: Callable[[], bool],
    looked: Callable[[bool], object],
    interval_seconds: float,
) -> None:
    """Look until this is cancelled.

    :param busy: whether calls are under way. A server that can do but one thing at a time would
        seem dead then, so it is left in peace.
    :param looked: is told after each look whether the server is ready.
    :param interval_seconds: between looks at one that is.
    """
    pause = FIRST_LOOK_SECONDS
    while True:
        ready = busy() or await look()
        looked(ready)
        if ready:
            pause = FIRST_LOOK_SECONDS
            await deferLater(clock, interval_seconds)
        else:
            await deferLater(clock, pause)
            pause = min(2 * pause, LONGEST_LOOK_SECONDS)
