"""What becomes of a callback whose try has failed: it is put off, or given up.

One that is given up becomes a dead letter: that first, then the note that it is over, then the
barrier, and then the queue forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from faasd_async.call.ending import DeadCallback, Undelivered
from faasd_async.call.history import Attempt
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.notes import Notes
from faasd_async.callback.post import Post
from faasd_async.callback.schedule import Schedule
from faasd_async.callback.tried import LOOPED, Try
from faasd_async.errors import QueueError
from faasd_async.queue.interface import Queue

#: By these a receiver says that no further try will do.
FINAL: Mapping[int, Undelivered] = {410: "gone", LOOPED: "looped"}


class FailureObserver(Protocol):
    """Who is told of it."""

    def callback_failed(
        self, callback: CallbackRequest, reason: str, tries: int, again_seconds: float
    ) -> None: ...

    def callback_given_up(self, callback: CallbackRequest, reason: str, tries: int) -> None: ...


class FailedTries:
    """Sees to them.

    :param keeps_dead_letters: whether a function's are kept.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self,
        queue: Queue,
        schedule: Schedule,
        notes: Notes,
        *,
        keeps_dead_letters: Callable[[str], bool],
        now_ns: Callable[[], int],
        observer: FailureObserver,
    ) -> None:
        self._queue = queue
        self._schedule = schedule
        self._notes = notes
        self._keeps_dead_letters = keeps_dead_letters
        self._now_ns = now_ns
        self._observer = observer

    async def conclude(self, post: Post, noted: Posting, tried: Try, tended_seconds: float) -> None:
        """See to one.

        :param noted: what was tried before.
        :param tended_seconds: how long the callback has been waiting here.
        :raises QueueError: that could not be done.
        """
        attempt = Attempt(post.began_ns, tried.status, tried.seconds, tried.error)
        posting = noted.with_try(attempt)
        if tried.is_refused:
            await self.give_up(post, posting, "refused")
        elif tried.status in FINAL or self._schedule.is_used_up(posting.tries, tended_seconds):
            await self.give_up(post, posting)
        else:
            await self._put_off(post, posting, tried)

    async def _put_off(self, post: Post, posting: Posting, tried: Try) -> None:
        """Let the next try wait for its time."""
        now_ns = self._now_ns()
        wait_seconds = self._schedule.wait_seconds(
            posting.tries, tried.status, tried.retry_after, now_ns / 1e9
        )
        self._observer.callback_failed(post.callback, str(tried), posting.tries, wait_seconds)
        posting = replace(posting, not_before_ns=now_ns + round(wait_seconds * 1e9))
        await self._notes.note(post.callback, posting)
        post.delivery.give_back(wait_seconds)

    async def give_up(
        self, post: Post, posting: Posting, reason: Undelivered | None = None
    ) -> None:
        """Make a dead letter of a callback.

        :param reason: by what the last try said, unless something else is given.
        :raises QueueError: that could not be done: it comes again.
        """
        callback, records = post.callback, self._queue.records
        reason = reason or FINAL.get(posting.status, "exhausted")
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
            self._notes.note(callback, posting)
            raise
        why = posting.error or f"status {posting.status}"
        self._observer.callback_given_up(callback, why, posting.tries)
        post.delivery.settle()
