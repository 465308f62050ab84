"""The worker: as many calls at a time as there are tokens, each run to its end.

Two kinds of token bound it: a deployment's (how many invocations of that function may run) and
the daemon's (how many calls may run in all). A lane asks the queue for calls only while both have
some free. What arrives then takes them, the deployment's first; it may find them gone, to a
synchronous caller or another lane, and then waits with its lease extended.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import NotHandedOver, QueueError
from faasd_async.queue.interface import Delivery, OfFunction, OfQueue, Queue, Source, Subscription
from faasd_async.queue.leases import Leases
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.worker.run import Run, make_call

#: Between two tries to hand a call over, at first and at most.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

#: Between two tries to write an outcome's callback down.
_WRITE_AGAIN_SECONDS = 1.0


class CallObserver(Protocol):
    """Who is told what became of calls."""

    def finished(self, request: QueueRequest, outcome: Outcome, attempts: int) -> None: ...

    def given_back(self, request: QueueRequest, reason: str, delay_seconds: float) -> None: ...


class Worker:
    """Takes calls from the queue and has them made.

    :param max_inflight: how many calls may run at a time, whatever they are for.
    :param static: one lane for each queue rather than one for each function.
    :param write_letter: what an outcome's callback says.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        deployments: Deployments,
        leases: Leases,
        *,
        max_inflight: int,
        static: bool,
        write_letter: Callable[[QueueRequest, Outcome], CallbackRequest],
        observer: CallObserver,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._deployments = deployments
        self._leases = leases
        self._tokens = DeferredSemaphore(max_inflight)
        self._static = static
        self._write_letter = write_letter
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
            self._lanes[source] = Lane(self, source)
            self._lanes[source].open(self._queue)
        for deployment in self._deployments.values():
            deployment.when_freed = self._lanes[self._source(deployment.name)].top_up
        for lane in self._lanes.values():
            lane.top_up()

    def _source(self, function: str) -> Source:
        if self._static:
            return OfQueue(self._deployments[function].settings.queue)
        return OfFunction(function)

    def room(self, source: Source) -> int:
        """How many more of a source's calls could run at this moment."""
        free = self._tokens.tokens
        if isinstance(source, OfFunction):
            deployment = self._deployments.get(source.function)
            return min(free, deployment.free if deployment else 0)
        return free

    def _release(self) -> None:
        was_full = not self._tokens.tokens
        self._tokens.release()
        if was_full:
            for lane in self._lanes.values():
                lane.top_up()

    # -- runs

    def take(self, delivery: Delivery[QueueRequest], lane: Lane) -> None:
        """Work on a delivery."""
        key = delivery.parcel.key
        self._leases.hold(delivery)
        running = self._runs.get(key)
        if running is not None:
            # Our lease was lost, yet the call still runs: this delivery is the one to settle.
            self._leases.drop(running.delivery)
            running.delivery = delivery
            return
        run = self._runs[key] = Run(delivery)
        run.work = Deferred.fromCoroutine(self._work(run, lane))
        run.work.addErrback(self._broken, run)
        run.work.addBoth(lambda _: self._end(run, key))

    async def _work(self, run: Run, lane: Lane) -> None:
        try:
            deployment = await self._admit(run, lane)
            try:
                outcome = await make_call(run.request, deployment, self._clock)
                self._observer.finished(run.request, outcome, run.delivery.delivered)
                await self._write_down(run.request, outcome)
                run.delivery.settle()
            finally:
                self._release()
                deployment.release()
        except NotHandedOver as reason:
            delay_seconds = _wait_seconds(run.delivery.delivered)
            self._observer.given_back(run.request, str(reason), delay_seconds)
            run.delivery.give_back(delay_seconds)
        except CancelledError:
            run.delivery.give_back()

    async def _admit(self, run: Run, lane: Lane) -> Deployment:
        """Wait for both tokens.

        :raises NotHandedOver: the function is not deployed.
        """
        lane.waiting += 1
        try:
            deployment = self._deployments.get(run.request.function)
            if deployment is None:
                raise NotHandedOver("no such function is deployed now")
            await deployment.tokens.acquire()
            try:
                await self._tokens.acquire()
            except CancelledError:
                deployment.release()
                raise
            return deployment
        finally:
            lane.waiting -= 1

    async def _write_down(self, request: QueueRequest, outcome: Outcome) -> None:
        """Owe the caller its callback, durably, before the call is settled."""
        if request.callback is None:
            return
        letter = self._write_letter(request, outcome)
        while True:
            try:
                await self._queue.put_callback(letter)
            except QueueError as reason:
                self._log.warn(
                    "cannot write the callback of {call_id} down: {reason}",
                    call_id=request.key.call_id,
                    reason=reason,
                )
                await deferLater(self._clock, _WRITE_AGAIN_SECONDS)
            else:
                return

    def _broken(self, failure: Failure, run: Run) -> None:
        self._log.failure(
            "call {call_id} of {function} failed inside the worker; it is given back",
            failure=failure,
            call_id=run.request.key.call_id,
            function=run.request.function,
        )
        run.delivery.give_back(LONGEST_WAIT_SECONDS)

    def _end(self, run: Run, key: CallKey) -> None:
        del self._runs[key]
        self._leases.drop(run.delivery)



class Lane:
    """One source's calls on their way to the worker.

    :ivar waiting: how many have arrived and have no tokens yet.
    """

    def __init__(self, worker: Worker, source: Source) -> None:
        self.waiting = 0
        self._worker = worker
        self._source = source
        self._subscription: Subscription | None = None

    def open(self, queue: Queue) -> None:
        """Ask for calls from now on."""
        self._subscription = queue.take_calls(self._source, self._take, self._room)

    def top_up(self) -> None:
        if self._subscription is not None:
            self._subscription.top_up()

    def stop(self) -> None:
        if self._subscription is not None:
            self._subscription.stop()

    def _take(self, delivery: Delivery[QueueRequest]) -> None:
        self._worker.take(delivery, self)

    def _room(self) -> int:
        return self._worker.room(self._source) - self.waiting


def _wait_seconds(tries: int) -> float:
    """How long to wait before a call is tried again that could not be handed over."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 10))
    return longest * random.uniform(0.5, 1.0)
