"""What every queue offers to the gateway, the worker and the callback poster.

Two kinds of parcel lie in it: calls waiting to be made, and callbacks waiting to be delivered.
Both are put in with a promise (the Deferred fires when the parcel is as durable as the
deployment asked for) and taken out on a lease that its holder extends until it settles.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from faasd_async.call.body import Body
from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, Kind, Letter
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallName, Grip, Known
from faasd_async.call.once import Repeatable
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackName, CallbackRequest, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.bodies import Bodies
from faasd_async.queue.listing import Listing
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
        """Whether the parcel lay in the queue before this connection to it, so that somebody
        may have worked on it, of which the queue may know nothing any more."""

    @property
    def left_behind(self) -> bool:
        """Whether it lay there before this daemon first came, so that another may have gone away
        with it."""

    def extend(self) -> None:
        """Begin the lease anew: the parcel is still being worked on."""

    def lighten(self) -> None:
        """Let go of the parcel's body: it will be given back, and come whole."""

    def settle(self) -> None:
        """The parcel is done with; the queue forgets it, and its body if that lies elsewhere."""

    def settle_moved(self) -> None:
        """The parcel was put somewhere else, and its body is needed there."""

    def give_back(self, delay_seconds: float = 0.0) -> None:
        """Let somebody take it again, not earlier than after the delay."""

    def reject(self, reason: str) -> None:
        """Nobody can ever do anything with it; the queue forgets it."""


class Subscription(Protocol):
    """A standing wish for deliveries, as many at a time as there is room for."""

    def top_up(self) -> None:
        """There may be more room than before: ask for as many deliveries as fit."""

    def withdraw(self) -> None:
        """Take back what was asked for. What is on its way all the same is still delivered, and
        more is asked for when the subscription is topped up."""

    def stop(self) -> None:
        """Take nothing more. Deliveries already handed over stay valid."""


@dataclass(frozen=True, slots=True)
class OfFunction:
    """The calls of one function, whatever queue they stand in."""

    function: str

    def __str__(self) -> str:
        return f"function {self.function}"


@dataclass(frozen=True, slots=True)
class OfQueue:
    """The calls of one queue, in the order they came, whatever function they are for."""

    queue: str

    def __str__(self) -> str:
        return f"queue {self.queue}"


Source = OfFunction | OfQueue


def is_of(request: QueueRequest, source: Source) -> bool:
    """Whether a call is one of a source's."""
    if isinstance(source, OfFunction):
        return request.function == source.function
    return request.queue == source.queue


