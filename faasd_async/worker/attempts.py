"""One attempt at a call: its function is invoked, and what that brings is the outcome."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import StoredBody
from faasd_async.call.headers import Headers, replaced
from faasd_async.call.history import Attempt
from faasd_async.call.http_form import StoredFields
from faasd_async.call.request import Outcome
from faasd_async.errors import InvocationError, NotHandedOver
from faasd_async.queue.bodies import Bodies
from faasd_async.runtime.deployments import Deployment
from faasd_async.runtime.interface import Answer, Invocation, WhenWhole
from faasd_async.worker.large import AnswerStore, FromStore
from faasd_async.worker.run import Run


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
        body = request.body
        return Invocation(
            function=request.function,
            call_id=request.key.call_id,
            method=b"POST",
            target=request.target,
            headers=_counted(request.headers, len(run.history.attempts) + 1),
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


def _counted(headers: Headers, attempt: int) -> Headers:
    """A call's fields, and which attempt at it this is, whatever its caller has said of that."""
    field = b"X-Attempt", b"%d" % attempt
    if type(headers) is StoredFields and not headers.may_hold(b"x-attempt"):
        return headers.with_one_more(field)
    return replaced(headers, (field,))
