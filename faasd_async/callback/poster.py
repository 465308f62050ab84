"""The poster: takes callbacks from the queue; one delivery is one try.

What a try brought is noted beside the callback, and the delivery goes back to the queue until the
next one is due: hours later, perhaps, and after a restart. The queue keeps the time; the note is
what counts if it comes early. A delivery that came to no try (its receiver has no place for it, or
the daemon stops) uses none up, and neither does the time that the daemon is away: nothing is given
up before it was tried as often as the schedule says. A callback that has been waiting here for as
long as all its tries would have taken, because its receiver rests, is tried all the same: so each
comes to its end, whoever never answers. What becomes of one whose try failed is
:mod:`.failed_try`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.history import FAILED_INSIDE
from faasd_async.call.posting import NOT_POSTED, Posting
from faasd_async.call.request import CallbackName, CallbackRequest
from faasd_async.callback.chain import Sends
from faasd_async.callback.failed_try import FINAL, FailedTries, FailureObserver
from faasd_async.callback.notes import Notes
from faasd_async.callback.post import Post
from faasd_async.callback.receivers import Receiver, Receivers
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.tried import Try
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

#: We failed over it ourselves. That counts as a try: we may do so each time.
_FAILED_INSIDE = Try(0, 0.0, FAILED_INSIDE)

#: What a receiver says that wants to be spared, whatever the callback.
_SPARE_ME = frozenset((429, 503))


class CallbackObserver(FailureObserver, Protocol):
    """Who is told what became of callbacks."""

    def called_back(self, callback: CallbackRequest, status: int, seconds: float) -> None: ...


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
        self._now_ns = now_ns
        self._observer = observer
        self._notes = Notes(queue)
        self._failed_tries = FailedTries(
            queue,
            schedule,
            self._notes,
            keeps_dead_letters=keeps_dead_letters,
            now_ns=now_ns,
            observer=observer,
        )
        self._posts: dict[CallbackName, Post] = {}
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
            self._begin(Post(name, delivery, receiver))
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

    def _begin(self, post: Post) -> None:
        self._receivers.hold(post.receiver)
        self._leases.hold(post.delivery)
        self._posts[post.name] = post
        if post.is_fresh and not self._queue.callbacks_full:
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

    async def _look(self, post: Post) -> Posting | None:
        """
        :return: what was tried before; ``None`` if no further try is due.
        """
        noted = await self._noted(post)
        if await self._makes_room(post, noted) or not self._is_due(post, noted):
            return None
        return None if await self._is_beyond_help(post, noted) else noted

    def _try(self, noted: Posting | None, post: Post) -> None:
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

    def _send(self, _: object, post: Post, noted: Posting) -> None:
        try:
            self._send_now(post, noted)
        except Exception:
            self._failed(Failure(), post)

    def _send_now(self, post: Post, noted: Posting) -> None:
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

    def _over(self, tried: Try | Failure, post: Post, noted: Posting) -> None:
        """A try has come to its end, or to none."""
        try:
            if isinstance(tried, Failure):
                tried = self._not_tried(tried, post)
            self._tried(tried, post, noted)
        except Exception:
            self._failed(Failure(), post)

    def _not_tried(self, failure: Failure, post: Post) -> Try:
        if failure.check(CancelledError, QueueError):
            post.receiver.slots.release()
            failure.raiseException()
        self._log.failure(
            "the callback of {call_id} failed inside the sender",
            failure=failure,
            call_id=post.callback.key.call_id,
        )
        return _FAILED_INSIDE

    def _tried(self, tried: Try, post: Post, noted: Posting) -> None:
        if tried is not _FAILED_INSIDE:
            self._note_receiver(post.receiver, tried)
        post.receiver.slots.release()
        if not tried.delivered:
            tended_seconds = self._tended_seconds(post.callback)
            concluding = self._failed_tries.conclude(post, noted, tried, tended_seconds)
            post.work = Deferred.fromCoroutine(concluding)
            post.work.addCallbacks(lambda _: self._end(post), self._failed, errbackArgs=(post,))
            return
        self._observer.called_back(post.callback, tried.status, tried.seconds)
        # On its way before the acknowledgement is: nobody has to wait for it.
        posting = Posting("delivered", noted.tries + 1, status=tried.status)
        self._queue.records.note_posting_then(post.name, posting, partial(self._notes.told, post))
        post.delivery.settle()
        self._end(post)

    async def _noted(self, post: Post) -> Posting:
        if post.is_fresh:
            return NOT_POSTED
        return await self._queue.records.find_posting(post.name) or NOT_POSTED

    async def _makes_room(self, post: Post, noted: Posting) -> bool:
        """Whether it is given up for the sake of others."""
        why = self._why_crowded_out(post.callback)
        if why is None or noted.over:
            return False
        why = f"{why}, and nearly all of the room for callbacks is taken"
        await self._failed_tries.give_up(post, replace(noted, status=0, error=why), "crowded")
        return True

    def _is_due(self, post: Post, noted: Posting) -> bool:
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

    async def _is_beyond_help(self, post: Post, noted: Posting) -> bool:
        """Whether it is given up without another try: it could not be written down the last
        time."""
        if noted.tries < self._schedule.attempts and noted.status not in FINAL:
            return False
        await self._failed_tries.give_up(post, noted)
        return True

    def _note_receiver(self, receiver: Receiver, tried: Try) -> None:
        if tried.status == 0 or tried.status in _SPARE_ME:
            self._receivers.failed(receiver, str(tried))
        else:
            self._receivers.answered(receiver, tried.seconds)

    # -- the end of the work

    def _failed(self, failure: Failure, post: Post) -> None:
        """Give back what cannot be gone on with."""
        try:
            self._give_back(failure, post)
        finally:
            self._end(post)

    def _give_back(self, failure: Failure, post: Post) -> None:
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

    def _end(self, post: Post) -> None:
        del self._posts[post.name]
        self._receivers.let_go(post.receiver)
        self._leases.drop(post.delivery)
        self._top_up_within(0)
