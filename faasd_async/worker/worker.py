"""The worker: as many calls at a time as there are tokens, each brought to its end.

Two kinds of token bound it: a deployment's (how many invocations of that function may run) and
the daemon's (how many calls may run in all). A lane asks the queue for calls only while both have
some free. What arrives then takes them, the deployment's first; it may find them gone, to a
synchronous caller or another lane, and then waits with its lease extended.

The tokens are held until the end of the call is written down: a queue that cannot be written to
stops the taking by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.queue.interface import Delivery, Queue, Source, is_of
from faasd_async.queue.leases import Leases
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.semaphore import Semaphore
from faasd_async.worker.admission import Admission
from faasd_async.worker.another_try import AnotherTry
from faasd_async.worker.approach import Approach
from faasd_async.worker.aside import Aside
from faasd_async.worker.asking import Asking
from faasd_async.worker.attempts import Attempts
from faasd_async.worker.detours import Detours
from faasd_async.worker.ends import Ends
from faasd_async.worker.lane import Lane
from faasd_async.worker.lanes import Lanes
from faasd_async.worker.orphans import Orphans
from faasd_async.worker.overdue import Overdue
from faasd_async.worker.past import Past, may_have_been_here
from faasd_async.worker.run import Run
from faasd_async.worker.settlement import Settlement
from faasd_async.worker.walk import Walk, Walks
from faasd_async.worker.way_back import WayBack


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
        self._queue = queue
        self._deployments = deployments
        self._leases = leases
        self._now_ns = now_ns
        self._ended = ended
        self._moved = moved
        asking = Asking(clock)
        way_back = WayBack(
            queue,
            asking,
            lease_seconds=lease_seconds,
            may_have_crashed=may_have_crashed,
            now_ns=now_ns,
        )
        tokens = Semaphore(max_inflight)
        self._lanes = Lanes(clock, queue, deployments, tokens, static=static, take=self._take)
        self._admission = Admission(deployments, self._lanes, tokens, now_ns)
        self._aside = Aside(self._lanes, leases, way_back)
        self._detours = self._make_detours(
            settlement, asking, way_back, observer.given_back, orphan_ttl_seconds
        )
        self._walks = Walks(
            clock,
            Attempts(clock, lambda: queue.largest_call_bytes, now_ns, queue.bodies),
            settlement,
            self._detours,
            has_ended=self._has_ended,
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

    def _make_detours(
        self,
        settlement: Settlement,
        asking: Asking,
        way_back: WayBack,
        given_back: Callable[[QueueRequest, str, float], None],
        orphan_ttl_seconds: float,
    ) -> Detours:
        ends = Ends(
            self._deployments,
            asking,
            settlement,
            way_back,
            orphan_ttl_seconds=orphan_ttl_seconds,
            now_ns=self._now_ns,
            ended=self._ended,
        )
        another_try = AnotherTry(
            self._queue,
            self._deployments,
            asking,
            way_back,
            ends,
            orphan_ttl_seconds=orphan_ttl_seconds,
            now_ns=self._now_ns,
        )
        past = Past(self._queue, self._deployments, asking, way_back, ends, self._now_ns)
        return Detours(
            Approach(
                past,
                ends,
                self._lanes,
                self._aside,
                self._admission,
                is_taking=lambda: self._taking,
            ),
            another_try,
            ends,
            way_back,
            self._admission,
            begin=self._begin,
            let_go=self._let_go,
            given_back=given_back,
        )

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
            self._aside.call_in(lane)
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
                self._aside.call_in(lane)
            self._orphans.fit()

    def _pauses_changed(self) -> None:
        for lane in self._lanes:
            self._aside.call_in(lane)
        self._lanes.narrow()

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
        self._aside.settle(key)

    def recall(self, source: Source) -> list[QueueRequest]:
        """Let nothing of a source begin that is in hand already: it is being purged.

        :return: those of its calls that have begun, and go on.
        """
        begun = []
        for run in self._runs.values():
            if is_of(run.request, source):
                run.recalled = True
                if run.begun:
                    begun.append(run.request)
        self._aside.forget(source)
        return begun

    # -- one call

    def _take(self, delivery: Delivery[QueueRequest], lane: Lane) -> None:
        key = delivery.parcel.key
        self._leases.hold(delivery)
        running = self._runs.get(key)
        if running is not None:
            self._take_again(running, delivery)
            lane.top_up()
            return
        run = self._runs[key] = Run(delivery, delivery.parcel.history)
        run.is_recollected = not may_have_been_here(run)
        at_once = run.is_recollected and self._taking
        deployment = self._admission.at_once(run) if at_once else None
        if deployment is not None:
            self._begin(run, lane, deployment)
        else:
            lane.waiting.add(run)
            if delivery.left_behind and delivery.delivered > 1:
                self._lanes.returning.add(run)
            self._detours.approach(run, lane)

    def _take_again(self, run: Run, delivery: Delivery[QueueRequest]) -> None:
        if delivery.parcel.generation > run.request.generation:
            # Its dead letter was seen, and replayed, before the call was settled.
            if run.replay is not None:
                self._leases.drop(run.replay)
            run.replay = delivery
            return
        # Our lease was lost, or it was purged and put again, yet the call still runs: this delivery
        # is the one to settle.
        self._leases.drop(run.delivery)
        if run.recalled:
            run.delivery.settle_moved()
        run.delivery = delivery

    def _begin(self, run: Run, lane: Lane, deployment: Deployment) -> None:
        run.begun, run.begun_ns = True, self._now_ns()
        self._moved(run.request.key)
        if self._lanes.returning:
            self._lanes.has_returned(run)
        self._walks.begin(run, lane, deployment)

    def _has_ended(self, walk: Walk) -> None:
        run = walk.run
        try:
            run.delivery.settle()
            self._ended(run.request.key)
        finally:
            walk.trial.over()
            self._admission.release(walk.deployment)
            self._let_go(run, walk.lane)

    # -- the end of the work

    def _let_go(self, run: Run, lane: Lane) -> None:
        key = run.request.key
        del self._runs[key]
        self._lanes.has_returned(run)
        if run.goes_back:
            self._moved(key)
        if lane.aside.get(key) is not run.delivery:
            self._leases.drop(run.delivery)
        if run in lane.waiting:
            # It came and went without a token, whose return would have made the lane ask again.
            lane.waiting.discard(run)
            lane.top_up()
        if run.replay is not None:
            self._take(run.replay, lane)