class Pauses(Protocol):
    """The functions and queues whose calls are accepted and wait.

    All daemons on one queue agree on them, and they outlast the daemons.

    :ivar when_changed: called after a change, whoever has ordered it.
    """

    when_changed: Callable[[], None]

    def __contains__(self, source: Source) -> bool: ...

    def hold(self, function: str, queue: str) -> bool:
        """Whether a call of this function, accepted into this queue, has to wait."""

    def pause(self, source: Source) -> Deferred[None]:
        """Fires when it is durable, and known here; fails with a
        :class:`~faasd_async.errors.QueueError`."""

    def resume(self, source: Source) -> Deferred[None]:
        """As :meth:`pause`."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many calls of a source there are.

    :ivar waiting: never handed out yet.
    :ivar in_flight: handed out and not settled: they run, or wait for their next attempt.
    """

    waiting: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that lies in the queue.

    :ivar handed_out: it was, once at least.
    """

    request: QueueRequest
    handed_out: bool


class Backlog(Protocol):
    """The calls that have not ended."""

    def look_through(
        self, source: Source, after: int, limit: int
    ) -> Deferred[tuple[Sequence[Waiting], int]]:
        """Some of a source's calls, in the order in which they came; those aside that are put off,
        or cannot be read.

        :param after: 0, or where the look before this one ended.
        :param limit: how many at most; there are fewer where they are large.
        :return: and where this one ended; 0 if nothing lies behind it.
        """

    def depths(self, sources: Sequence[Source]) -> Deferred[Sequence[Depth]]:
        """How many there are of each."""

    def scheduled(self) -> Deferred[Mapping[tuple[str, str], int] | None]:
        """How many wait for their time, by queue and function; ``None`` if they are too many to
        be counted."""

    def oldest_ns(self, sources: Sequence[Source]) -> Deferred[Sequence[int | None]]:
        """When the oldest of each was stored, those aside that are put off; Unix nanoseconds."""

    def deserted(self, taken: Collection[Source]) -> Deferred[Sequence[Source]]:
        """The sources that have calls and that nobody takes from at this moment.

        :param taken: those that the one who asks takes from.
        """

    def holds(self, request: QueueRequest) -> Deferred[bool]:
        """Whether a call is still there: it may have been purged while it ran."""

    def remove(self, request: QueueRequest) -> Deferred[None]:
        """Remove one call, wherever it waits; it may be handed out."""

    def purge(self, source: Source) -> Deferred[int]:
        """Remove a source's calls, those included that are handed out.

        :return: how many.
        """


class Records(Protocol):
    """What is known of calls apart from the calls themselves.

    Nothing here waits for the disk: whoever writes several things asks once, at the end, with
    :meth:`Queue.when_durable`.
    """

    def record_ending(
        self, request: QueueRequest, ending: Ending, keep: ResultSettings
    ) -> Deferred[bool]:
        """Write a call's terminal record, unless it has one.

        Where a callback is owed the answer is in it, whatever *keep* says: after a crash the
        callback is written from there. An answer that is not to be kept is marked as private
        then, and is as long on the disk as the record is. So is one that is kept for a shorter
        time than the record, which has to be there for as long as the call may come again.

        :return: whether this is the call's first; fails as :meth:`Queue.put_call` does.
        """

    def record_ending_then(
        self,
        request: QueueRequest,
        ending: Ending,
        keep: ResultSettings,
        recorded: Callable[[bool | QueueError], None],
    ) -> None:
        """As :meth:`record_ending`; *recorded* is called once, perhaps at once."""

    def find_ending(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[Ending | None]:
        """A call's terminal record, if it has ended.

        :param generation: what was written of the call before it was replayed so often counts
            for nothing.
        """

    def note_history(self, request: QueueRequest, history: History) -> Deferred[None]:
        """Remember what was tried of a call that goes back to the queue."""

    def find_history(
        self, function: str, key: CallKey, generation: int = 0
    ) -> Deferred[History | None]:
        """What was noted last; *generation* as for :meth:`find_ending`."""

    def forget(self, function: str, key: CallKey) -> Deferred[None]:
        """Forget how a call ended and what was tried of it."""

    def note_posting(self, name: CallbackName, posting: Posting) -> Deferred[None]:
        """Remember what was tried of a callback, or that nothing more is to be done with it."""

    def find_posting(self, name: CallbackName) -> Deferred[Posting | None]:
        """What was noted last."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: those that agree with everything that is given."""

    call_id: str | None = None
    accept: str | None = None
    function: str | None = None
    kind: Kind | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """A dead letter and its place; the younger ones have the higher places."""

    place: int
    letter: Letter


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the dead letters, oldest first.

    :ivar next: behind which place the following page begins; ``None`` if this is the last.
    """

    letters: Sequence[Filed]
    next: int | None


class DeadLetters(Protocol):
    """The calls that did not succeed and the callbacks that could not be delivered, whole."""

    def put(self, letter: DeadLetter) -> Deferred[None]:
        """Keep a call; a later letter of the same call stands over an earlier one."""

    def put_callback(self, letter: DeadCallback) -> Deferred[None]:
        """Keep a callback; likewise."""

    def look_through(self, selection: Selection, after: int, limit: int) -> Deferred[Page]:
        """A page of them. One that cannot be read is there too, as a
        :class:`~faasd_async.call.ending.SealedLetter`.

        :param after: the last place seen before; 0 for the first page.
        :param limit: how many at most; there are fewer where they are large.
        """

    def newest(self) -> Deferred[int]:
        """A place that only letters still to be put lie behind."""

    def remove(self, place: int) -> Deferred[bool]:
        """Forget the letter at a place, and no younger one of the same call.

        :return: whether it was there.
        """

    def purge(self, selection: Selection) -> Deferred[int]:
        """Forget all that are meant; :return: how many."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is known of a call that was accepted before.

    :ivar digest: as :class:`~faasd_async.call.once.Repeatable` has it.
    """

    key: CallKey
    start_time_ns: int
    digest: str


class Lookup(Protocol):
    """Finds calls by the ids that their callers know."""

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        """What is known of the call of an id; of the newest, where several share it.

        :param accept: which acceptance of it, if only that is meant.
        :return: ``None`` if there is no trace of one. Fails with
            :class:`~faasd_async.errors.QueueUnavailable`.
        """


class Hands(Protocol):
    """Whoever has calls in hand."""

    def grip(self, key: CallKey) -> Grip | None:
        """What is known of a call that is in hand; ``None`` if it is not."""

    def abort(self, key: CallKey) -> None:
        """Let go of a call, if it is in hand: it was cancelled, and its end is written."""


class Peers(Protocol):
    """The daemons on one queue, as far as they tell each other of calls in hand.

    :ivar hands: this daemon's own.
    """

    hands: Hands | None

    def ask(self, key: CallKey) -> Deferred[Grip | None]:
        """What whoever has a call in hand knows of it; ``None`` if nobody says so in time."""

    def abort(self, key: CallKey) -> None:
        """Have whoever has a call in hand let go of it; see :meth:`Hands.abort`."""

    def moved(self, key: CallKey) -> None:
        """Tell others that a call has begun here, or goes back to the queue."""

    def hear(
        self, name: CallName, ended: Callable[[], None], moved: Callable[[], None]
    ) -> Callable[[], None]:
        """Have *ended* called when a call may have ended at another daemon, and *moved* when it may
        have begun there or gone back: perhaps several times, perhaps for nothing.

        :return: stops that.
        """


class KeyedCalls(Protocol):
    """Calls that their callers may repeat, and that are stored once."""

    def name(self, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
        """What makes a request the same call as another.

        :raises QueueUnavailable: the queue was never reached.
        """

    def put(self, request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Accepted | None]:
        """Store a call, unless it was accepted before.

        :param delay_seconds: it is to be taken after that.

        :return: how it was accepted before, or ``None``; durable either way. Fails as
            :meth:`Queue.put_call`.
        """


@dataclass(frozen=True, slots=True)
class Tick:
    """A time at which a schedule came.

    :ivar schedule: which, as it was written then.
    :ivar at_ns: Unix nanoseconds.
    """

    schedule: str
    at_ns: int


class Schedules(Protocol):
    """What all daemons on one queue know of the schedules of functions; it outlasts them."""

    def last(self, function: str) -> Deferred[Tick | None]:
        """The last time that was seen to."""

    def note(self, function: str, tick: Tick) -> Deferred[None]:
        """A time was seen to."""

    def removed(self, function: str) -> Deferred[str]:
        """The schedule that an operator has removed; empty if none was."""

    def remove(self, function: str, schedule: str) -> Deferred[None]:
        """Have a schedule not count any more; an empty one has it count again."""


class Queue(Protocol):
    """A durable queue of calls and callbacks."""

    @property
    def ready(self) -> bool:
        """Whether it can be put into and taken from just now."""

    @property
    def why_full(self) -> str | None:
        """Why no further call would be taken, as far as is known, or ``None``."""

    @property
    def largest_call_bytes(self) -> int:
        """The largest body that is sure to fit into a message, its headers aside."""

    @property
    def bodies(self) -> Bodies | None:
        """Those that are larger; ``None`` if there are to be none."""

    @property
    def records(self) -> Records: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    @property
    def pauses(self) -> Pauses: ...

    @property
    def backlog(self) -> Backlog: ...

    @property
    def keyed(self) -> KeyedCalls: ...

    @property
    def schedules(self) -> Schedules: ...

    @property
    def lookup(self) -> Lookup: ...

    @property
    def listing(self) -> Listing: ...

    @property
    def peers(self) -> Peers: ...

    def start(self) -> Deferred[None]:
        """Connect and bring up what is needed; fires when it is ready for the first time."""

    def stop(self) -> Deferred[None]:
        """Send what is still to be sent, then let go."""

    def when_durable(self) -> Deferred[None]:
        """Fires when everything stored so far is as durable as the deployment asked for; fails
        with :class:`~faasd_async.errors.QueueUnavailable` if it never will be."""

    def when_durable_then(self, durable: Callable[[QueueError | None], None]) -> None:
        """As :meth:`when_durable`; *durable* is called once, perhaps at once."""

    def put_call_then(
        self, request: QueueRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`put_call`; *stored* is called once, perhaps at once."""

    def put_call(self, request: QueueRequest) -> Deferred[None]:
        """Store a call.

        :return: fires when it is durable. Fails with
            :class:`~faasd_async.errors.QueueUnavailable` (surely not stored),
            :class:`~faasd_async.errors.CallTooLarge` or
            :class:`~faasd_async.errors.MaybeStored`.
        """

    def put_later(self, request: QueueRequest, delay_seconds: float) -> Deferred[None]:
        """Store a call that is to be taken after a delay; as :meth:`put_call`, and fails with
        :class:`~faasd_async.errors.NoSchedules` where that is not possible at all."""

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

    @property
    def callbacks_crowded(self) -> bool:
        """Whether callbacks take up half of the room there is for them, as far as is known."""

    @property
    def callbacks_full(self) -> bool:
        """Whether they take up nearly all of it."""

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        """Store a callback, unless it is stored already; it is durable with :meth:`when_durable`.

        One that was stored and is gone again (it was delivered, or given up) is stored anew: ask
        :meth:`Records.find_posting` where that may be.
        """

    def put_callback_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None:
        """As :meth:`put_callback`; *stored* is called once, perhaps at once."""

    def take_callbacks(
        self,
        on_delivery: Callable[[Delivery[CallbackRequest]], None],
        room: Callable[[], int],
    ) -> Subscription:
        """Have callbacks delivered; as :meth:`take_calls`."""
