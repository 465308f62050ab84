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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.history import CRASHED
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.once import is_keyed
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.call.retry_after import asked_seconds
from faasd_async.errors import CallTooLarge, NotHandedOver, QueueError, QueueFull
from faasd_async.queue.interface import Delivery, Queue, Source, is_of
from faasd_async.queue.leases import Leases
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.worker.expiry import expired, is_too_old, orphaned
from faasd_async.worker.lane import MOST_ASIDE, Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.orphans import Orphans
from faasd_async.worker.retry import wait_seconds, wants_retry
from faasd_async.worker.run import Attempts, Run
from faasd_async.worker.settlement import Settlement

#: Between two tries to hand a call over, at first and at most.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

#: A call that so many runs of the daemon did not survive is not run again.
MOST_CRASHES = 3

#: Between two tries of something that the queue could not do just now.
_QUEUE_AGAIN_SECONDS = 1.0

#: By these the queue says that a call cannot be put off, now or ever.
_CANNOT_WAIT = (QueueFull, CallTooLarge)

T = TypeVar("T")


class _NotNow(Exception):
    """A call was delivered that may not begin."""


class CallObserver(Protocol):
    """Who is told what became of calls."""

    def finished(self, request: QueueRequest, outcome: Outcome, attempts: int) -> None: ...

    def given_back(self, request: QueueRequest, reason: str, delay_seconds: float) -> None: ...


