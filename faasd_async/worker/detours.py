"""The ways of calls that do not simply walk.

Some have to be looked at before they begin, or wait for tokens, or stand aside (:mod:`.approach`);
some that began to walk are tried again, or cannot come to their end just now. These are coroutines.
Each leads to the call's end, back to the queue, or to the beginning of its walk.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.ending import Ending
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import NotHandedOver, QueueError
from faasd_async.runtime.deployments import Deployment
from faasd_async.worker.admission import Admission
from faasd_async.worker.another_try import LONGEST_WAIT_SECONDS, AnotherTry
from faasd_async.worker.approach import Approach, NotNow
from faasd_async.worker.ends import Ends
from faasd_async.worker.lane import Lane
from faasd_async.worker.run import Run
from faasd_async.worker.walk import Walk
from faasd_async.worker.way_back import WayBack

Going = Coroutine[Deferred[Any], Any, Deployment | None]


class Detours:
    """Brings calls to the beginning of their walk, and takes over from walks; an
    :class:`~faasd_async.worker.walk.Overseer`.

    :param admission: takes the tokens back of those that walked.
    :param begin: given a call that has its tokens, and walks.
    :param let_go: given a call that has come to its end, or has gone back to the queue.
    :param given_back: told of each call that was not handed over, why, and how many seconds it
        waits.
    """

    _log = Logger()

    def __init__(
        self,
        approach: Approach,
        another_try: AnotherTry,
        ends: Ends,
        way_back: WayBack,
        admission: Admission,
        *,
        begin: Callable[[Run, Lane, Deployment], None],
        let_go: Callable[[Run, Lane], None],
        given_back: Callable[[QueueRequest, str, float], None],
    ) -> None:
        self._approach = approach
        self._another_try = another_try
        self._ends = ends
        self._way_back = way_back
        self._admission = admission
        self._begin = begin
        self._let_go = let_go
        self._given_back = given_back

    def approach(self, run: Run, lane: Lane) -> None:
        """See to a call that there is something to wait for, or to look at."""
        self._see_to(run, lane, self._approach.lead(run, lane))

    # -- what becomes of those that walk

    def wants_retry(self, walk: Walk, outcome: Outcome) -> None:
        self._leave(walk, self._another_try.put_off(walk.run, walk.deployment, outcome))

    def cannot_end(self, walk: Walk, ending: Ending, reason: QueueError) -> None:
        self._leave(walk, self._ends.end(walk.run, ending, reason))

    def went_wrong(self, walk: Walk, reason: Exception) -> None:
        self._leave(walk, _raise(reason))

    def _leave(self, walk: Walk, going: Coroutine[Deferred[Any], Any, None]) -> None:
        self._see_to(walk.run, walk.lane, self._with_tokens(walk, going))

    async def _with_tokens(self, walk: Walk, going: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            await going
        finally:
            walk.trial.over()
            self._admission.release(walk.deployment)

    # -- the ways themselves

    def _see_to(self, run: Run, lane: Lane, going: Going) -> None:
        """Go on with a call that does not simply walk.

        :param going: brings it to its end, or to the beginning of its walk: then it returns the
            deployment, and the call has its tokens.
        """
        seen_to = Deferred.fromCoroutine(self._give_back_unless(run, going))
        run.cancel = seen_to.cancel
        seen_to.addErrback(self._broken, run)
        seen_to.addCallback(self._seen_to, run, lane)

    def _seen_to(self, deployment: Deployment | None, run: Run, lane: Lane) -> None:
        if deployment is None:
            self._let_go(run, lane)
        else:
            self._begin(run, lane, deployment)

    async def _give_back_unless(self, run: Run, going: Going) -> Deployment | None:
        """Give a call back to the queue, unless it comes to its end or begins to walk."""
        delay_seconds, insistent = 0.0, False
        try:
            return await going
        except NotHandedOver as reason:
            delay_seconds = self._another_try.hand_over_seconds(run)
            self._given_back(run.request, str(reason), delay_seconds)
        except (CancelledError, NotNow):
            pass
        except Exception:
            self._log.failure(
                "call {call_id} of {function} failed inside the worker",
                call_id=run.request.key.call_id,
                function=run.request.function,
            )
            if await self._ends.end_failed(run):
                return None
            delay_seconds, insistent = LONGEST_WAIT_SECONDS, True
        if run.cancelled:
            run.delivery.settle()
        else:
            await self._way_back.give_back(run, delay_seconds, insistent=insistent)
        return None

    def _broken(self, failure: Failure, run: Run) -> None:
        self._log.failure(
            "call {call_id} of {function} failed inside the worker, and cannot be dealt with",
            failure=failure,
            call_id=run.request.key.call_id,
            function=run.request.function,
        )
        run.delivery.give_back(LONGEST_WAIT_SECONDS)


async def _raise(reason: Exception) -> None:
    raise reason
