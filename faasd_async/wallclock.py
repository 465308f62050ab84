"""The clock on the wall, which a machine without a battery for it does not know when it starts.

A Raspberry Pi starts in 1970, or where it was switched off, until somebody tells it the time. What
was stored under such a clock would be fifty years old a moment later, and be thrown away with what
has expired. So the daemon waits at its start: until the clock shows no less than what is written
on its own files, and than the program's own age. It does not wait for ever, for
nobody may be there to set the clock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

_LOOK_SECONDS = 0.5

#: What was written this far ahead was not: file systems and clocks are not so exact.
_NEARLY_SECONDS = 2.0

_log = Logger()


class WallClock:
    """Knows whether the time can be believed.

    :param clock: the monotonic one.
    :param now_seconds: the one on the wall, Unix time.
    :param newest_seconds: when something was stored last, Unix time; 0 if nothing was.
    :param earliest_seconds: what it is at least, whatever is stored.
    :param patience_seconds: the longest wait.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now_seconds: Callable[[], float],
        newest_seconds: Callable[[], float],
        *,
        earliest_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._clock = clock
        self._now_seconds = now_seconds
        self._newest_seconds = newest_seconds
        self._earliest_seconds = earliest_seconds
        self._patience_seconds = patience_seconds

    def when_believed(self) -> Deferred[None]:
        """Fires when the time can be believed, or when that was waited for long enough."""
        least_seconds = max(self._newest_seconds() - _NEARLY_SECONDS, self._earliest_seconds)
        if self._now_seconds() >= least_seconds:
            return succeed(None)
        return Deferred.fromCoroutine(self._wait(least_seconds))

    async def _wait(self, least_seconds: float) -> None:
        shown = {"now": _shown(self._now_seconds()), "least": _shown(least_seconds)}
        _log.warn(
            "the clock shows {now}, and it is {least} at least: waiting for it to be set, for"
            " {patience:g} s at most",
            patience=self._patience_seconds,
            **shown,
        )
        end = self._clock.seconds() + self._patience_seconds
        while self._clock.seconds() < end:
            await deferLater(self._clock, min(_LOOK_SECONDS, end - self._clock.seconds()))
            if self._now_seconds() >= least_seconds:
                _log.info("the clock was set: it shows {now}", now=_shown(self._now_seconds()))
                return
        _log.warn(
            "nobody has set the clock, which shows {now}: going on with it. What is stored now may"
            " expire when it is set",
            now=_shown(self._now_seconds()),
        )


def newest_below(directory: str) -> float:
    """When something was written below a directory last, Unix time; 0 if there is nothing."""
    newest = 0.0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                newest = max(newest, os.stat(os.path.join(path, name)).st_mtime)
            except OSError:
                continue
    return newest


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
