"""The poster: takes callbacks from the queue; one delivery is one try.

What a try brought is noted beside the callback, and the delivery goes back to the queue until the
next one is due: hours later, perhaps, and after a restart. The queue keeps the time; the note is
what counts if it comes early. A delivery that came to no try (its receiver has no place for it, or
the daemon stops) uses none up, and neither does the time that the daemon is away: nothing is given
up before it was tried as often as the schedule says. A callback that has been waiting here for as
long as all its tries would have taken, because its receiver rests, is tried all the same: so each
comes to its end, whoever never answers.

A callback that is given up becomes a dead letter: that first, then the note that it is over, then
the barrier, and then the queue forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.ending import DeadCallback, Undelivered
from faasd_async.call.history import FAILED_INSIDE, Attempt
from faasd_async.call.posting import NOT_POSTED, Posting
from faasd_async.call.request import CallbackName, CallbackRequest
from faasd_async.callback.chain import Sends
from faasd_async.callback.receivers import Receiver, Receivers
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.tried import LOOPED, Try
from faasd_async.errors import QueueError
from faasd_async.queue.interface import Delivery, Queue, Subscription
from faasd_async.queue.leases import Leases

#: When a callback comes back that the queue could not do something for just now.
_QUEUE_AGAIN_SECONDS = 5.0

#: A callback that fails inside the poster is tried again after this.
_BROKEN_AGAIN_SECONDS = 60.0

#: When it is looked again whether there is room for more, if nothing happens meanwhile.
_LOOK_AGAIN_SECONDS = 0.5

#: The queue's clock may be so much ahead of ours.
_EARLY_SECONDS = 0.1

#: By these a receiver says that no further try will do.
_FINAL: Mapping[int, Undelivered] = {410: "gone", LOOPED: "looped"}

#: We failed over it ourselves. That counts as a try: we may do so each time.
_FAILED_INSIDE = Try(0, 0.0, FAILED_INSIDE)

#: What a receiver says that wants to be spared, whatever the callback.
_SPARE_ME = frozenset((429, 503))


class CallbackObserver(Protocol):
    """Who is told what became of callbacks."""

    def called_back(self, callback: CallbackRequest, status: int, seconds: float) -> None: ...

    def callback_failed(
        self, callback: CallbackRequest, reason: str, tries: int, again_seconds: float
    ) -> None: ...

    def callback_given_up(self, callback: CallbackRequest, reason: str, tries: int) -> None: ...


@dataclass(slots=True, eq=False)
class _Post:
    """One callback in hand.

    :ivar name: what tells it from others.
    :ivar delivery: the newest of its deliveries: the one that will be settled.
    :ivar work: what is going on; cancelling it gives the callback back.
    :ivar began_ns: when the try began, Unix nanoseconds.
    """

    name: CallbackName
    delivery: Delivery[CallbackRequest]
    receiver: Receiver
    work: Deferred[Any] = field(default_factory=Deferred)
    began_ns: int = 0

    @property
    def callback(self) -> CallbackRequest:
        return self.delivery.parcel


class Poster:
    """Delivers callbacks.

    :param max_inflight: how many may be in hand.
    :param keeps_dead_letters: whether a function's are kept.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        leases: Leases,
        sender: Sends,
        receivers: Receivers,
        schedule: Schedule,
        *,
        max_inflight: int,
        keeps_dead_letters: Callable[[str], bool],
        now_ns: Callable[[], int],
        observer: CallbackObserver,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._leases = leases
        self._sender = sender
        self._receivers = receivers
        self._schedule = schedule
        self._max_inflight = max_inflight
        self._keeps_dead_letters = keeps_dead_letters
        self._now_ns = now_ns
        self._observer = observer
        self._posts: dict[CallbackName, _Post] = {}
        self._began_seconds = clock.seconds()
        self._subscription: Subscription | None = None
        self._topping_up: IDelayedCall | None = None

    def start(self) -> None:
        """Deliver callbacks from now on."""
        self._began_seconds = self._clock.seconds()
        self._subscription = self._queue.take_callbacks(self._take, self._room)

    def stop_taking(self) -> None:
        """Begin no further callback; those in hand go on."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.stop()
        if self._topping_up is not None:
            self._topping_up.cancel()
            self._topping_up = None

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        return self._leases.when_none()

    def give_up(self) -> int:
        """Abort what is under way and give it back to the queue.

        :return: how many callbacks that were.
        """
        posts = list(self._posts.values())
        for post in posts:
            post.work.cancel()
        return len(posts)

    # -- taking

    def _room(self) -> int:
        free, wanted = self._max_inflight - len(self._posts), self._receivers.room()
        if not wanted < free:
            return free
        # Whoever is waited for now may stop answering, and must not be waited for then.
        self._top_up_within(_LOOK_AGAIN_SECONDS)
        return wanted

    def _take(self, delivery: Delivery[CallbackRequest]) -> None:
        callback = delivery.parcel
        name = callback.name
        in_hand = self._posts.get(name)
        receiver = self._receivers.find(callback.url)
        if in_hand is not None:
            # Our lease was lost, yet we are at it still: this delivery is the one to settle.
            self._leases.drop(in_hand.delivery)
            in_hand.delivery = delivery
            self._leases.hold(delivery)
        elif self._has_place(callback, receiver) or self._why_crowded_out(callback):
            self._begin(_Post(name, delivery, receiver))
        else:
            delivery.give_back(self._receivers.away_seconds(receiver))
        self._top_up_within(0)

    def _has_place(self, callback: CallbackRequest, receiver: Receiver) -> bool:
        if self._is_late(callback):
            return self._receivers.has_place_for_late(receiver)
        return self._receivers.has_place(receiver)

    def _why_crowded_out(self, callback: CallbackRequest) -> str | None:
        """Why a callback has to make room for others, or ``None``."""
        return self._receivers.why_behind(callback.url) if self._queue.callbacks_full else None

    def _is_late(self, callback: CallbackRequest) -> bool:
        """Whether all tries could have been made by now."""
        return self._tended_seconds(callback) > self._schedule.longest_seconds

    def _tended_seconds(self, callback: CallbackRequest) -> float:
        """How long a callback has been waiting here, the time that we were away not counted."""
        if not callback.since_ns:
            return 0.0
        age_seconds = (self._now_ns() - callback.since_ns) / 1e9
        return min(age_seconds, self._clock.seconds() - self._began_seconds)

    def _begin(self, post: _Post) -> None:
        self._receivers.hold(post.receiver)
        self._leases.hold(post.delivery)
        self._posts[post.name] = post
        if _is_fresh(post.delivery) and not self._queue.callbacks_full:
            self._try(NOT_POSTED, post)
        else:
            post.work = Deferred.fromCoroutine(self._look(post))
            post.work.addCallbacks(
                self._try, self._failed, callbackArgs=(post,), errbackArgs=(post,)
            )

    def _top_up_within(self, seconds: float) -> None:
        """Ask for more, once for all that came in one go."""
        if self._subscription is None:
            return
        if self._topping_up is None:
            self._topping_up = self._clock.callLater(seconds, self._top_up)
        elif self._topping_up.getTime() > self._clock.seconds() + seconds:
            self._topping_up.reset(seconds)

    def _top_up(self) -> None:
        self._topping_up = None
        if self._subscription is not None:
            self._subscription.top_up()

    # -- one delivery

    async def _look(self, post: _Post) -> Posting | None:
        """
        :return: what was tried before; ``None`` if no further try is due.
        """
        noted = await self._noted(post.delivery)
        if await self._makes_room(post, noted) or not self._is_due(post, noted):
            return None
        return None if await self._is_beyond_help(post, noted) else noted

    def _try(self, noted: Posting | None, post: _Post) -> None:
        """Wait for the receiver's token, try, and see to what comes of it.

        There is no coroutine before it is known that the try has failed, which few do; nor is one
        Deferred the result of another, which costs more than either.
        """
        if noted is None:
            self._end(post)
            return
        slots = post.receiver.slots
        if not slots.take():
            post.work = slots.acquire()
            post.work.addCallbacks(
                self._send, self._failed, callbackArgs=(post, noted), errbackArgs=(post,)
            )
            return
        self._send(slots, post, noted)

    def _send(self, _: object, post: _Post, noted: Posting) -> None:
        try:
            self._send_now(post, noted)
        except Exception:
            self._failed(Failure(), post)

    def _send_now(self, post: _Post, noted: Posting) -> None:
        if self._receivers.is_resting(post.receiver) and not self._is_late(post.callback):
            post.delivery.give_back(self._receivers.away_seconds(post.receiver))
            post.receiver.slots.release()
            self._end(post)
            return
        post.began_ns = self._now_ns()
        try:
            trying = self._sender.send(post.callback)
        except Exception:
            trying = fail()
        post.work = trying
        trying.addBoth(self._over, post, noted)

    def _over(self, tried: Try | Failure, post: _Post, noted: Posting) -> None:
        """A try has come to its end, or to none."""
        try:
            if isinstance(tried, Failure):
                tried = self._not_tried(tried, post)
            self._tried(tried, post, noted)
        except Exception:
            self._failed(Failure(), post)

    def _not_tried(self, failure: Failure, post: _Post) -> Try:
        if failure.check(CancelledError, QueueError):
            post.receiver.slots.release()
            failure.raiseException()
        self._log.failure(
            "the callback of {call_id} failed inside the sender",
            failure=failure,
            call_id=post.callback.key.call_id,
        )
        return _FAILED_INSIDE

    def _tried(self, tried: Try, post: _Post, noted: Posting) -> None:
        if tried is not _FAILED_INSIDE:
            self._note_receiver(post.receiver, tried)
        post.receiver.slots.release()
        if not tried.delivered:
            post.work = Deferred.fromCoroutine(self._conclude(post, noted, tried))
            post.work.addCallbacks(lambda _: self._end(post), self._failed, errbackArgs=(post,))
            return
        self._observer.called_back(post.callback, tried.status, tried.seconds)
        # On its way before the acknowledgement is: nobody has to wait for it.
        posting = Posting("delivered", noted.tries + 1, status=tried.status)
        self._queue.records.note_posting_then(post.name, posting, partial(self._told, post))
        post.delivery.settle()
        self._end(post)

    async def _noted(self, delivery: Delivery[CallbackRequest]) -> Posting:
        if _is_fresh(delivery):
            return NOT_POSTED
        return await self._queue.records.find_posting(delivery.parcel.name) or NOT_POSTED

    async def _makes_room(self, post: _Post, noted: Posting) -> bool:
        """Whether it is given up for the sake of others."""
        why = self._why_crowded_out(post.callback)
        if why is None or noted.over:
            return False
        why = f"{why}, and nearly all of the room for callbacks is taken"
        await self._give_it_up(post, replace(noted, status=0, error=why), "crowded")
        return True

    def _is_due(self, post: _Post, noted: Posting) -> bool:
        """Whether there is something to do now; if not, it is dealt with."""
        if noted.over:
            post.delivery.settle()
            return False
        early_seconds = (noted.not_before_ns - self._now_ns()) / 1e9
        # No wait is longer than that: where one seems to be, the clock was set back.
        if _EARLY_SECONDS < early_seconds <= self._schedule.longest_wait_seconds:
            post.delivery.give_back(early_seconds)
            return False
        return True

    async def _is_beyond_help(self, post: _Post, noted: Posting) -> bool:
        """Whether it is given up without another try: it could not be written down the last
        time."""
        if noted.tries < self._schedule.attempts and noted.status not in _FINAL:
            return False
        await self._give_it_up(post, noted)
        return True

    def _note_receiver(self, receiver: Receiver, tried: Try) -> None:
        if tried.status == 0 or tried.status in _SPARE_ME:
            self._receivers.failed(receiver, str(tried))
        else:
            self._receivers.answered(receiver, tried.seconds)

    async def _conclude(self, post: _Post, noted: Posting, tried: Try) -> None:
        """See to a try that has failed."""
        attempt = Attempt(post.began_ns, tried.status, tried.seconds, tried.error)
        posting = noted.with_try(attempt)
        if tried.is_refused:
            await self._give_it_up(post, posting, "refused")
        elif tried.status in _FINAL or self._schedule.is_used_up(
            posting.tries, self._tended_seconds(post.callback)
        ):
            await self._give_it_up(post, posting)
        else:
            await self._put_off(post, posting, tried)

    async def _put_off(self, post: _Post, posting: Posting, tried: Try) -> None:
        """Let the next try wait for its time."""
        now_ns = self._now_ns()
        wait_seconds = self._schedule.wait_seconds(
            posting.tries, tried.status, tried.retry_after, now_ns / 1e9
        )
        self._observer.callback_failed(post.callback, str(tried), posting.tries, wait_seconds)
        posting = replace(posting, not_before_ns=now_ns + round(wait_seconds * 1e9))
        await self._note(post.callback, posting)
        post.delivery.give_back(wait_seconds)

    async def _give_it_up(
        self, post: _Post, posting: Posting, reason: Undelivered | None = None
    ) -> None:
        callback, records = post.callback, self._queue.records
        reason = reason or _FINAL.get(posting.status, "exhausted")
        letter = DeadCallback(
            callback,
            reason,
            posting.status,
            posting.error,
            posting.tries,
            self._now_ns(),
            posting.attempts,
        )
        try:
            if self._keeps_dead_letters(callback.function):
                await self._queue.dead_letters.put_callback(letter)
            await records.note_posting(callback.name, replace(posting, state="given_up"))
            await self._queue.when_durable()
        except QueueError:
            # Then at the next delivery: without a further try, if at least this can be noted.
            self._note(callback, posting)
            raise
        why = posting.error or f"status {posting.status}"
        self._observer.callback_given_up(callback, why, posting.tries)
        post.delivery.settle()

    def _note(self, callback: CallbackRequest, posting: Posting) -> Deferred[None]:
        """Note what was tried, if that can be done: the queue keeps the time without it, too."""

        def failed(failure: Failure) -> None:
            failure.trap(QueueError)
            self._cannot_note(callback, failure.value)

        return self._queue.records.note_posting(callback.name, posting).addErrback(failed)

    def _told(self, post: _Post, reason: QueueError | None) -> None:
        if reason is not None:
            self._cannot_note(post.callback, reason)

    def _cannot_note(self, callback: CallbackRequest, reason: object) -> None:
        self._log.warn(
            "what was tried of the callback of {call_id} cannot be noted: {reason}",
            call_id=callback.key.call_id,
            reason=reason,
        )

    # -- the end of the work

    def _failed(self, failure: Failure, post: _Post) -> None:
        """Give back what cannot be gone on with."""
        try:
            self._give_back(failure, post)
        finally:
            self._end(post)

    def _give_back(self, failure: Failure, post: _Post) -> None:
        reason = failure.value
        if isinstance(reason, CancelledError):
            post.delivery.give_back()
        elif isinstance(reason, QueueError):
            self._log.warn(
                "the callback of {call_id} has to wait for the queue: {reason}",
                call_id=post.callback.key.call_id,
                reason=reason,
            )
            post.delivery.give_back(_QUEUE_AGAIN_SECONDS)
        else:
            self._log.failure(
                "the callback of {call_id} failed inside the poster; it is given back",
                failure=failure,
                call_id=post.callback.key.call_id,
            )
            post.delivery.give_back(_BROKEN_AGAIN_SECONDS)

    def _end(self, post: _Post) -> None:
        del self._posts[post.name]
        self._receivers.let_go(post.receiver)
        self._leases.drop(post.delivery)
        self._top_up_within(0)


def _is_fresh(delivery: Delivery[CallbackRequest]) -> bool:
    """Whether nothing can have been tried of it."""
    return delivery.delivered == 1 and not delivery.inherited
