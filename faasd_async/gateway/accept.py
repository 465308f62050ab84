"""The asynchronous door: write the call down, then say 202."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import Body, is_stored
from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ids import adopt_call_key, draw_call_key
from faasd_async.call.once import MAX_KEY_BYTES, Repeatable, idempotency_key
from faasd_async.call.plain import PlainCall
from faasd_async.call.request import QueueRequest
from faasd_async.call.route import FunctionRoute
from faasd_async.call.trace import TRACEPARENT, carried
from faasd_async.errors import QueueError
from faasd_async.garbage import scales
from faasd_async.gateway.arrival import (
    OURS,
    Arrival,
    Withhold,
    around,
    forwarded,
    trace,
)
from faasd_async.gateway.attempts import MAX_ATTEMPTS_FIELD, read_max_attempts
from faasd_async.gateway.authentication import Authentication, without_password
from faasd_async.gateway.callback_orders import CallbackOrders
from faasd_async.gateway.deadlines import Deadlines
from faasd_async.gateway.directory import Directory
from faasd_async.gateway.letterhead import Letterhead, letterhead
from faasd_async.gateway.orders import ORDERS, read_orders
from faasd_async.gateway.receipt import Receipt
from faasd_async.gateway.refusal import (
    Refusal,
    body_too_large,
    no_room,
    not_allowed,
    of_queue_error,
)
from faasd_async.gateway.storing import Stored, Storing, WhenAccepted, telling
from faasd_async.gateway.timing import AT_ONCE, TIMING_FIELDS, Timing, read_timing
from faasd_async.gateway.verification import Verification
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.interface import Accepted, KeyedCalls
from faasd_async.runtime.deployments import Deployment
from faasd_async.settings import FunctionSettings

#: The fields that do not go on to the function.
_KEPT = OURS | TIMING_FIELDS | {MAX_ATTEMPTS_FIELD}

#: Those of which something follows besides that they go on.
_SAY_MORE = ORDERS | {b"x-call-id", b"authorization", TRACEPARENT}


class CallStore(Protocol):
    """What this door needs of a queue."""

    @property
    def largest_call_bytes(self) -> int: ...

    @property
    def bodies(self) -> Bodies | None: ...

    @property
    def keyed(self) -> KeyedCalls: ...

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None: ...

    def put_plain_then(
        self, call: PlainCall, stored: Callable[[QueueError | None], None]
    ) -> None: ...

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]: ...


class Wishes(NamedTuple):
    """What a caller ordered of a call besides that it be made."""

    callback: CallbackUrl | None = None
    on_failure: CallbackUrl | None = None
    timing: Timing = AT_ONCE
    repeatable: Repeatable | None = None
    max_attempts: int = 0


_NO_WISHES = Wishes()


class Acceptance:
    """Accepts calls.

    :param callback_orders: reads where callbacks are to go.
    :param deadline_seconds: a call that is not durable by then is not accepted.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param accepted: told of each call that was accepted, and how many seconds that took.
    :param verification: looks at the signatures of requests that need one.
    :param authentication: asks the callers of functions that want a password for it.
    :param why_no_room: why there is no room for a call of so many bytes, or ``None``.
    :param withhold: leaves out of a call's header fields what is not for functions.
    :param begins_traces: calls that belong to no trace begin one.
    """

    def __init__(
        self,
        directory: Directory,
        queue: CallStore,
        *,
        callback_orders: CallbackOrders,
        deadline_seconds: float,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        accepted: WhenAccepted,
        verification: Verification,
        authentication: Authentication,
        why_no_room: Callable[[int], str | None] = lambda size_bytes: None,
        withhold: Withhold | None = None,
        begins_traces: bool = False,
    ) -> None:
        self._directory = directory
        self._queue = queue
        self._callback_orders = callback_orders
        self._seconds = clock.seconds
        self._deadlines = Deadlines(clock, deadline_seconds)
        self._now_ns = now_ns
        self._accepted = accepted
        self._verification = verification
        self._authentication = authentication
        self._why_no_room = why_no_room
        self._withhold = withhold
        self._begins_traces = begins_traces

    def largest_body_bytes(self, deployment: Deployment) -> int:
        # What is signed is looked at whole, before anything of it is stored.
        if self._queue.bodies is not None and deployment.settings.verify is None:
            return deployment.settings.max_body_bytes
        return self.largest_gathered_bytes(deployment)

    def largest_gathered_bytes(self, deployment: Deployment) -> int:
        """Of a body that is not stored while it comes."""
        own, most = deployment.settings.max_body_bytes, self._queue.largest_call_bytes
        return own if own < most else most

    @property
    def gathered_body_bytes(self) -> int:
        """How large a body is at most that goes into one message."""
        return self._queue.largest_call_bytes

    def why_no_room(self, size_bytes: int) -> str | None:
        """Why so much more of a body cannot be taken, or ``None``."""
        return self._why_no_room(size_bytes)

    async def take_along(self, body: Body) -> Body:
        """Have a body that belongs to something else for a call that is to be accepted.

        :raises QueueError: that cannot be done now.
        """
        bodies = self._queue.bodies
        if bodies is None or not is_stored(body):
            return body
        return await bodies.copy_for_call(body)

    def find(self, method: bytes, route: FunctionRoute) -> Deployment:
        """Whom a call is for.

        :raises Refusal: 405, or that there is nobody.
        """
        if method != b"POST":
            raise not_allowed(b"POST", b"DELETE")
        return self._directory.find(route)

    async def accept(self, arrival: Arrival) -> Receipt:
        """Take a call.

        :raises Refusal: it was not taken, or (504) it is not known whether it was.
        """
        answer: Deferred[Receipt | Refusal] = Deferred()
        self.take(arrival, answer.callback)
        receipt = await answer
        if isinstance(receipt, Refusal):
            try:
                raise receipt
            finally:
                # It knows this frame, and with it the body: who knew it here made a ring of that.
                del answer, receipt
        return receipt

    def take(
        self,
        arrival: Arrival,
        answered: Callable[[Receipt | Refusal], None],
        deployment: Deployment | None = None,
    ) -> None:
        """As :meth:`accept`; *answered* is called once, perhaps at once.

        :param deployment: whom it is for, if the door has looked already, and at the body's size.
        """
        scales.weigh(len(arrival.body))
        began_seconds = self._seconds()
        try:
            if deployment is None:
                deployment = self._admit(arrival)
            settings = deployment.settings
            if settings.auth is not None and not arrival.inside:
                self._authentication.admit(settings.auth, arrival.headers)
            if settings.verify is not None:
                answered = self._verification.admit(
                    settings.name, settings.verify, arrival, answered
                )
            call = self._read(arrival, deployment)
        except Refusal as refusal:
            self._let_fall(arrival.body)
            answered(refusal)
            return
        storing = Storing(self._deadlines, call, began_seconds, answered, self._accepted)
        self._deadlines.begin(storing, began_seconds)
        try:
            if isinstance(call, PlainCall):
                self._queue.put_plain_then(call, storing.stored)
            elif type(call.body) is bytes:
                self._put(call, storing.stored)
            else:
                self._put_stored(call, storing.stored)
        except Exception:
            self._deadlines.over(storing)
            raise

    def _put(self, request: QueueRequest, stored: Stored) -> None:
        if request.digest:
            putting = self._queue.keyed.put(request, self._delay_seconds(request))
            putting.addCallbacks(lambda earlier: stored(None, earlier), telling(stored))
        elif request.not_before_ns:
            later = self._queue.put_later(request, self._delay_seconds(request))
            later.addCallbacks(lambda _: stored(None), telling(stored))
        else:
            self._queue.put_call_then(request, stored)

    def _put_stored(self, request: QueueRequest, stored: Stored) -> None:
        """Put a call whose body lies in the store."""
        bodies = self._queue.bodies
        assert bodies is not None
        body = request.body
        assert is_stored(body)

        def told(reason: QueueError | None, earlier: Accepted | None = None) -> None:
            if earlier is not None:
                bodies.drop_held(body)
            else:
                bodies.put(body, reason)
            stored(reason, earlier)

        preparing = bodies.prepare_call(request)
        preparing.addCallbacks(lambda prepared: self._put(prepared, told), telling(told))

    def _let_fall(self, body: Body) -> None:
        if self._queue.bodies is not None and is_stored(body):
            self._queue.bodies.drop_held(body)

    def _delay_seconds(self, request: QueueRequest) -> float:
        return max(request.not_before_ns - self._now_ns(), 0) / 1e9

    def _admit(self, arrival: Arrival) -> Deployment:
        """
        :raises Refusal: there is nobody, or the body is too large for them.
        """
        deployment = self.find(arrival.method, arrival.route)
        limit = self.largest_body_bytes(deployment)
        if len(arrival.body) > limit:
            raise body_too_large(limit)
        return deployment

    def _read(self, arrival: Arrival, deployment: Deployment) -> PlainCall | QueueRequest:
        """
        :raises Refusal: it is no call that could be taken.
        """
        why = self._why_no_room(len(arrival.body))
        if why is not None:
            raise no_room(why)
        regular = arrival.regular
        if regular is not None and regular.letterhead is not None:
            return self._plain(arrival, regular.letterhead, deployment.settings)
        said = read_orders(arrival.headers)
        if regular is not None and _SAY_MORE.isdisjoint(said) and not self._begins_traces:
            regular.letterhead = self._letterhead(arrival)
            return self._plain(arrival, regular.letterhead, deployment.settings)
        return self._with_orders(arrival, said, deployment)

    def _letterhead(self, arrival: Arrival) -> Letterhead:
        """What is stored of any call that begins as this one does."""
        before, after = around(arrival, without=_KEPT)
        return letterhead(arrival.route.target, before, after, len(arrival.body))

    def _plain(
        self, arrival: Arrival, letterhead: Letterhead, settings: FunctionSettings
    ) -> PlainCall:
        """A call of which nothing is ordered, and which has no id of its caller's."""
        body = arrival.body
        assert type(body) is bytes
        key, now_ns = draw_call_key(), self._now_ns()
        written = letterhead.written(key.call_id.encode(), now_ns, body)
        return PlainCall(settings.name, settings.queue, key, now_ns, written, len(body))

    def _with_orders(
        self, arrival: Arrival, said: Mapping[bytes, bytes], deployment: Deployment
    ) -> QueueRequest:
        """
        :raises Refusal: it is no call that could be taken.
        """
        now_ns = self._now_ns()
        wishes = _NO_WISHES
        if not ORDERS.isdisjoint(said):
            wishes = self._wishes(arrival, said, deployment, now_ns)
        repeatable = wishes.repeatable
        key_for = adopt_call_key if repeatable is None else repeatable.key
        tracing = trace(arrival, now_ns, key_for)
        headers = forwarded(arrival, tracing, without=_KEPT)
        if b"authorization" in said:
            withhold = self._withhold if deployment.settings.auth is None else without_password
            headers = headers if withhold is None else withhold(headers)
        traceparent = b""
        if self._begins_traces or TRACEPARENT in said:
            headers, traceparent = carried(headers, begins=self._begins_traces)
        return QueueRequest(
            function=deployment.name,
            queue=deployment.settings.queue,
            key=tracing.key,
            start_time_ns=tracing.start_time_ns,
            target=arrival.route.target,
            headers=headers,
            body=arrival.body,
            callback=wishes.callback,
            on_failure=wishes.on_failure,
            digest="" if repeatable is None else repeatable.digest,
            not_before_ns=wishes.timing.not_before_ns,
            expires_ns=wishes.timing.expires_ns,
            max_attempts=wishes.max_attempts,
            traceparent=traceparent,
        )

    def _wishes(
        self, arrival: Arrival, said: Mapping[bytes, bytes], deployment: Deployment, now_ns: int
    ) -> Wishes:
        """
        :raises Refusal: one is not understood, or may not be.
        """
        callback = self._callback_orders.read(arrival, said, "X-Callback-Url")
        on_failure = self._callback_orders.read(arrival, said, "X-Callback-On-Failure")
        timing = read_timing(said, now_ns)
        repeatable = self._repeatable(arrival, said, deployment)
        if repeatable is not None:
            repeatable = repeatable.telling(callback, on_failure)
        return Wishes(callback, on_failure, timing, repeatable, read_max_attempts(said))

    def _repeatable(
        self, arrival: Arrival, said: Mapping[bytes, bytes], deployment: Deployment
    ) -> Repeatable | None:
        key = idempotency_key(said)
        if key is None:
            return None
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise Refusal(
                400, f"Idempotency-Key or webhook-id: 1 to {MAX_KEY_BYTES} bytes are allowed"
            )
        try:
            return self._queue.keyed.name(deployment.name, key, arrival.route.target, arrival.body)
        except QueueError as reason:
            raise of_queue_error(reason, ()) from None
