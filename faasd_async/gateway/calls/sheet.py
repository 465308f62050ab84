"""A call's state, and how it is shown."""

from __future__ import annotations

from typing import Literal

from faasd_async.call.ending import State
from faasd_async.call.history import History
from faasd_async.call.known import CallbackKnown, Grip, Known
from faasd_async.call.moments import rfc3339
from faasd_async.gateway.calls.asked import Asked, link_to

CallState = Literal["scheduled", "queued", "running", "retrying"] | State

Sheet = dict[str, object]


def state_of(known: Known, grip: Grip | None) -> CallState:
    """What a call does at this moment.

    :param grip: what whoever has it in hand says.
    """
    if known.ending is not None:
        return known.ending.state
    if grip is not None and grip.begun_ns:
        return "running"
    if _history(known, grip).attempts:
        return "retrying"
    return "scheduled" if known.place == "later" else "queued"


def sheet_of(known: Known, grip: Grip | None, asked: Asked) -> Sheet:
    """A call, for JSON."""
    ending, history, name = known.ending, _history(known, grip), known.name
    state = state_of(known, grip)
    waits = state in ("scheduled", "retrying") and known.not_before_ns
    sheet: Sheet = {
        "id": shown(name.key.call_id),
        "accept": shown(name.key.accept),
        "function": shown(name.function),
        "queue": shown(known.queue) or None,
        "state": state,
        "attempts": _attempts(history, grip),
        "next_attempt": rfc3339(known.not_before_ns) if waits else None,
        "accepted": rfc3339(known.accepted_ns),
        "started": _started(history, grip),
        "finished": None if ending is None else rfc3339(ending.ended_ns),
        "status": None if ending is None else ending.outcome.status,
        "error": None if ending is None else ending.outcome.error,
        "callback": None if known.callback is None else _callback(known.callback),
        "traceparent": known.traceparent.decode("ascii") or None,
        "links": {
            "self": link_to(name, known, asked),
            "result": link_to(name, known, asked, "/result"),
            "events": link_to(name, known, asked, "/events"),
        },
    }
    if known.others:
        sheet["others"] = [
            {
                "accept": shown(other.key.accept),
                "function": shown(other.function),
                "self": link_to(other, known, asked),
            }
            for other in known.others
        ]
    return sheet


def _history(known: Known, grip: Grip | None) -> History:
    if grip is None or known.ending is not None:
        return known.history
    return max(known.history, grip.history, key=lambda history: len(history.attempts))


def _attempts(history: History, grip: Grip | None) -> list[Sheet]:
    attempts: list[Sheet] = [
        {
            "number": number,
            "at": rfc3339(attempt.at_ns),
            "status": attempt.status,
            "seconds": round(attempt.seconds, 6),
            "error": attempt.error,
        }
        for number, attempt in enumerate(history.attempts, 1)
    ]
    if grip is not None and is_under_way(history, grip):
        at = rfc3339(grip.begun_ns)
        under_way = {"at": at, "status": None, "seconds": None, "error": None}
        attempts.append({"number": len(attempts) + 1, **under_way})
    return attempts


def is_under_way(history: History, grip: Grip) -> bool:
    """Whether an attempt is, that is not among those that were made."""
    if not grip.begun_ns:
        return False
    return all(attempt.at_ns != grip.begun_ns for attempt in history.attempts)


def _started(history: History, grip: Grip | None) -> str | None:
    """When the first attempt began of which that is known: of one that its daemon did not survive
    nobody has written it down."""
    for attempt in history.attempts:
        if attempt.at_ns:
            return rfc3339(attempt.at_ns)
    return None if grip is None else rfc3339(grip.begun_ns)


def _callback(known: CallbackKnown) -> Sheet:
    posting = known.posting
    waits = known.state == "waiting" and posting.not_before_ns
    return {
        "state": known.state,
        "tries": posting.tries,
        "status": posting.status or None,
        "error": posting.error or None,
        "next_try": rfc3339(posting.not_before_ns) if waits else None,
    }


def shown(name: str) -> str:
    """A name that JSON can hold, whatever bytes somebody made it of."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
