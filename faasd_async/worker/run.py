"""One call in the worker's hands, and one attempt at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import StoredBody
from faasd_async.call.history import Attempt, History
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import InvocationError, NotHandedOver
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.interface import Delivery
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Answer, Invocation, WhenWhole
from faasd_async.worker.large import AnswerStore, FromStore


def nothing() -> None:
    """Nothing goes on yet."""


@dataclass(slots=True, eq=False)
class Run:
    """One call that was delivered and is not settled yet.

    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar history: what has been tried of it.
    :ivar cancel: lets go of what is going on, and gives the call back.
    :ivar begun: whether its function may have seen it this time.
    :ivar begun_ns: when its attempt began, Unix nanoseconds; 0 before.
    :ivar goes_back: nothing more is to be done with it than that.
    :ivar is_recollected: what was noted of it before is in *history*.
    :ivar recalled: it is not to begin any more, but to go back.
    :ivar cancelled: it is not to go on: somebody else has written its end.
    """

    delivery: Delivery[QueueRequest]
    history: History
    cancel: Callable[[], object] = nothing
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

    :param largest_answer_bytes: what the queue can store of an answer in a message, header fields
        and body.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param bodies: where those are that are too large for it, and go; ``None``: there are none.
    """

    def __init__(
        self,
        clock: IReactorTime,
        largest_answer_bytes: Callable[[], int],
        now_ns: Callable[[], int],
        bodies: Bodies | None = None,
    ) -> None:
        self._clock = clock
        self._bodies = bodies
        self._spill = AnswerStore(bodies, largest_answer_bytes)
        self._now_ns = now_ns

    def begin(self, run: Run, deployment: Deployment, when_whole: WhenWhole) -> Callable[[], None]:
        """Invoke the function, within its ``async_timeout``.

        :return: lets go of it; then *when_whole* is not called any more.
        """
        settings = deployment.settings
        return deployment.invoke_whole(
            self._invocation(run),
            settings.async_timeout_seconds,
            settings.max_body_bytes,
            when_whole,
        )

    def _invocation(self, run: Run) -> Invocation:
        request = run.request
        number = len(run.history.attempts) + 1
        body = request.body
        return Invocation(
            function=request.function,
            call_id=request.key.call_id,
            method=b"POST",
            target=request.target,
            headers=[*request.headers, (b"X-Attempt", b"%d" % number)],
            body=body if isinstance(body, bytes) else self._flowing(body),
            spill=self._spill,
        )

    def _flowing(self, body: StoredBody) -> FromStore:
        assert self._bodies is not None
        return FromStore(self._bodies, body)

    def conclude(self, run: Run, began_seconds: float, whole: Answer | Exception) -> Outcome:
        """What an attempt has brought; the run's history knows of it afterwards.

        :raises NotHandedOver: it was none.
        :raises Exception: neither answer nor failure of the function's.
        """
        seconds = self._clock.seconds() - began_seconds
        if isinstance(whole, Answer):
            outcome = Outcome(whole.status, whole.headers, whole.body, seconds)
        elif isinstance(whole, InvocationError) and not isinstance(whole, NotHandedOver):
            outcome = Outcome(whole.status, (), b"", seconds, str(whole))
        else:
            raise whole
        attempt = Attempt(run.begun_ns, outcome.status, seconds, outcome.error)
        run.history = run.history.with_attempt(attempt)
        return outcome
