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
from collections.abc import Awaitable, Callable
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
from faasd_async.call.once import is_keyed
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import NotHandedOver, QueueError, QueueFull
from faasd_async.queue.interface import Delivery, OfFunction, OfQueue, Queue, Source
from faasd_async.queue.leases import Leases
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.worker.lane import Lane
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

T = TypeVar("T")


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
    :param now_ns: the wall clock, Unix nanoseconds.
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
        now_ns: Callable[[], int],
        observer: CallObserver,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._deployments = deployments
        self._leases = leases
        self._settlement = settlement
        self._attempts = Attempts(clock, lambda: queue.largest_call_bytes, now_ns)
        self._tokens = DeferredSemaphore(max_inflight)
        self._static = static
        self._lease_seconds = lease_seconds
        self._now_ns = now_ns
        self._observer = observer
        self._lanes: dict[Source, Lane] = {}
        self._runs: dict[CallKey, Run] = {}
        self._taking = False

    def start(self) -> None:
        """Take calls for whatever is deployed, now and after each change."""
        self._taking = True
        self._deployments.when_changed = self._fit_lanes
        self._fit_lanes()

    def stop_taking(self) -> None:
        """Take no more calls; those in hand go on."""
        self._taking = False
        for lane in self._lanes.values():
            lane.stop()
        self._lanes.clear()

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
        if not self._taking:
            return
        wanted = {self._source(name) for name in self._deployments}
        for source in self._lanes.keys() - wanted:
            self._lanes.pop(source).stop()
        for source in wanted - self._lanes.keys():
            self._lanes[source] = Lane(source, self._take, self._room)
            self._lanes[source].open(self._queue)
        for deployment in self._deployments.values():
            deployment.when_freed = self._lanes[self._source(deployment.name)].top_up
        self._top_up_all()

    def _source(self, function: str) -> Source:
        if self._static:
            return OfQueue(self._deployments[function].settings.queue)
        return OfFunction(function)

    def _room(self, source: Source) -> int:
        """How many of a source's calls could begin to run at this moment."""
        free = self._tokens.tokens
        if isinstance(source, OfFunction):
            deployment = self._deployments.get(source.function)
            return min(free, deployment.free if deployment else 0)
        return free

    def _release(self) -> None:
        was_full = not self._tokens.tokens
        self._tokens.release()
        if was_full:
            self._top_up_all()

    def _top_up_all(self) -> None:
        for lane in self._lanes.values():
            lane.top_up()

    # -- one call

    def _take(self, delivery: Delivery[QueueRequest], lane: Lane) -> None:
        key = delivery.parcel.key
        self._leases.hold(delivery)
        running = self._runs.get(key)
        if running is not None:
            # Our lease was lost, yet the call still runs: this delivery is the one to settle.
            self._leases.drop(running.delivery)
            running.delivery = delivery
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
            deployment = await self._admit(run, lane)
            try:
                outcome = await self._attempts.make(run, deployment)
                attempts = len(run.history.attempts)
                self._observer.finished(run.request, outcome, attempts)
                if wants_retry(deployment.settings.retry, outcome.status, attempts):
                    await self._put_off(run, self._wait_seconds(run, deployment, outcome))
                else:
                    await self._end(run, _ending(run, deployment, outcome, self._now_ns()))
            finally:
                self._release()
                deployment.release()
        except NotHandedOver as reason:
            delay_seconds = _hand_over_again_seconds(run.delivery.delivered)
            self._observer.given_back(run.request, str(reason), delay_seconds)
            await self._give_back(run, delay_seconds)
        except CancelledError:
            await self._give_back(run)

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
            return True
        noted = await self._insist(lambda: records.find_history(request.function, request.key))
        if noted is not None and len(noted.attempts) >= len(run.history.attempts):
            run.history = noted
        unaccounted = run.delivery.delivered - 1 - run.history.deliveries
        if unaccounted > 0:
            run.history = run.history.with_crashes(unaccounted)
        if run.history.crashes >= MOST_CRASHES:
            await self._end(run, _crashed(run, self._now_ns()))
            return True
        early_seconds = (run.history.not_before_ns - self._now_ns()) / 1e9
        if early_seconds > 0:
            # The broker forgets its delays when it is restarted.
            await self._give_back(run, min(early_seconds, self._lease_seconds))
            return True
        return False

    async def _end(self, run: Run, ending: Ending) -> None:
        await self._insist(lambda: self._settlement.end(run.request, ending))
        run.delivery.settle()

    # -- going back to the queue

    def _wait_seconds(self, run: Run, deployment: Deployment, outcome: Outcome) -> float:
        return wait_seconds(
            deployment.settings.retry,
            outcome.status,
            len(run.history.attempts),
            first(outcome.headers, b"retry-after"),
            self._now_ns() / 1e9,
        )

    async def _put_off(self, run: Run, wait: float) -> None:
        """Let the next attempt wait."""
        not_before_ns = self._now_ns() + round(wait * 1e9)
        if wait > self._lease_seconds:
            later = replace(run.request, history=run.history.accounting_for(0))
            try:
                await self._insist(lambda: self._queue.put_later(later, wait), but=QueueFull)
            except QueueFull:
                # Then it waits where it is, a lease at a time.
                wait = self._lease_seconds
            else:
                run.delivery.settle()
                return
        await self._give_back(run, wait, not_before_ns)

    async def _give_back(
        self, run: Run, delay_seconds: float = 0.0, not_before_ns: int | None = None
    ) -> None:
        """Hand a call back to the queue, and remember that this delivery came to no harm."""
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
        run.delivery.give_back(delay_seconds)

    async def _insist(
        self, action: Callable[[], Awaitable[T]], but: type[QueueError] | None = None
    ) -> T:
        """Have the queue do something, however long it takes to be able to.

        :param but: the one refusal that is taken for an answer, and raised.
        """
        while True:
            try:
                return await action()
            except QueueError as reason:
                if but is not None and isinstance(reason, but):
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
        lane.waiting.discard(run)
        self._leases.drop(run.delivery)


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
