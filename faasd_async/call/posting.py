"""What has been tried of a callback.

One delivery is one try. What a try brought is noted beside the callback, which then waits in the
queue: whoever takes it next, after a restart too, reads the note.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from faasd_async.call.history import Attempt

#: Of so many tries is kept how each of them went.
MOST_KEPT = 20

#: It waits for its next try, or nothing more is to be done with it.
PostingState = Literal["waiting", "delivered", "given_up"]


class Posting(msgspec.Struct, frozen=True, gc=False):
    """A callback's tries.

    :ivar tries: how many there were. Deliveries that came to nothing without a try are not
        among them.
    :ivar not_before_ns: when the next one is due, Unix nanoseconds.
    :ivar status: the last answer's; 0 if there was none.
    :ivar error: why there was none, or why this daemon's own door said so.
    :ivar attempts: the last tries, each of them.
    """

    state: PostingState = "waiting"
    tries: int = 0
    not_before_ns: int = 0
    status: int = 0
    error: str = ""
    attempts: tuple[Attempt, ...] = ()

    def with_try(self, attempt: Attempt) -> Posting:
        """One more, which has failed."""
        return replace(
            self,
            tries=self.tries + 1,
            status=attempt.status,
            error=attempt.error,
            attempts=(*self.attempts, attempt)[-MOST_KEPT:],
        )

    @property
    def over(self) -> bool:
        """Whether the callback need not be posted any more."""
        return self.state != "waiting"


NOT_POSTED = Posting()
