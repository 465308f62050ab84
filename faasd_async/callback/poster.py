"""The poster: takes callbacks from the queue and delivers each with a POST.

A callback holds up nothing but itself: each destination has a few slots of its own, and what
finds them taken goes back to the queue for a while instead of standing in the way.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers as HttpHeaders

from faasd_async import __version__
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.reading import read_away
from faasd_async.queue.interface import Delivery, Queue, Subscription
from faasd_async.queue.leases import Leases

#: How many callbacks go to one destination at a time, and how many more may wait for that.
SLOTS_PER_DESTINATION = 8
_WAITING_PER_DESTINATION = 8

#: Between the first two tries; doubled for each further one.
FIRST_WAIT_SECONDS = 1.0

#: When a callback comes back that found its destination crowded.
_BACK_SOON_SECONDS = 5.0

_USER_AGENT = f"faasd-async/{__version__}".encode()


class CallbackObserver(Protocol):
    """Who is told what became of callbacks."""

    def called_back(self, callback: CallbackRequest, status: int, seconds: float) -> None: ...

    def callback_failed(self, callback: CallbackRequest, reason: str, tries: int) -> None: ...

    def callback_given_up(self, callback: CallbackRequest, tries: int) -> None: ...


class NotDelivered(Exception):
    """A try failed; the text says how."""


@dataclass(slots=True)
class _Destination:
    """One endpoint, by scheme, host and port.

    :ivar held: callbacks to it that are in hand: under way or waiting for a slot.
    """

    slots: DeferredSemaphore = field(
        default_factory=lambda: DeferredSemaphore(SLOTS_PER_DESTINATION)
    )
    held: int = 0


class Poster:
    """Delivers callbacks.

    :param client: the way out into the world.
    :param timeout_seconds: how long one try may take, given the function's name.
    :param tries: how often one is tried before it is given up.
    :param max_inflight: how many callbacks may be in hand.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        leases: Leases,
        client: HTTPClient,
        *,
        timeout_seconds: Callable[[str], float],
        tries: int,
        max_inflight: int,
        observer: CallbackObserver,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._leases = leases
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._tries = tries
        self._max_inflight = max_inflight
        self._observer = observer
        self._destinations: dict[tuple[str, str, int], _Destination] = {}
        self._posts: dict[CallKey, Deferred[None]] = {}
        self._subscription: Subscription | None = None

    def start(self) -> None:
        """Deliver callbacks from now on."""
        self._subscription = self._queue.take_callbacks(
            self._take, lambda: self._max_inflight - len(self._posts)
        )

    def stop_taking(self) -> None:
        """Begin no further callback; those in hand go on."""
        if self._subscription is not None:
            self._subscription.stop()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        return self._leases.when_none()

    def give_up(self) -> int:
        """Abort what is under way and give it back to the queue.

        :return: how many callbacks that were.
        """
        posts = list(self._posts.values())
        for post in posts:
            post.cancel()
        return len(posts)

    def _take(self, delivery: Delivery[CallbackRequest]) -> None:
        callback = delivery.parcel
        destination = self._destinations.setdefault(_where(callback), _Destination())
        crowded = destination.held >= SLOTS_PER_DESTINATION + _WAITING_PER_DESTINATION
        if crowded or callback.key in self._posts:
            delivery.give_back(_BACK_SOON_SECONDS * random.uniform(0.5, 1.0))
            return
        destination.held += 1
        self._leases.hold(delivery)
        post = self._posts[callback.key] = Deferred.fromCoroutine(self._work(delivery, destination))
        post.addErrback(self._broken, delivery)
        post.addBoth(lambda _: self._end(delivery, destination))

    async def _work(self, delivery: Delivery[CallbackRequest], destination: _Destination) -> None:
        try:
            await destination.slots.acquire()
            try:
                await self._deliver(delivery.parcel)
            finally:
                destination.slots.release()
        except CancelledError:
            delivery.give_back()
        else:
            delivery.settle()

    async def _deliver(self, callback: CallbackRequest) -> None:
        """Try until it is delivered or given up."""
        for tried in range(1, self._tries + 1):
            began = self._clock.seconds()
            try:
                status = await self._post(callback)
            except NotDelivered as reason:
                self._observer.callback_failed(callback, str(reason), tried)
            else:
                self._observer.called_back(callback, status, self._clock.seconds() - began)
                return
            if tried < self._tries:
                wait_seconds = FIRST_WAIT_SECONDS * 2 ** (tried - 1)
                await deferLater(self._clock, wait_seconds * random.uniform(0.5, 1.0))
        self._observer.callback_given_up(callback, self._tries)

    async def _post(self, callback: CallbackRequest) -> int:
        """Try once.

        :return: the endpoint's status.
        :raises NotDelivered: it was not a success, or there was none.
        """
        limit_seconds = self._timeout_seconds(callback.function)
        posting = Deferred.fromCoroutine(self._exchange(callback))
        posting.addTimeout(limit_seconds, self._clock)
        try:
            status = await posting
        except TimeoutError:
            raise NotDelivered(f"no answer within {limit_seconds:g} s") from None
        except CancelledError:
            raise
        except Exception as reason:
            # Whatever goes wrong between here and an endpoint is the same to the call.
            raise NotDelivered(str(reason) or type(reason).__name__) from reason
        if not 200 <= status < 300:
            raise NotDelivered(f"status {status}")
        return status

    async def _exchange(self, callback: CallbackRequest) -> int:
        response = await self._client.post(
            URL.from_text(callback.url.without_credentials),
            headers=_fields(callback),
            data=callback.body,
            allow_redirects=False,
        )
        await read_away(response)
        status: int = response.code
        return status

    def _broken(self, failure: Failure, delivery: Delivery[CallbackRequest]) -> None:
        self._log.failure(
            "the callback of {call_id} failed inside the poster; it is given back",
            failure=failure,
            call_id=delivery.parcel.key.call_id,
        )
        delivery.give_back(_BACK_SOON_SECONDS)

    def _end(self, delivery: Delivery[CallbackRequest], destination: _Destination) -> None:
        destination.held -= 1
        if not destination.held:
            self._destinations.pop(_where(delivery.parcel), None)
        del self._posts[delivery.parcel.key]
        self._leases.drop(delivery)
        if self._subscription is not None:
            self._subscription.top_up()


def _where(callback: CallbackRequest) -> tuple[str, str, int]:
    return callback.url.scheme, callback.url.host, callback.url.port


def _fields(callback: CallbackRequest) -> HttpHeaders:
    fields = HttpHeaders()
    for name, value in (*callback.headers, (b"User-Agent", _USER_AGENT)):
        fields.addRawHeader(name, value)
    url = callback.url
    if url.username is not None:
        pair = f"{url.username}:{url.password or ''}".encode()
        fields.setRawHeaders(b"Authorization", [b"Basic " + b64encode(pair)])
    return fields
