"""The asynchronous door: write the call down, then say 202."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote_from_bytes

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from faasd_async.call.callback_url import CallbackUrl, MalformedCallbackUrl, parse
from faasd_async.call.headers import Headers, first
from faasd_async.call.request import QueueRequest
from faasd_async.errors import MaybeStored, QueueError
from faasd_async.gateway.arrival import Arrival, Directory, Tracing, forwarded, trace
from faasd_async.gateway.refusal import Fields, Refusal, body_too_large, not_allowed, of_queue_error
from faasd_async.runtime.deployments import Deployment


class CallStore(Protocol):
    """What this door needs of a queue."""

    @property
    def largest_call_bytes(self) -> int: ...

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
        tracing = trace(arrival, self._now_ns())
        request = QueueRequest(
            function=deployment.name,
            queue=deployment.settings.queue,
            key=tracing.key,
            start_time_ns=tracing.start_time_ns,
            target=arrival.route.target,
            headers=forwarded(arrival, tracing),
            body=arrival.body,
            callback=callback,
        )
        await self._store(request, tracing)
        self._accepted(request)
        return Receipt((*tracing.fields, (b"Location", location(tracing))))

    async def _store(self, request: QueueRequest, tracing: Tracing) -> None:
        stored = self._queue.put_call(request)
        stored.addTimeout(self._deadline_seconds, self._clock)
        try:
            await stored
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


def location(tracing: Tracing) -> bytes:
    """Where the call can be asked after."""
    return b"/call/" + quote_from_bytes(tracing.key.call_id.encode(), safe="").encode()