class Worker:
    """Takes calls from the queue and has them made.

    :param max_inflight: how many calls may run at a time, whatever they are for.
    :param static: one lane for each queue rather than one for each function.
    :param lease_seconds: the longest that a call may be given back to the queue for; a longer
        wait is put off.
    :param orphan_ttl_seconds: how long calls wait for a function that is not deployed.
    :param may_have_crashed: whether somebody who took a call and never said what became of it can
        have gone away with it; given whether the call lay in the queue before this daemon came.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param ended: told of each call whose end is written down.
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
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._deployments = deployments
        self._leases = leases
        self._settlement = settlement
        self._attempts = Attempts(clock, lambda: queue.largest_call_bytes, now_ns)
        self._tokens = DeferredSemaphore(max_inflight)
        self._lease_seconds = lease_seconds
        self._orphan_ttl_seconds = orphan_ttl_seconds
        self._may_have_crashed = may_have_crashed
        self._now_ns = now_ns
        self._observer = observer
        self._ended = ended
        self._lanes = Lanes(clock, queue, deployments, self._tokens, static=static, take=self._take)
        self._orphans = Orphans(
            clock,
            queue,
            take=self._take,
            taken=lambda: [lane.source for lane in self._lanes],
            ttl_seconds=orphan_ttl_seconds,
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

    def stop_taking(self) -> None:
        """Take no more calls; those in hand go on."""
        self._taking = False
        self._orphans.stop()
        for lane in self._lanes.stop():
            self._call_in(lane)

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        return self._leases.when_none()

    def give_up(self) -> int:
        """Abort what still runs and give it back to the queue.

        :return: how many calls that were.
        """
        runs = list(self._runs.values())
        for run in runs:
            run.work.cancel()
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

    def _release(self) -> None:
        was_full = not self._tokens.tokens
        self._tokens.release()
        if was_full:
            self._lanes.top_up()

    # -- what an operator asks

    def widths(self) -> Mapping[str, int]:
        """How many calls of each function may run at a time, where that is found by trying."""
        return self._lanes.widths()

    def grip(self, key: CallKey) -> Grip | None:
        """What is known of a call in hand; ``None`` if it is not."""
        run = self._runs.get(key)
        return None if run is None else Grip(run.begun_ns, run.history)

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
        lane.waiting.add(run)
        run.work = Deferred.fromCoroutine(self._bring_to_its_end(run, lane))
        run.work.addErrback(self._broken, run)
        run.work.addBoth(lambda _: self._let_go(run, lane, key))

    async def _bring_to_its_end(self, run: Run, lane: Lane) -> None:
        try:
            if _may_have_been_here(run) and await self._comes_again(run):
                return
            if await self._ends_unbegun(run):
                return
            if self._lanes.steps_aside(run.request, lane):
                await self._step_aside(run, lane)
                return
            deployment = await self._admit(run, lane)
            try:
                if run.recalled or not self._lanes.has_room(run.request, deployment):
                    raise _NotNow
                if not await self._ends_unbegun(run):
                    await self._try(run, deployment)
            finally:
                self._release()
                deployment.release()
        except NotHandedOver as reason:
            delay_seconds = _hand_over_again_seconds(run.delivery.delivered)
            self._observer.given_back(run.request, str(reason), delay_seconds)
            await self._give_back(run, delay_seconds)
        except (CancelledError, _NotNow):
            await self._give_back(run)

    async def _try(self, run: Run, deployment: Deployment) -> None:
        run.begun, run.begun_ns = True, self._now_ns()
        trial = self._lanes.begin(deployment)
        try:
            outcome = await self._attempts.make(run, deployment)
            retry_after = first(outcome.headers, b"retry-after")
            asked = asked_seconds(outcome.status, retry_after, self._now_ns() / 1e9)
            trial.answered(outcome.status, asked)
            await self._follow(run, deployment, outcome)
        finally:
            trial.over()

    async def _follow(self, run: Run, deployment: Deployment, outcome: Outcome) -> None:
        """Bring a call that was answered to its end, or have it tried again."""
        now_ns = self._now_ns()
        attempts, policy = len(run.history.attempts), deployment.settings.retry
        self._observer.finished(run.request, outcome, attempts)
        if not wants_retry(policy, outcome.status, attempts):
            await self._end(run, _ending(run, deployment, outcome, now_ns))
        elif not await self._insist(lambda: self._queue.backlog.holds(run.request)):
            # Purged while it ran: there is nothing left that could be tried again.
            await self._end(run, Ending("cancelled", outcome, run.history, now_ns))
        else:
            retry_after = first(outcome.headers, b"retry-after")
            wait = wait_seconds(policy, outcome.status, attempts, retry_after, now_ns / 1e9)
            await self._put_off(run, wait)

    async def _step_aside(self, run: Run, lane: Lane) -> None:
        """Hold a paused call, without its body, while others of its lane go past it."""
        await self._note(run)
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
        if await self._insist(lambda: self._settlement.complete(request)):
            run.delivery.settle()
            self._ended(request.key)
            return True
        noted = await self._insist(
            lambda: records.find_history(request.function, request.key, request.generation)
        )
        if noted is not None and len(noted.attempts) >= len(run.history.attempts):
            run.history = noted
        before = run.delivery.delivered - 1
        if before > run.history.deliveries and self._may_have_crashed(run.delivery.inherited):
            run.history = run.history.with_crashes(1).accounting_for(before)
            await self._insist(lambda: records.note_history(request, run.history))
        if run.history.crashes >= MOST_CRASHES:
            await self._end(run, _crashed(run, self._now_ns()))
            return True
        early_seconds = (run.history.not_before_ns - self._now_ns()) / 1e9
        if early_seconds > 0:
            # The broker forgets its delays when it is restarted.
            await self._give_back(run, min(early_seconds, self._lease_seconds))
            return True
        return False

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
        ending = write(run.history, most_seconds, now_ns)
        self._log.warn(
            "call {call_id} of {function} never runs: {why}",
            call_id=run.request.key.call_id,
            function=run.request.function,
            why=ending.outcome.error,
        )
        await self._end(run, ending)
        return True

    async def _end(self, run: Run, ending: Ending) -> None:
        await self._insist(lambda: self._settlement.end(run.request, ending))
        run.delivery.settle()
        self._ended(run.request.key)

    # -- going back to the queue

    async def _put_off(self, run: Run, wait: float) -> None:
        """Let the next attempt wait."""
        not_before_ns = self._now_ns() + round(wait * 1e9)
        if wait > self._lease_seconds:
            later = replace(run.request, history=run.history.accounting_for(0))
            try:
                await self._insist(lambda: self._queue.put_later(later, wait), but=_CANNOT_WAIT)
            except _CANNOT_WAIT:
                # Then it waits where it is, a lease at a time.
                wait = self._lease_seconds
            else:
                run.delivery.settle()
                return
        await self._give_back(run, wait, not_before_ns)

    async def _give_back(
        self, run: Run, delay_seconds: float = 0.0, not_before_ns: int | None = None
    ) -> None:
        """Hand a call back to the queue."""
        await self._note(run, not_before_ns)
        run.delivery.give_back(delay_seconds)

    async def _note(self, run: Run, not_before_ns: int | None = None) -> None:
        """Have it remembered that this delivery came to no harm."""
        if not_before_ns is None:
            not_before_ns = run.history.not_before_ns
        history = run.history.accounting_for(run.delivery.delivered, not_before_ns)
        try:
            await self._queue.records.note_history(run.request, history)
        except QueueError as reason:
            self._log.warn(
                "cannot note what was tried of {call_id}: {reason}",
                call_id=run.request.key.call_id,
                reason=reason,
            )

    async def _insist(
        self, action: Callable[[], Awaitable[T]], but: tuple[type[QueueError], ...] = ()
    ) -> T:
        """Have the queue do something, however long it takes to be able to.

        :param but: the refusals that are taken for an answer, and raised.
        """
        while True:
            try:
                return await action()
            except QueueError as reason:
                if isinstance(reason, but):
                    raise
                self._log.warn("the queue has to be asked again: {reason}", reason=reason)
                await deferLater(self._clock, _QUEUE_AGAIN_SECONDS)

    # -- the end of the work

    def _broken(self, failure: Failure, run: Run) -> None:
        self._log.failure(
            "call {call_id} of {function} failed inside the worker; it is given back",
            failure=failure,
            call_id=run.request.key.call_id,
            function=run.request.function,
        )
        run.delivery.give_back(LONGEST_WAIT_SECONDS)

    def _let_go(self, run: Run, lane: Lane, key: CallKey) -> None:
        del self._runs[key]
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
    return is_keyed(run.request.key)


def _ending(run: Run, deployment: Deployment, outcome: Outcome, ended_ns: int) -> Ending:
    if outcome.status < 400:
        return Ending("succeeded", outcome, run.history, ended_ns)
    if outcome.status in deployment.settings.retry.codes:
        return Ending("dead", outcome, run.history, ended_ns, "exhausted")
    return Ending("failed", outcome, run.history, ended_ns, "failed")


def _crashed(run: Run, ended_ns: int) -> Ending:
    outcome = Outcome(502, (), b"", 0.0, CRASHED)
    return Ending("dead", outcome, run.history, ended_ns, "crashed")


def _hand_over_again_seconds(tries: int) -> float:
    """How long to wait before a call is tried again that could not be handed over."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 10))
    return longest * random.uniform(0.5, 1.0)
