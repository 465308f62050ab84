"""What has been tried of a call so far.

An attempt is one begun invocation. A call that was stopped, handed back or could not be handed
over used none up; one whose daemon died under it did.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

#: What an attempt says whose daemon did not live to see its end.
CRASHED = "the daemon or its machine went away during this attempt"

#: What an attempt says that the daemon itself failed over.
FAILED_INSIDE = "the daemon failed during this attempt: that is a bug, and its log has it"


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One begun invocation.

    :ivar at_ns: when it began, Unix nanoseconds; 0 if nobody is left who knows.
    :ivar status: the answer's, or the one that tells why there was none; 0 after a crash.
    :ivar error: why there was no answer of the function's own; empty if there was one.
    """

    at_ns: int
    status: int
    seconds: float
    error: str = ""


class History(msgspec.Struct, frozen=True, gc=False):
    """A call's attempts.

    :ivar attempts: in their order.
    :ivar crashes: how many of them ended in a crash.
    :ivar deliveries: how many deliveries of the queue's present message are accounted for.
    :ivar not_before_ns: when the next attempt may begin, Unix nanoseconds.
    """

    attempts: tuple[Attempt, ...] = ()
    crashes: int = 0
    deliveries: int = 0
    not_before_ns: int = 0

    @property
    def retries(self) -> int:
        """How often it was tried again because of what an attempt had brought: one that the
        daemon did not survive brought nothing, and no policy asked for the next."""
        return max(len(self.attempts) - self.crashes - 1, 0)

    def with_attempt(self, attempt: Attempt) -> History:
        # Written out: this is done for each call, and replace() would cost several times as much.
        attempts = (*self.attempts, attempt)
        return History(attempts, self.crashes, self.deliveries, self.not_before_ns)

    def with_crashes(self, count: int, why: str = CRASHED) -> History:
        """So many deliveries were taken and nobody ever said what became of them."""
        lost = (Attempt(0, 0, 0.0, why),) * count
        return replace(self, attempts=self.attempts + lost, crashes=self.crashes + count)

    def accounting_for(self, deliveries: int, not_before_ns: int = 0) -> History:
        return replace(self, deliveries=deliveries, not_before_ns=not_before_ns)
