"""Calls that lie in the front door's queue, in whatever state a test wants them."""

from __future__ import annotations

from typing import Any

from front_door import FrontDoor

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.queue.interface import Delivery, OfFunction
from faasd_async.settings import ResultSettings

#: Long enough to be shown to everybody.
ID = "7f9c24e8-3b1d-4c5a"
ACCEPTED_NS = 1_700_000_000 * 10**9
SECOND_NS = 10**9
KEEP = ResultSettings()
CALLBACK = parse(b"http://caller.test/told")
TRIED = History((Attempt(ACCEPTED_NS + SECOND_NS, 503, 0.25),))
ANSWER = Outcome(200, [(b"X-Own", b"1"), (b"Content-Type", b"text/html")], b"<p>", 0.5)


class PaperHands:
    """A worker that has in hand what a test says.

    :ivar aborted: what it was told to let go of.
    """

    def __init__(self) -> None:
        self.grips: dict[CallKey, Grip] = {}
        self.aborted: list[CallKey] = []

    def grip(self, key: CallKey) -> Grip | None:
        return self.grips.get(key)

    def abort(self, key: CallKey) -> None:
        self.aborted.append(key)


def call(call_id: str = ID, accept: str = "0", **changes: Any) -> QueueRequest:
    given: dict[str, Any] = {
        "function": "f",
        "queue": "slow",
        "key": CallKey(call_id, accept),
        "start_time_ns": ACCEPTED_NS,
        "target": b"/",
        "headers": (),
        "body": b"",
    }
    return QueueRequest(**(given | changes))


def ended(
    door: FrontDoor,
    request: QueueRequest,
    outcome: Outcome = ANSWER,
    keep: ResultSettings = KEEP,
    **changes: Any,
) -> Ending:
    """Write a call's end down, and say so, as a worker does."""
    given: dict[str, Any] = {
        "state": "succeeded",
        "outcome": outcome,
        "history": TRIED,
        "ended_ns": ACCEPTED_NS + 2 * SECOND_NS,
    }
    ending = Ending(**(given | changes))
    assert door.queue.records.record_ending(request, ending, keep).called
    door.waiting.ended(request.key)
    return ending


def take(door: FrontDoor) -> Delivery[QueueRequest]:
    """Have the call of ``f`` in hand."""
    taken: list[Delivery[QueueRequest]] = []
    door.queue.take_calls(OfFunction("f"), taken.append, lambda: 1 - len(taken)).stop()
    (delivery,) = taken
    return delivery
