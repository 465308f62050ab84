"""The worker: as many calls at a time as there are tokens, each brought to its end.

Two kinds of token bound it: a deployment's (how many invocations of that function may run) and
the daemon's (how many calls may run in all). A lane asks the queue for calls only while both have
some free. What arrives then takes them, the deployment's first; it may find them gone, to a
synchronous caller or another lane, and then waits with its lease extended.

The tokens are held until the end of the call is written down: a queue that cannot be written to
stops the taking by itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.body import is_stored
from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.history import CRASHED, FAILED_INSIDE
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.once import is_keyed
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.call.retry_after import LONGEST_ASKED_SECONDS
from faasd_async.errors import NotHandedOver, QueueError
from faasd_async.queue.interface import Delivery, Queue, Source, is_of
from faasd_async.queue.leases import Leases
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.worker.asking import Asking
from faasd_async.worker.expiry import expired, is_too_old, orphaned, seconds_left
from faasd_async.worker.lane import MOST_ASIDE, Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.orphans import Orphans
from faasd_async.worker.overdue import Overdue
from faasd_async.worker.retry import wait_seconds
from faasd_async.worker.run import Attempts, Run
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.walk import Walk, Walks
from faasd_async.worker.way_back import WayBack

#: Between two tries to hand a call over, at first and at most.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

#: A call that so many runs of the daemon did not survive, or failed over, is not run again.
MOST_CRASHES = 3


class _NotNow(Exception):
    """A call was delivered that may not begin."""


class CallObserver(Protocol):
    """Who is told what became of attempts; of ends, :class:`.settlement.Settlement` tells."""

    def attempted(self, request: QueueRequest, outcome: Outcome, attempts: int) -> None: ...

    def given_back(self, request: QueueRequest, reason: str, delay_seconds: float) -> None: ...


class Worker:
    """Takes calls from the queue and has them made.

    :param max_inflight: how many calls may run at a time, whatever they are for.
    :param static: one lane for each queue rather than one for each function.
    :param lease_seconds: the longest that a call may be given back to the queue for; a longer
        wait is put off.
    :param orphan_ttl_seconds: how long calls wait for a function that is not deployed.
    :param may_have_crashed: whether somebody who took a call and never said what became of it can
        have gone away with it; given the delivery's ``left_behind``.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param ended: told of each call whose end is written down.
    :param moved: told of each attempt that begins, and of each call that goes back to the queue.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        deployments: Deployments,
        leases: Leases,
        settlement: Settlement,
        *,
        max_inflight: int,
        static: bool,
        lease_seconds: float,
        orphan_ttl_seconds: float,
        may_have_crashed: Callable[[bool], bool],
        now_ns: Callable[[], int],
        observer: CallObserver,
        ended: Callable[[CallKey], None] = lambda key: None,
        moved: Callable[[CallKey], None] = lambda key: None,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._deployments = deployments
        self._leases = leases
        self._settlement = settlement
        self._asking = Asking(clock)
        self._way_back = WayBack(
            queue,
            self._asking,
            lease_seconds=lease_seconds,
            may_have_crashed=may_have_crashed,
            now_ns=now_ns,
        )
        self._tokens = DeferredSemaphore(max_inflight)
        self._orphan_ttl_seconds = orphan_ttl_seconds
        self._now_ns = now_ns
        self._observer = observer
        self._ended = ended
        self._moved = moved
        self._lanes = Lanes(clock, queue, deployments, self._tokens, static=static, take=self._take)
        self._walks = Walks(
            clock,
            Attempts(clock, lambda: queue.largest_call_bytes, now_ns, queue.bodies),
            settlement,
            self,
            begin_trial=self._lanes.begin,
            now_ns=now_ns,
            attempted=observer.attempted,
        )
        self._orphans = Orphans(
            clock,
            queue,
            take=self._take,
            taken=lambda: [lane.source for lane in self._lanes],
            ttl_seconds=orphan_ttl_seconds,
            now_ns=now_ns,
        )
        self._overdue = Overdue(
            clock,
            queue,
            standing=self._lanes.standing,
            expires_seconds=self._expires_seconds,
            end=settlement.end,
            ended=ended,
            now_ns=now_ns,
        )
        self._runs: dict[CallKey, Run] = {}
        self._taking = False

    def start(self) -> None:
        """Take calls for whatever is deployed, now and after each change."""
        self._taking = True
        self._deployments.when_changed = self._fit_lanes
        self._queue.pauses.when_changed = self._pauses_changed
        self._fit_lanes()
        self._orphans.start()
        self._overdue.start()

    def stop_taking(self) -> None:
        """Take no more calls. Those that run go on; what has not begun goes back."""
        self._taking = False
        self._orphans.stop()
        self._overdue.stop()
        for lane in self._lanes.stop():
            self._call_in(lane)
        for run in list(self._runs.values()):
            if not run.begun and not run.goes_back:
                run.cancel()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        return self._leases.when_none()

    def give_up(self) -> int:
        """Abort what still runs and give it back to the queue.

        :return: how many calls that were.
        """
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        return len(runs)

    # -- lanes

    def _fit_lanes(self) -> None:
        if self._taking:
            for lane in self._lanes.fit():
                self._call_in(lane)
            self._orphans.fit()

    def _pauses_changed(self) -> None:
        for lane in self._lanes:
            self._call_in(lane)
        self._lanes.narrow()

    def _call_in(self, lane: Lane) -> None:
        """What stood aside and need not any more goes back to the queue, and comes again."""
        for key, delivery in list(lane.aside.items()):
            if not self._lanes.steps_aside(delivery.parcel, lane):
                del lane.aside[key]
                self._leases.drop(delivery)
                delivery.give_back()

    def _release(self, deployment: Deployment) -> None:
        """Give both tokens back."""
        was_full = not self._tokens.tokens
        self._tokens.release()
        if was_full:
            self._lanes.top_up()
        deployment.release()

    def _expires_seconds(self, function: str) -> float | None:
        deployment = self._deployments.get(function)
        return None if deployment is None else deployment.settings.expires_seconds

    # -- what an operator asks

    def widths(self) -> Mapping[str, int]:
        """How many calls of each function may run at a time, where that is found by trying."""
        return self._lanes.widths()

    def running(self) -> Mapping[str, int]:
        """How many queued calls of each function run."""
        return Counter(run.request.function for run in self._runs.values() if run.begun_ns)

    def grip(self, key: CallKey) -> Grip | None:
        """What is known of a call in hand; ``None`` if it is not."""
        run = self._runs.get(key)
        return None if run is None else Grip(run.begun_ns, run.history)

    def abort(self, key: CallKey) -> None:
        """Let go of a call, if it is in hand: it was cancelled, and its end is written."""
        run = self._runs.get(key)
        if run is not None:
            run.cancelled = True
            run.cancel()
        for lane in self._lanes:
            aside = lane.aside.pop(key, None)
            if aside is not None:
                self._leases.drop(aside)
                aside.settle()
                lane.top_up()

    def recall(self, source: Source) -> int:
        """Let nothing of a source begin that is in hand already: it is being purged.

        :return: how many of its calls have begun, and go on.
        """
        begun = 0
        for run in self._runs.values():
            if is_of(run.request, source):
                run.recalled = True
                begun += run.begun
        for lane in self._lanes:
            for key, delivery in list(lane.aside.items()):
                if is_of(delivery.parcel, source):
                    # If it is there still, it comes again when its lease is over.
                    self._leases.drop(lane.aside.pop(key))
            lane.top_up()
        return begun

    # -- one call

    def _take(self, delivery: Delivery[QueueRequest], lane: Lane) -> None:
        key = delivery.parcel.key
        self._leases.hold(delivery)
        running = self._runs.get(key)
        if running is not None:
            # Our lease was lost, yet the call still runs: this delivery is the one to settle.
            self._leases.drop(running.delivery)
            running.delivery = delivery
            lane.top_up()
            return
        run = self._runs[key] = Run(delivery, delivery.parcel.history)
        run.is_recollected = not _may_have_been_here(run)
        deployment = self._at_once(run, lane) if run.is_recollected else None
        if deployment is not None:
            self._begin(run, lane, deployment)
        else:
            lane.waiting.add(run)
            self._see_to(run, lane, self._approach(run, lane))

    def _at_once(self, run: Run, lane: Lane) -> Deployment | None:
        """Take both tokens for a call that may begin this moment, as most can.

        :return: its deployment; ``None`` if there is anything to wait for or to look at.
        """
        request = run.request
        deployment = self._deployments.get(request.function)
        if (
            deployment is None
            or not self._taking
            or not self._tokens.tokens
            or not self._lanes.could_begin(request, deployment)
            or is_too_old(request, deployment.settings.expires_seconds, self._now_ns())
            or not deployment.tokens.take()
        ):
            return None
        # There is one, so this does not wait.
        self._tokens.acquire()
        return deployment

    def _begin(self, run: Run, lane: Lane, deployment: Deployment) -> None:
        run.begun, run.begun_ns = True, self._now_ns()
        self._moved(run.request.key)
        self._walks.begin(run, lane, deployment)

    # -- what there is to wait for, or to look at

    def _see_to(
        self, run: Run, lane: Lane, going: Coroutine[Deferred[Any], Any, Deployment | None]
    ) -> None:
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

    async def _give_back_unless(
        self, run: Run, going: Coroutine[Deferred[Any], Any, Deployment | None]
    ) -> Deployment | None:
        """Give a call back to the queue, unless it comes to its end or begins to walk."""
        delay_seconds, insistent = 0.0, False
        try:
            return await going
        except NotHandedOver as reason:
            delay_seconds = self._hand_over_again_seconds(run)
            self._observer.given_back(run.request, str(reason), delay_seconds)
        except (CancelledError, _NotNow):
            pass
        except Exception:
            self._log.failure(
                "call {call_id} of {function} failed inside the worker",
                call_id=run.request.key.call_id,
                function=run.request.function,
            )
            if await self._ends_failed(run):
                return None
            delay_seconds, insistent = LONGEST_WAIT_SECONDS, True
        if run.cancelled:
            run.delivery.settle()
        else:
            await self._way_back.give_back(run, delay_seconds, insistent=insistent)
        return None

    async def _approach(self, run: Run, lane: Lane) -> Deployment | None:
        """Bring a call to the beginning of its walk.

        :raises NotHandedOver: its function is not deployed.
        :raises CancelledError, _NotNow: it is to go back to the queue.
        """
        if not run.is_recollected and await self._comes_again(run):
            return None
        if await self._ends_unbegun(run):
            return None
        if self._lanes.steps_aside(run.request, lane):
            await self._step_aside(run, lane)
            return None
        deployment, begins = await self._admit(run, lane), False
        try:
            if run.recalled or not self._taking:
                raise _NotNow
            if not self._lanes.has_room(run.request, deployment):
                raise _NotNow
            begins = not await self._ends_unbegun(run)
        finally:
            if not begins:
                self._release(deployment)
        return deployment if begins else None

    async def _step_aside(self, run: Run, lane: Lane) -> None:
        """Hold a paused call, without its body, while others of its lane go past it."""
        await self._way_back.note(run)
        run.delivery.lighten()
        if not self._lanes.steps_aside(run.request, lane):
            run.delivery.give_back()
            return
        before = lane.aside.pop(run.request.key, None)
        if before is not None:
            self._leases.drop(before)
        lane.aside[run.request.key] = run.delivery
        if len(lane.aside) == MOST_ASIDE:
            self._log.warn(
                "{source} stands still: {count} calls of what is paused are in the way; resume or "
                "purge them",
                source=lane.source,
                count=MOST_ASIDE,
            )

    async def _admit(self, run: Run, lane: Lane) -> Deployment:
        """Wait for both tokens.

        :raises NotHandedOver: the function is not deployed.
        """
        deployment = self._deployments.get(run.request.function)
        if deployment is None:
            raise NotHandedOver("no such function is deployed now")
        await deployment.tokens.acquire()
        try:
            await self._tokens.acquire()
        except CancelledError:
            deployment.release()
            raise
        lane.waiting.discard(run)
        return deployment

    async def _comes_again(self, run: Run) -> bool:
        """Look at what is known of a call that may have been worked on before.

        :return: whether there is nothing left to do now.
        """
        request, records = run.request, self._queue.records
        if await self._asking.insist(lambda: self._settlement.complete(request)):
            run.delivery.settle()
            self._ended(request.key)
            return True
        if await self._asking.insist(lambda: self._way_back.recollect(run)):
            await self._asking.insist(lambda: records.note_history(request, run.history))
        if run.history.crashes >= MOST_CRASHES:
            await self._end(run, _crashed(run, self._now_ns()))
            return True
        if self._is_early(run):
            # The broker forgets its delays when it is restarted.
            await self._way_back.give_back(run)
            return True
        return False

    def _is_early(self, run: Run) -> bool:
        """Whether the wait before its next attempt is not over. One that seems to last longer than
        any wait can is over: the clock was set back."""
        early_seconds = (run.history.not_before_ns - self._now_ns()) / 1e9
        deployment = self._deployments.get(run.request.function)
        longest_seconds = LONGEST_ASKED_SECONDS
        if deployment is not None:
            longest_seconds = max(longest_seconds, deployment.settings.retry.max_wait_seconds)
        return 0 < early_seconds <= longest_seconds

    async def _ends_unbegun(self, run: Run) -> bool:
        """Look whether a call's time is over before it has begun.

        :return: whether that was its end.
        """
        deployment, now_ns = self._deployments.get(run.request.function), self._now_ns()
        if deployment is None:
            most_seconds, write = self._orphan_ttl_seconds, orphaned
        elif run.history.attempts:
            return False
        else:
            most_seconds, write = deployment.settings.expires_seconds, expired
        if not is_too_old(run.request, most_seconds, now_ns):
            return False
        await self._end(run, write(run.request, run.history, most_seconds, now_ns))
        return True

    async def _end(self, run: Run, ending: Ending, failed: QueueError | None = None) -> None:
        await self._asking.insist(lambda: self._settlement.end(run.request, ending), failed=failed)
        run.delivery.settle()
        self._ended(run.request.key)

    async def _ends_failed(self, run: Run) -> bool:
        """Count that the worker failed over a call: it may do so each time.

        :return: whether that was its end.
        """
        try:
            if not run.is_recollected:
                await self._asking.insist(lambda: self._way_back.recollect(run))
            run.history = run.history.with_crashes(1, FAILED_INSIDE)
            if run.history.crashes < MOST_CRASHES:
                return False
            await self._end(run, _crashed(run, self._now_ns()))
        except CancelledError:
            return False
        return True

    def _hand_over_again_seconds(self, run: Run) -> float:
        """How long to wait before a call is tried again that could not be handed over."""
        doubled = FIRST_WAIT_SECONDS * 2.0 ** min(run.delivery.delivered - 1, 10)
        seconds = min(LONGEST_WAIT_SECONDS, doubled) * random.uniform(0.5, 1.0)  # noqa: S311
        deployment = self._deployments.get(run.request.function)
        if deployment is None:
            most_seconds = self._orphan_ttl_seconds
        elif run.history.attempts:
            return seconds  # it has begun, and does not expire any more
        else:
            most_seconds = deployment.settings.expires_seconds
        # Nobody who has it back is told when its time is over.
        return min(seconds, seconds_left(run.request, most_seconds, self._now_ns()))

    # -- what becomes of those that walk

    def has_ended(self, walk: Walk) -> None:
        run = walk.run
        try:
            run.delivery.settle()
            self._ended(run.request.key)
        finally:
            walk.trial.over()
            self._release(walk.deployment)
            self._let_go(run, walk.lane)

    def wants_retry(self, walk: Walk, outcome: Outcome) -> None:
        self._leave(walk, self._try_again(walk.run, walk.deployment, outcome))

    def cannot_end(self, walk: Walk, ending: Ending, reason: QueueError) -> None:
        self._leave(walk, self._end(walk.run, ending, reason))

    def went_wrong(self, walk: Walk, reason: Exception) -> None:
        self._leave(walk, _raise(reason))

    def _leave(self, walk: Walk, going: Coroutine[Deferred[Any], Any, None]) -> None:
        self._see_to(walk.run, walk.lane, self._with_tokens(walk, going))

    async def _with_tokens(self, walk: Walk, going: Coroutine[Deferred[Any], Any, None]) -> None:
        try:
            await going
        finally:
            walk.trial.over()
            self._release(walk.deployment)

    async def _try_again(self, run: Run, deployment: Deployment, outcome: Outcome) -> None:
        now_ns = self._now_ns()
        if self._queue.bodies is not None and is_stored(outcome.body):
            # Another attempt's will be the answer.
            self._queue.bodies.discard(outcome.body)
            outcome = replace(outcome, body=b"")
        if not await self._asking.insist(lambda: self._queue.backlog.holds(run.request)):
            # Purged while it ran: there is nothing left that could be tried again.
            await self._end(run, Ending("cancelled", outcome, run.history, now_ns))
            return
        attempts, policy = len(run.history.attempts), deployment.settings.retry
        retry_after = first(outcome.headers, b"retry-after")
        wait = wait_seconds(policy, outcome.status, attempts, retry_after, now_ns / 1e9)
        await self._way_back.put_off(run, wait)

    # -- the end of the work

    def _broken(self, failure: Failure, run: Run) -> None:
        self._log.failure(
            "call {call_id} of {function} failed inside the worker, and cannot be dealt with",
            failure=failure,
            call_id=run.request.key.call_id,
            function=run.request.function,
        )
        run.delivery.give_back(LONGEST_WAIT_SECONDS)

    def _let_go(self, run: Run, lane: Lane) -> None:
        key = run.request.key
        del self._runs[key]
        if run.goes_back:
            self._moved(key)
        if lane.aside.get(key) is not run.delivery:
            self._leases.drop(run.delivery)
        if run in lane.waiting:
            # It came and went without a token, whose return would have made the lane ask again.
            lane.waiting.discard(run)
            lane.top_up()


def _may_have_been_here(run: Run) -> bool:
    delivery = run.delivery
    if delivery.delivered > 1 or delivery.inherited or run.history.attempts:
        return True
    # One that was put off may have been cancelled on its way back into the queue.
    return is_keyed(run.request.key) or bool(run.request.not_before_ns)


def _crashed(run: Run, ended_ns: int) -> Ending:
    attempts = run.history.attempts
    why = attempts[-1].error if attempts else CRASHED
    outcome = Outcome(502, (), b"", 0.0, why or CRASHED)
    return Ending("dead", outcome, run.history, ended_ns, "crashed")


async def _raise(reason: Exception) -> None:
    raise reason
