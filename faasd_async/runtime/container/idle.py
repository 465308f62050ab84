"""Whether a function is called at all."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

#: So often it is looked, in the time after which a function is idle. No call is told of.
LOOKS = 10


async def when_idle(
    clock: IReactorTime, after_seconds: float, calls: Callable[[], int], busy: Callable[[], bool]
) -> None:
    """Wait until nobody has called for so long, or a fifth longer.

    :param calls: how many there were.
    :param busy: whether one is under way.
    """
    seen, was_used, since = calls(), False, clock.seconds()
    while True:
        await deferLater(clock, after_seconds / LOOKS)
        is_used = busy() or calls() != seen
        if is_used or was_used:
            # One that has ended since the last look has done so by now.
            since = clock.seconds()
        elif clock.seconds() - since >= after_seconds:
            return
        seen, was_used = calls(), is_used
