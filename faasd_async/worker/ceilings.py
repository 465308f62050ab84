"""The ceilings of all functions whose concurrency is adaptive, with a clock and with calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from faasd_async.runtime.deployments import Deployment
from faasd_async.settings import FunctionSettings
from faasd_async.worker.adaptive import REFUSALS, Ceiling


class Trial:
    """One call, tried: what becomes of it tells how many more its function can take."""

    __slots__ = ("_answered", "_ceiling", "_ceilings", "_function", "_round")

    def __init__(self, ceilings: Ceilings, deployment: Deployment, ceiling: Ceiling) -> None:
        self._ceilings = ceilings
        self._function = deployment.name
        self._ceiling = ceiling
        if ceiling.width < ceiling.most:
            self._round = ceiling.begin(ceilings.inside(deployment))
        else:
            self._round = ceiling.round
        self._answered = False

    def answered(self, status: int, asked_seconds: float | None) -> None:
        """The function has answered: it has room again, though the call is not over yet.

        :param asked_seconds: for how long the function asks to be left alone, if it does.
        """
        self._answered = True
        self._ceilings.answered(self._function)
        if status in REFUSALS:
            narrowed = self._ceiling.refused(self._round)
            if asked_seconds:
                self._ceilings.close(self._function, self._ceiling, asked_seconds)
            if narrowed or asked_seconds:
                self._ceilings.when_narrowed(self._function)
                return
        elif status < 500:
            self._ceiling.succeeded(self._round)
        if self._ceiling.width < self._ceiling.most:
            # Otherwise it is its token that the next call waits for.
            self._ceilings.when_freed(self._function)

    def over(self) -> None:
        """Its token comes back."""
        if self._answered:
            self._ceilings.over(self._function)


class NoTrial:
    """Of a function whose concurrency is fixed."""

    def answered(self, status: int, asked_seconds: float | None) -> None:
        """Nothing is to be learned."""

    def over(self) -> None:
        """Likewise."""


_NO_TRIAL = NoTrial()


class Ceilings:
    """One for each function whose concurrency is adaptive.

    :param when_narrowed: called with a function that may run fewer calls than before.
    :param when_freed: called with one that may run another.
    """

    def __init__(
        self,
        clock: IReactorTime,
        when_narrowed: Callable[[str], None],
        when_freed: Callable[[str], None],
    ) -> None:
        self.when_narrowed = when_narrowed
        self.when_freed = when_freed
        self._clock = clock
        self._ceilings: dict[str, Ceiling] = {}
        self._settling: Counter[str] = Counter()
        self._openings: dict[str, IDelayedCall] = {}
        self._stopped = False

    def fit(self, functions: Iterable[FunctionSettings]) -> None:
        """Have one for each of these, and keep what was found out."""
        before, self._ceilings = self._ceilings, {}
        for function in functions:
            if function.concurrency == "adaptive":
                known = before.get(function.name)
                if known is None or known.most != function.max_inflight:
                    known = Ceiling(function.max_inflight)
                self._ceilings[function.name] = known

    def stop(self) -> None:
        """Open nothing any more."""
        self._stopped = True
        for opening in self._openings.values():
            opening.cancel()
        self._openings.clear()

    def inside(self, deployment: Deployment) -> int:
        """How many calls a function has in hand: not those that are being settled, which hold
        their tokens still."""
        return deployment.running - self._settling[deployment.name]

    def room(self, deployment: Deployment, free: int) -> int:
        """How many of *free* tokens may be used now."""
        ceiling = self._ceilings.get(deployment.name)
        if ceiling is None or ceiling.is_wide(self._clock.seconds()):
            return free
        return min(free, ceiling.room(self.inside(deployment), self._clock.seconds()))

    def may_begin(self, deployment: Deployment) -> bool:
        """Whether a call may that has its token already."""
        ceiling = self._ceilings.get(deployment.name)
        if ceiling is None:
            return True
        return ceiling.room(self.inside(deployment) - 1, self._clock.seconds()) > 0

    def begin(self, deployment: Deployment) -> Trial | NoTrial:
        """A call begins."""
        ceiling = self._ceilings.get(deployment.name)
        return _NO_TRIAL if ceiling is None else Trial(self, deployment, ceiling)

    def widths(self) -> dict[str, int]:
        """How many calls of each function may run at a time."""
        return {name: ceiling.width for name, ceiling in self._ceilings.items()}

    # -- told by trials

    def answered(self, function: str) -> None:
        self._settling[function] += 1

    def over(self, function: str) -> None:
        self._settling[function] -= 1

    def close(self, function: str, ceiling: Ceiling, seconds: float) -> None:
        """Let none begin for so long."""
        now_seconds = self._clock.seconds()
        ceiling.close(now_seconds, seconds)
        if self._stopped:
            return
        opening = self._openings.pop(function, None)
        if opening is not None:
            opening.cancel()
        left_seconds = ceiling.closed_until_seconds - now_seconds
        self._openings[function] = self._clock.callLater(left_seconds, self._open, function)

    def _open(self, function: str) -> None:
        del self._openings[function]
        self.when_freed(function)
