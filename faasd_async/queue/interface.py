"""What every queue offers to the gateway, the worker and the callback poster.

Two kinds of parcel lie in it: calls waiting to be made, and callbacks waiting to be delivered.
Both are put in with a promise (the Deferred fires when the parcel is as durable as the
deployment asked for) and taken out on a lease that its holder extends until it settles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from faasd_async.call.ending import DeadLetter, Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.once import Repeatable
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.settings import ResultSettings

Parcel_co = TypeVar("Parcel_co", covariant=True)


class Delivery(Protocol[Parcel_co]):
    """One parcel on a lease. It ends with exactly one of settle, give back and reject."""

    @property
    def parcel(self) -> Parcel_co: ...

    @property
    def delivered(self) -> int:
        """How many times the queue has handed this parcel out, this time included."""

    @property
    def inherited(self) -> bool:
        """Whether the parcel lay in the queue before this daemon came to it, so that another
        may have worked on it."""

    def extend(self) -> None:
        """Begin the lease anew: the parcel is still being worked on."""

    def settle(self) -> None:
        """The parcel is done with; the queue forgets it."""

    def give_back(self, delay_seconds: float = 0.0) -> None:
        """Let somebody take it again, not earlier than after the delay."""

    def reject(self, reason: str) -> None:
        """Nobody can ever do anything with it; the queue forgets it."""


class Subscription(Protocol):
    """A standing wish for deliveries, as many at a time as there is room for."""

    def top_up(self) -> None:
        """There may be more room than before: ask for as many deliveries as fit."""

    def stop(self) -> None:
        """Take nothing more. Deliveries already handed over stay valid."""


@dataclass(frozen=True, slots=True)
class OfFunction:
    """The calls of one function, whatever queue they stand in."""

    function: str


@dataclass(frozen=True, slots=True)
class OfQueue:
    """The calls of one queue, in the order they came, whatever function they are for."""

    queue: str


Source = OfFunction | OfQueue


class Records(Protocol):
    """What is known of calls apart from the calls themselves.

    Nothing here waits for the disk: whoever writes several things asks once, at the end, with
    :meth:`Queue.when_durable`.
    """

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        """Write a call's terminal record, unless it has one.

        :return: whether this is the call's first; fails as :meth:`Queue.put_call` does.
        """

    def find_ending(self, function: str, key: CallKey) -> Deferred[Ending | None]:
        """A call's terminal record, if it has ended."""

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        """Remember what was tried of a call that goes back to the queue."""

    def find_history(self, function: str, key: CallKey) -> Deferred[History | None]:
        """What was noted last."""


class DeadLetters(Protocol):
    """The calls that did not succeed, kept whole."""

    def put(self, letter: DeadLetter) -> Deferred[None]:
        """Keep one; a later one of the same call stands over an earlier one."""

    def find(self, call_id: str) -> Deferred[Sequence[DeadLetter]]:
        """Those with a call id; several calls may share one."""

    def look_through(
        self, function: str | None, after: int, limit: int
    ) -> Deferred[Sequence[tuple[int, DeadLetter]]]:
        """A page of them, oldest first, each with its place.

        :param after: the last place seen before; 0 for the first page.
        """

    def remove(self, letter: DeadLetter) -> Deferred[None]:
        """Forget one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is known of a call that was accepted before.

    :ivar digest: as :class:`~faasd_async.call.once.Repeatable` has it.
    """

    key: CallKey
    start_time_ns: int
    digest: str


class KeyedCalls(Protocol):
    """Calls that their callers may repeat, and that are stored once."""

    def name(self, function: str, key: bytes, target: bytes, body: bytes) -> Repeatable:
        """What makes a request the same call as another.

        :raises QueueUnavailable: the queue was never reached.
        """

    def put(self, request: QueueRequest) -> Deferred[Accepted | None]:
        """Store a call, unless it was accepted before.

        :return: how it was accepted before, or ``None``; durable either way. Fails as
            :meth:`Queue.put_call`.
        """


class Queue(Protocol):
    """A durable queue of calls and callbacks."""

    @property
    def ready(self) -> bool:
        """Whether it can be put into and taken from just now."""

    @property
    def largest_call_bytes(self) -> int:
        """The largest body that is sure to fit, its headers aside."""

    @property
    def records(self) -> Records: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    @property
    def keyed(self) -> KeyedCalls: ...

    def start(self) -> Deferred[None]:
        """Connect and bring up what is needed; fires when it is ready for the first time."""

    def stop(self) -> Deferred[None]:
        """Send what is still to be sent, then let go."""

    def when_durable(self) -> Deferred[None]:
        """Fires when everything stored so far is as durable as the deployment asked for; fails
        with :class:`~faasd_async.errors.QueueUnavailable` if it never will be."""

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        """Store a call.

        :return: fires when it is durable. Fails with
            :class:`~faasd_async.errors.QueueUnavailable` (surely not stored),
            :class:`~faasd_async.errors.CallTooLarge` or
            :class:`~faasd_async.errors.MaybeStored`.
        """

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        """Store a call that is to be taken after a delay; as :meth:`put_call`."""

    def take_calls(
        self,
        source: Source,
        on_delivery: Callable[[Delivery[QueueRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        """Have a source's calls delivered.

        :param room: how many more deliveries fit at this moment, were none on their way. It is
            asked whenever the subscription is topped up.
        """

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        """Store a callback, once for each call; it is durable with :meth:`when_durable`."""

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        """Have callbacks delivered; as :meth:`take_calls`."""
