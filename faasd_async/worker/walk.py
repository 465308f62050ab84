"""A walk: a call's way from the moment that it has its tokens to its end, where nothing is unusual.

It is invoked, it is answered, its end is written down. That is the way of nearly all calls, so
there is neither a coroutine nor a Deferred in it. Whatever else may happen (it is to be tried
again, its function is not reached, its end cannot be written, it is let go of) is the overseer's
affair, who takes over then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.call.retry_after import ASKING_CODES, asked_seconds
from faasd_async.errors import QueueError
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Answer
from faasd_async.worker.attempts import Attempts
from faasd_async.worker.ceilings import NoTrial, Trial
from faasd_async.worker.lane import Lane
from faasd_async.worker.retry import wants_retry
from faasd_async.worker.run import Run, nothing
from faasd_async.worker.settlement import Settlement


class Overseer(Protocol):
    """Who takes over from a walk. One of these is told of each that does not come to its end."""

    def wants_retry(self, walk: Walk, outcome: Outcome) -> None:
        """It is to be tried again."""

    def cannot_end(self, walk: Walk, ending: Ending, reason: QueueError) -> None:
        """Its end could not be written just now, not all of it."""

    def went_wrong(self, walk: Walk, reason: Exception) -> None:
        """It was not handed over, or let go of, or this is a bug."""


class Walks:
    """What walks have in common.

    :param has_ended: told of each walk whose call's end is written down.
    :param begin_trial: a call of this deployment begins.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param attempted: told of each answer, with the number of the attempt.
    """

    def __init__(
        self,
        clock: IReactorTime,
        attempts: Attempts,
        settlement: Settlement,
        overseer: Overseer,
        *,
        has_ended: Callable[[Walk], None],
        begin_trial: Callable[[Deployment], Trial | NoTrial],
        now_ns: Callable[[], int],
        attempted: Callable[[QueueRequest, Outcome, int], None],
    ) -> None:
        self.seconds = clock.seconds
        self.attempts = attempts
        self.settlement = settlement
        self.overseer = overseer
        self.has_ended = has_ended
        self.begin_trial = begin_trial
        self.now_ns = now_ns
        self.attempted = attempted

    def begin(self, run: Run, lane: Lane, deployment: Deployment) -> None:
        """Send a call that has its tokens on its way."""
        Walk(self, run, lane, deployment).begin()


class Walk:
    """One call's.

    :ivar deployment: of which it holds a token, as it holds one of the daemon's.
    :ivar trial: told that the call is over by whoever ends the walk.
    """

    __slots__ = (
        "_began_seconds", "_ending", "_over", "_stop", "_walks", "deployment", "lane", "run",
        "trial",
    )  # fmt: skip

    _log = Logger()

    trial: Trial | NoTrial
    _ending: Ending
    _stop: Callable[[], object]

    def __init__(self, walks: Walks, run: Run, lane: Lane, deployment: Deployment) -> None:
        self._walks = walks
        self._over = False
        self.run = run
        self.lane = lane
        self.deployment = deployment

    def begin(self) -> None:
        """Invoke the function."""
        walks, run = self._walks, self.run
        run.cancel = self._let_go
        self.trial = walks.begin_trial(self.deployment)
        self._began_seconds = walks.seconds()
        try:
            self._stop = walks.attempts.begin(run, self.deployment, self._answered)
        except Exception as reason:
            self._go_wrong(reason)

    def _answered(self, whole: Answer | Exception) -> None:
        try:
            self._go_on(whole)
        except Exception as reason:
            self._go_wrong(reason)

    def _go_on(self, whole: Answer | Exception) -> None:
        walks, run, deployment = self._walks, self.run, self.deployment
        outcome = walks.attempts.conclude(run, self._began_seconds, whole)
        now_ns = walks.now_ns()
        status, request = outcome.status, run.request
        asked = None
        if status in ASKING_CODES:
            asked = asked_seconds(status, first(outcome.headers, b"retry-after"), now_ns / 1e9)
        self.trial.answered(status, asked)
        attempts = len(run.history.attempts)
        walks.attempted(request, outcome, attempts)
        if wants_retry(deployment.settings.retry, status, attempts, request.max_attempts):
            self._forget()
            walks.overseer.wants_retry(self, outcome)
            return
        self._ending = _ending(run, deployment, outcome, now_ns)
        walks.settlement.end_then(request, self._ending, self._ended)

    def _ended(self, reason: Exception | None) -> None:
        if self._over:
            return
        if reason is None:
            self._forget()
            try:
                self._walks.has_ended(self)
            except Exception:
                self._log.failure("a call that has ended cannot be put away: this is a bug")
        elif isinstance(reason, QueueError):
            self._forget()
            self._walks.overseer.cannot_end(self, self._ending, reason)
        else:
            self._go_wrong(reason)

    def _let_go(self) -> None:
        if not self._over:
            self._stop()
            self._go_wrong(CancelledError())

    def _go_wrong(self, reason: Exception) -> None:
        if not self._over:
            self._forget()
            self._walks.overseer.went_wrong(self, reason)

    def _forget(self) -> None:
        """It is over. Who knows this walk and is known to it is forgotten, or nobody but the
        garbage collector would free them."""
        self._over = True
        self._stop = self.run.cancel = nothing


def _ending(run: Run, deployment: Deployment, outcome: Outcome, ended_ns: int) -> Ending:
    if outcome.status < 400:
        return Ending("succeeded", outcome, run.history, ended_ns)
    if outcome.status in deployment.settings.retry.codes:
        return Ending("dead", outcome, run.history, ended_ns, "exhausted")
    return Ending("failed", outcome, run.history, ended_ns, "failed")
