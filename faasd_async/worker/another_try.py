"""Another try: of a call whose answer is not to be the last, or whose function was not reached."""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec.structs import replace

from faasd_async.call.body import is_stored
from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.request import Outcome
from faasd_async.queue.interface import Queue
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.worker.asking import Asking
from faasd_async.worker.ends import Ends
from faasd_async.worker.expiry import seconds_left
from faasd_async.worker.retry import wait_seconds
from faasd_async.worker.run import Run
from faasd_async.worker.way_back import WayBack

#: Between two tries to hand a call over, at first and at most.
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0


class AnotherTry:
    """Says when a call is tried again, and puts it off until then.

    :param orphan_ttl_seconds: how long calls wait for a function that is not deployed.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        queue: Queue,
        deployments: Deployments,
        asking: Asking,
        way_back: WayBack,
        ends: Ends,
        *,
        orphan_ttl_seconds: float,
        now_ns: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._deployments = deployments
        self._asking = asking
        self._way_back = way_back
        self._ends = ends
        self._orphan_ttl_seconds = orphan_ttl_seconds
        self._now_ns = now_ns

    async def put_off(self, run: Run, deployment: Deployment, outcome: Outcome) -> None:
        """Let a call that has had an answer wait for its next attempt."""
        now_ns = self._now_ns()
        if self._queue.bodies is not None and is_stored(outcome.body):
            # Another attempt's will be the answer.
            self._queue.bodies.discard(outcome.body)
            outcome = replace(outcome, body=b"")
        if run.recalled or not await self._asking.insist(
            lambda: self._queue.backlog.holds(run.request)
        ):
            # Purged while it ran, here or by another daemon: it is not to be tried again.
            await self._ends.end(run, Ending("cancelled", outcome, run.history, now_ns))
            return
        attempts, policy = len(run.history.attempts), deployment.settings.retry
        retry_after = first(outcome.headers, b"retry-after")
        wait = wait_seconds(policy, outcome.status, attempts, retry_after, now_ns / 1e9)
        await self._way_back.put_off(run, wait)

    def hand_over_seconds(self, run: Run) -> float:
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
