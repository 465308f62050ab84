"""The asynchronous door: write the call down, then say 202."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote_from_bytes

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl, parse
from faasd_async.call.headers import Headers, first
from faasd_async.call.ids import adopt_call_key
from faasd_async.call.once import MAX_KEY_BYTES, Repeatable, idempotency_key
from faasd_async.call.request import QueueRequest
from faasd_async.errors import MaybeStored, QueueError
from faasd_async.gateway.arrival import Arrival, Directory, Tracing, forwarded, trace
from faasd_async.gateway.refusal import Fields, Refusal, body_too_large, not_allowed, of_queue_error
from faasd_async.queue.interface import Accepted, KeyedCalls
from faasd_async.runtime.deployments import Deployment

Answer = TypeVar("Answer")


class CallStore(Protocol):
    """What this door needs of a queue."""

    @property
    def largest_call_bytes(self) -> int: ...

    @property
    def keyed(self) -> KeyedCalls: ...

    def put_call(self, request: QueueRequest) -> Deferred[None]: ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """A 202's header fields."""

    fields: Fields


class Acceptance:
    """Accepts calls.

    :param refuse_destination: why a callback may not go to a URL, or ``None``.
    :param deadline_seconds: a call that is not durable by then is not accepted.
    :param now_ns: the wall clock, Unix nanoseconds.
    :param accepted: told of each call that was accepted.
    """

    def __init__(
        self,
        directory: Directory,
        queue: CallStore,
        *,
        refuse_destination: Callable[[CallbackUrl], str | None],
        deadline_seconds: float,
        clock: IReactorTime,
        now_ns: Callable[[], int],
        accepted: Callable[[QueueRequest], None],
    ) -> None:
        self._directory = directory
        self._queue = queue
        self._refuse_destination = refuse_destination
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._now_ns = now_ns
        self._accepted = accepted

    def largest_body_bytes(self, deployment: Deployment) -> int:
        return min(deployment.settings.max_body_bytes, self._queue.largest_call_bytes)

    async def accept(self, arrival: Arrival) -> Receipt:
        """Take a call.

        :raises Refusal: it was not taken, or (504) it is not known whether it was.
        """
        if arrival.method != b"POST":
            raise not_allowed(b"POST")
        deployment = self._directory.find(arrival.route)
        limit = self.largest_body_bytes(deployment)
        if len(arrival.body) > limit:
            raise body_too_large(limit)
        callback = self._callback(arrival.headers)
        repeatable = self._repeatable(arrival, deployment)
        key_for = adopt_call_key if repeatable is None else repeatable.key
        tracing = trace(arrival, self._now_ns(), key_for)
        request = QueueRequest(
            function=deployment.name,
            queue=deployment.settings.queue,
            key=tracing.key,
            start_time_ns=tracing.start_time_ns,
            target=arrival.route.target,
            headers=forwarded(arrival, tracing),
            body=arrival.body,
            callback=callback,
            digest="" if repeatable is None else repeatable.digest,
        )
        if repeatable is None:
            await self._in_time(self._queue.put_call(request), tracing)
        else:
            earlier = await self._in_time(self._queue.keyed.put(request), tracing)
            if earlier is not None:
                return _repeated(request, earlier)
        self._accepted(request)
        return _receipt(tracing)

    def _repeatable(self, arrival: Arrival, deployment: Deployment) -> Repeatable | None:
        key = idempotency_key(arrival.headers)
        if key is None:
            return None
        if len(key) > MAX_KEY_BYTES:
            raise Refusal(400, f"an idempotency key has at most {MAX_KEY_BYTES} bytes")
        try:
            return self._queue.keyed.name(deployment.name, key, arrival.route.target, arrival.body)
        except QueueError as reason:
            raise of_queue_error(reason, ()) from None

    async def _in_time(self, stored: Deferred[Answer], tracing: Tracing) -> Answer:
        stored.addTimeout(self._deadline_seconds, self._clock)
        try:
            return await stored
        except TimeoutError:
            raise of_queue_error(MaybeStored(), tracing.fields) from None
        except QueueError as reason:
            raise of_queue_error(reason, tracing.fields) from None

    def _callback(self, headers: Headers) -> CallbackUrl | None:
        raw = first(headers, b"x-callback-url")
        if not raw:
            return None
        try:
            url = parse(raw)
        except MalformedCallbackUrl as reason:
            raise Refusal(400, f"X-Callback-Url: {reason}") from None
        forbidden = self._refuse_destination(url)
        if forbidden is not None:
            raise Refusal(403, f"X-Callback-Url: {forbidden}")
        return url


def _receipt(tracing: Tracing) -> Receipt:
    return Receipt((*tracing.fields, (b"Location", location(tracing))))


def _repeated(request: QueueRequest, earlier: Accepted) -> Receipt:
    """The receipt of a call that was accepted before.

    :raises Refusal: 422, that was another call.
    """
    if earlier.digest != request.digest:
        raise Refusal(422, "another call, with another path or body, was sent under this key")
    receipt = _receipt(Tracing(earlier.key, earlier.start_time_ns))
    return Receipt((*receipt.fields, (b"Idempotency-Replayed", b"true")))


def location(tracing: Tracing) -> bytes:
    """Where the call can be asked after."""
    return b"/call/" + quote_from_bytes(tracing.key.call_id.encode(), safe="").encode()
