"""Where callbacks are put, so that one receiver that takes none cannot stop the others'.

Callbacks to a receiver that is gone pile up until they are given up, and the room for callbacks is
bounded: were it full of them, no call that owes a callback to anybody could come to its end. So one
half of the room is for those that keep up. When the other half is taken, a callback to a receiver
that does not (it rests, or its answers take so long that it never will) is a dead letter at once:
whole, with the reason, and to be replayed. Those that wait already are tried as ever, and the first
that is answered lets new ones in again. Only where they take nearly all of the room (that their
receiver would not keep up was not known yet when they came) the poster gives some of them up, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.ending import DeadCallback
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.receivers import Receivers
from faasd_async.errors import QueueError, QueueFull
from faasd_async.queue.interface import DeadLetters, Records, told

Stored = Callable[[QueueError | None], None]


class CallbackStore(Protocol):
    """What is needed of a queue here."""

    @property
    def records(self) -> Records: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    @property
    def callbacks_crowded(self) -> bool: ...

    def put_callback_then(self, callback: CallbackRequest, stored: Stored) -> None: ...


@dataclass(frozen=True, slots=True)
class Outbox:
    """Puts callbacks into the queue, or gives them up.

    :ivar keeps_dead_letters: whether a function's are kept.
    :ivar now_ns: the wall clock, Unix nanoseconds.
    :ivar given_up: told of each callback that is not put, why, and after how many tries.
    """

    queue: CallbackStore
    receivers: Receivers
    keeps_dead_letters: Callable[[str], bool]
    now_ns: Callable[[], int]
    given_up: Callable[[CallbackRequest, str, int], None]

    def put_callback_then(self, callback: CallbackRequest, stored: Stored) -> None:
        """As :meth:`faasd_async.queue.interface.Queue.put_callback_then`; what has become a dead
        letter is stored."""
        if self.queue.callbacks_crowded and self._is_crowded_out(callback, stored):
            return

        def put(reason: QueueError | None) -> None:
            if not (isinstance(reason, QueueFull) and self._is_crowded_out(callback, stored)):
                stored(reason)

        self.queue.put_callback_then(callback, put)

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]:
        """As :meth:`put_callback_then`."""
        return told(lambda stored: self.put_callback_then(callback, stored))

    def _is_crowded_out(self, callback: CallbackRequest, stored: Stored) -> bool:
        """Whether a callback is given up; then *stored* is told of that."""
        why = self.receivers.why_behind(callback.url)
        if why is None:
            return False
        why = f"{why}, and half of the room for callbacks is taken"
        burying = Deferred.fromCoroutine(self._bury(callback, why))
        burying.addCallbacks(lambda _: stored(None), lambda failure: stored(failure.value))
        return True

    async def _bury(self, callback: CallbackRequest, why: str) -> None:
        """The letter first, then the note that it is over: whoever settles waits for the disk."""
        if self.keeps_dead_letters(callback.function):
            letter = DeadCallback(callback, "crowded", 0, why, 0, self.now_ns())
            await self.queue.dead_letters.put_callback(letter)
        await self.queue.records.note_posting(callback.name, Posting("given_up", error=why))
        self.given_up(callback, why, 0)
