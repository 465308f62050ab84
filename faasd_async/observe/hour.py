"""The last hour in samples, and how functions have done in its last minutes.

Figures only grow; a sample is what they grew by. How long invocations took is known by classes of
duration, as Prometheus has them: a quantile is reckoned as Prometheus does, in a straight line
within its class, and none is known beyond the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from faasd_async.call.moments import rfc3339
from faasd_async.errors import QueueError

EVERY_SECONDS = 10.0
MOST_SAMPLES = 360

#: Over so many samples it is told how a function does: five minutes.
_PACE_SAMPLES = 30

#: A sample does not wait longer for what has to be asked for.
_PATIENCE_SECONDS = 2.0


class Durations(NamedTuple):
    """How many invocations of a function have ended, since the daemon was started.

    :ivar errors: with a status of 400 or more.
    :ivar up_to: by the bounds of :attr:`Hour.bounds`, how many took no longer.
    """

    ended: int
    errors: int
    up_to: tuple[int, ...]

    def since(self, before: Durations) -> Durations:
        up_to = zip(self.up_to, before.up_to, strict=True)
        return Durations(
            self.ended - before.ended,
            self.errors - before.errors,
            tuple(now - then for now, then in up_to),
        )


Looked = Mapping[str, Durations]


class Hour:
    """Keeps samples, so many and no more.

    :param bounds: in seconds, ascending; the last is infinite.
    :param look: how many invocations of each function have ended.
    :param waiting: how many calls wait; may fail with a :class:`~faasd_async.errors.QueueError`.
    :param running: how many invocations run.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    every_seconds = EVERY_SECONDS

    def __init__(
        self,
        clock: IReactorTime,
        bounds: Sequence[float],
        look: Callable[[], Looked],
        *,
        waiting: Callable[[], Deferred[int]],
        running: Callable[[], int],
        now_ns: Callable[[], int],
    ) -> None:
        self.count = 0
        self._clock = clock
        self._nothing = Durations(0, 0, (0,) * len(bounds))
        self._bounds = bounds
        self._look = look
        self._waiting = waiting
        self._running = running
        self._now_ns = now_ns
        self._samples: deque[Mapping[str, object]] = deque(maxlen=MOST_SAMPLES)
        self._looks: deque[tuple[float, Looked]] = deque(maxlen=_PACE_SAMPLES + 1)
        self._timer = LoopingCall(self._take)
        self._timer.clock = clock

    def start(self) -> None:
        self._looks.append((self._clock.seconds(), self._look()))
        self._timer.start(EVERY_SECONDS, now=False)

    def stop(self) -> None:
        if self._timer.running:
            self._timer.stop()

    def samples(self) -> Sequence[Mapping[str, object]]:
        return list(self._samples)

    def paces(self) -> Mapping[str, Mapping[str, object]]:
        """Of each function that was called in the last five minutes."""
        if not self._looks:
            return {}
        then, before = self._looks[0]
        seconds = max(self._clock.seconds() - then, 1.0)
        grown = self._grown(before, self._look())
        return {name: self._pace(each, seconds) for name, each in grown.items() if each.ended}

    def _take(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._sample())

    async def _sample(self) -> None:
        try:
            waiting = await self._waiting().addTimeout(_PATIENCE_SECONDS, self._clock)
        except (QueueError, TimeoutError):
            waiting = None
        now, looked = self._clock.seconds(), self._look()
        then, before = self._looks[-1]
        grown = list(self._grown(before, looked).values())
        total = Durations(
            sum(each.ended for each in grown),
            sum(each.errors for each in grown),
            tuple(sum(counts) for counts in zip(*(each.up_to for each in grown), strict=True))
            or self._nothing.up_to,
        )
        self._looks.append((now, looked))
        sample = {"at": rfc3339(self._now_ns()), "waiting": waiting, "running": self._running()}
        self._samples.append(sample | self._pace(total, max(now - then, 1.0)))
        self.count += 1

    def _grown(self, before: Looked, now: Looked) -> dict[str, Durations]:
        return {name: each.since(before.get(name, self._nothing)) for name, each in now.items()}

    def _pace(self, grown: Durations, seconds: float) -> dict[str, object]:
        return {
            "rate": round(grown.ended / seconds, 3),
            "errors": round(grown.errors / seconds, 3),
            "p50": self._quantile(grown.up_to, 0.5),
            "p99": self._quantile(grown.up_to, 0.99),
        }

    def _quantile(self, up_to: Sequence[int], share: float) -> float | None:
        """In seconds; ``None`` if nothing has ended. Beyond the last bound it is that bound."""
        if not up_to or not up_to[-1]:
            return None
        rank, lower, below = share * up_to[-1], 0.0, 0
        for bound, count in zip(self._bounds, up_to, strict=True):
            if count >= rank:
                if bound == float("inf"):
                    return lower
                return round(lower + (bound - lower) * (rank - below) / max(count - below, 1), 6)
            lower, below = bound, count
        return lower
