"""One call in the worker's hands, and one attempt at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.headers import Headers
from faasd_async.call.history import Attempt, History
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import InvocationError, NotHandedOver
from faasd_async.queue.interface import Delivery
from faasd_async.runtime.collect import gather
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Invocation


@dataclass(slots=True, eq=False)
class Run:
    """One call that was delivered and is not settled yet.

    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar history: what has been tried of it.
    :ivar work: what is going on; cancelling it gives the call back.
    :ivar begun: whether its function may have seen it this time.
    :ivar begun_ns: when its attempt began, Unix nanoseconds; 0 before.
    :ivar goes_back: nothing more is to be done with it than that.
    :ivar is_recollected: what was noted of it before is in *history*.
    :ivar recalled: it is not to begin any more, but to go back.
    :ivar cancelled: it is not to go on: somebody else has written its end.
    """

    delivery: Delivery[QueueRequest]
    history: History
    work: Deferred[None] = field(default_factory=Deferred)
    begun: bool = False
    begun_ns: int = 0
    goes_back: bool = False
    is_recollected: bool = False
    recalled: bool = False
    cancelled: bool = False

    @property
    def request(self) -> QueueRequest:
        return self.delivery.parcel


class Attempts:
    """Makes attempts.

    :param largest_answer_bytes: what the queue can store of an answer.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        largest_answer_bytes: Callable[[], int],
        now_ns: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._largest_answer_bytes = largest_answer_bytes
        self._now_ns = now_ns

    async def make(self, run: Run, deployment: Deployment) -> Outcome:
        """Invoke the function and gather its answer, within its ``async_timeout``.

        The run's history knows of the attempt afterwards.

        :raises NotHandedOver: the function saw nothing of the call: it was no attempt.
        """
        at_ns, began = self._now_ns(), self._clock.seconds()
        try:
            reply = await deployment.invoke(
                _invocation(run), deployment.settings.async_timeout_seconds
            )
            limit = min(deployment.settings.max_body_bytes, self._largest_answer_bytes())
            body = await gather(reply, limit - _size(reply.headers))
        except NotHandedOver:
            raise
        except InvocationError as reason:
            seconds = self._clock.seconds() - began
            outcome = Outcome(reason.status, (), b"", seconds, str(reason))
        else:
            seconds = self._clock.seconds() - began
            outcome = Outcome(reply.status, reply.headers, body, seconds)
        run.history = run.history.with_attempt(
            Attempt(at_ns, outcome.status, outcome.duration_seconds, outcome.error)
        )
        return outcome


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def _invocation(run: Run) -> Invocation:
    request = run.request
    number = len(run.history.attempts) + 1
    return Invocation(
        function=request.function,
        call_id=request.key.call_id,
        method=b"POST",
        target=request.target,
        headers=[*request.headers, (b"X-Attempt", b"%d" % number)],
        body=request.body,
    )
