"""Whether a call is too old to begin.

A call that has not begun within its function's ``expires``, or by the time that its caller has
named, never runs: what it was for is over. Its age is the wall clock's time since it was accepted,
or since it was due if its caller had put it off, and a wall clock may be wrong. A machine without
a battery for it starts in 1970, or where it was switched off, until somebody tells it the time.
So a clock that shows less than this program's own age is believed nothing, neither now nor when
the call was accepted; and where the clock stands before the call's acceptance, the call is new.
What is left is a clock that was days behind, though not years, when the call was accepted: such a
call can expire too early, and is a dead letter then, whole, to be replayed.
"""

from __future__ import annotations

from math import inf

from faasd_async.call.ending import Ending, Reason, State
from faasd_async.call.history import History
from faasd_async.call.moments import from_ns
from faasd_async.call.request import Outcome, QueueRequest

#: 2026-01-01T00:00:00Z, before which nobody had this program.
EARLIEST_NS = 1_767_225_600 * 10**9

#: So much behind its time a call is looked at, to find that it is past.
_LATER_SECONDS = 0.05

_GATEWAY_TIMEOUT, _NOT_FOUND = 504, 404


def is_too_old(request: QueueRequest, most_seconds: float, now_ns: int) -> bool:
    """Whether a call has surely waited longer than that, or past the time its caller named."""
    # Few calls name a time, and fewer are older than that: the doubts are for those.
    if request.expires_ns and is_overdue(request, now_ns):
        return True
    since_ns = request.since_ns
    return now_ns - since_ns > most_seconds * 1e9 and is_past(since_ns, most_seconds, now_ns)


def is_overdue(request: QueueRequest, now_ns: int) -> bool:
    """Whether it is surely past the time that a call's caller named.

    One that was reckoned from a clock that is not believed is not believed either.
    """
    if not request.expires_ns:
        return False
    believed_ns = max(request.start_time_ns, request.expires_ns)
    return min(believed_ns, now_ns) >= EARLIEST_NS and now_ns > request.expires_ns


def is_past(since_ns: int, most_seconds: float, now_ns: int) -> bool:
    """Whether a moment was surely longer ago than that."""
    return min(since_ns, now_ns) >= EARLIEST_NS and now_ns - since_ns > most_seconds * 1e9


def seconds_left(request: QueueRequest, most_seconds: float, now_ns: int) -> float:
    """When to look again whether a call is too old; infinite where a clock is not believed."""
    since_ns, left_seconds = request.since_ns, inf
    if min(since_ns, now_ns) >= EARLIEST_NS:
        left_seconds = (since_ns - now_ns) / 1e9 + most_seconds
    if request.expires_ns and now_ns >= EARLIEST_NS:
        left_seconds = min(left_seconds, (request.expires_ns - now_ns) / 1e9)
    return max(left_seconds + _LATER_SECONDS, _LATER_SECONDS)


def expired(request: QueueRequest, history: History, most_seconds: float, now_ns: int) -> Ending:
    """The end of a call that had not begun in time."""
    if is_overdue(request, now_ns):
        at = from_ns(request.expires_ns).isoformat()
        why = f"it had not begun by {at}, which its X-Expires had asked for"
    elif request.not_before_ns:
        why = f"it had not begun {most_seconds:g} s after it was due"
    else:
        why = f"it had not begun {most_seconds:g} s after it was accepted"
    return _ending("expired", _GATEWAY_TIMEOUT, why, history, now_ns)


def orphaned(request: QueueRequest, history: History, most_seconds: float, now_ns: int) -> Ending:
    """The end of a call whose function is not deployed any more."""
    if is_overdue(request, now_ns):
        return expired(request, history, most_seconds, now_ns)
    why = f"its function is not deployed, and it was accepted more than {most_seconds:g} s ago"
    return _ending("orphaned", _NOT_FOUND, why, history, now_ns)


def _ending(reason: Reason, status: int, why: str, history: History, now_ns: int) -> Ending:
    state: State = "expired" if reason == "expired" else "dead"
    outcome = Outcome(status, (), b"", 0.0, why)
    return Ending(state, outcome, history, now_ns, reason)
