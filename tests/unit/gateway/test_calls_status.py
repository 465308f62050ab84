"""What a caller is told of a call that was accepted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from calls_there import (
    ACCEPTED_NS,
    CALLBACK,
    ID,
    SECOND_NS,
    TRIED,
    PaperHands,
    call,
    ended,
    take,
)
from front_door import FrontDoor, request
from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail

from faasd_async.call.callback_url import CallbackUrl, parse
from faasd_async.call.ending import DeadCallback, DeadLetter
from faasd_async.call.history import Attempt, History
from faasd_async.call.known import Grip, Known
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest, Outcome
from faasd_async.errors import QueueUnavailable
from faasd_async.settings import ResultSettings

OPERATOR = IPv4Address("TCP", "127.0.0.1", 40123)


def told(door: FrontDoor, target: str = f"/call/{ID}") -> Any:
    """What a caller is told, as JSON."""
    answer = door.ask("GET", target).answer()
    assert answer.status == 200, answer.body
    assert answer.header("Content-Type") == b"application/json"
    assert answer.header("Cache-Control") == b"no-store"
    return msgspec.json.decode(answer.body)


# -- the states


def test_a_call_that_waits(door: FrontDoor) -> None:
    """It is told where, since when, and where to go on asking."""
    door.queue.put_call(call())
    assert told(door) == {
        "id": ID,
        "accept": "0",
        "function": "f",
        "queue": "slow",
        "state": "queued",
        "attempts": [],
        "next_attempt": None,
        "accepted": "2023-11-14T22:13:20.000000Z",
        "started": None,
        "finished": None,
        "status": None,
        "error": None,
        "callback": None,
        "traceparent": None,
        "links": {
            "self": f"/call/{ID}",
            "result": f"/call/{ID}/result",
            "events": f"/call/{ID}/events",
        },
    }


def test_a_call_that_waits_for_its_time(door: FrontDoor) -> None:
    """Before it was ever tried it is scheduled; and until when."""
    door.queue.put_later(call(not_before_ns=ACCEPTED_NS + 60 * SECOND_NS), 60.0)
    sheet = told(door)
    assert (sheet["state"], sheet["next_attempt"]) == ("scheduled", "2023-11-14T22:14:20.000000Z")
    door.queue.stop()


def test_a_call_in_somebodys_hands_that_has_not_begun(door: FrontDoor) -> None:
    """It waits as before."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(0, call().history)
    assert told(door)["state"] == "queued"


def test_a_call_that_runs(door: FrontDoor) -> None:
    """The attempt under way is told of, too."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(ACCEPTED_NS + 5 * SECOND_NS, TRIED)
    sheet = told(door)
    assert (sheet["state"], sheet["started"]) == ("running", "2023-11-14T22:13:21.000000Z")
    assert sheet["attempts"] == [
        {
            "number": 1,
            "at": "2023-11-14T22:13:21.000000Z",
            "status": 503,
            "seconds": 0.25,
            "error": "",
        },
        {
            "number": 2,
            "at": "2023-11-14T22:13:25.000000Z",
            "status": None,
            "seconds": None,
            "error": None,
        },
    ]


def test_a_call_whose_only_attempt_has_just_ended(door: FrontDoor) -> None:
    """Its end is being written: the attempt is not told of twice."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(ACCEPTED_NS + SECOND_NS, TRIED)
    assert [each["status"] for each in told(door)["attempts"]] == [503]


CRASHES = History().with_crashes(2)


def test_a_call_whose_daemons_died_over_it_started_with_the_first_attempt_that_is_known(
    door: FrontDoor,
) -> None:
    """While that runs, and when it has ended; before, nobody knows."""
    door.queue.put_call(call(history=CRASHES))
    sheet = told(door)
    assert (sheet["started"], [each["at"] for each in sheet["attempts"]]) == (None, [None] * 2)
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(ACCEPTED_NS + SECOND_NS, CRASHES)
    assert told(door)["started"] == "2023-11-14T22:13:21.000000Z"
    tried = CRASHES.with_attempt(Attempt(ACCEPTED_NS + SECOND_NS, 200, 0.25))
    ended(door, call(), history=tried)
    sheet = told(door)
    assert (sheet["state"], sheet["started"]) == ("succeeded", "2023-11-14T22:13:21.000000Z")
    assert [each["at"] for each in sheet["attempts"]] == [None, None, sheet["started"]]


def test_the_first_attempt_of_a_call_is_its_start(door: FrontDoor) -> None:
    """While it runs, too."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(ACCEPTED_NS + SECOND_NS, call().history)
    assert told(door)["started"] == "2023-11-14T22:13:21.000000Z"


def test_a_call_that_waits_for_its_next_attempt(door: FrontDoor) -> None:
    """What was noted of it counts, and when the next one is due."""
    door.queue.put_call(call())
    noted = replace(TRIED, not_before_ns=ACCEPTED_NS + 9 * SECOND_NS)
    door.queue.records.note_history(call(), noted)
    sheet = told(door)
    assert (sheet["state"], sheet["next_attempt"]) == ("retrying", "2023-11-14T22:13:29.000000Z")
    assert [each["status"] for each in sheet["attempts"]] == [503]


@pytest.mark.parametrize("state", ["succeeded", "failed", "dead", "cancelled", "expired"])
def test_a_call_that_has_ended(door: FrontDoor, state: str) -> None:
    """How, when and after what, although it is in the queue for a moment more."""
    door.queue.put_call(call())
    ended(door, call(), Outcome(504, (), b"", 0.5, "too slow"), state=state)
    sheet = told(door)
    assert sheet["state"] == state
    assert (sheet["status"], sheet["error"]) == (504, "too slow")
    assert sheet["finished"] == "2023-11-14T22:13:22.000000Z"
    assert (sheet["queue"], sheet["accepted"]) == ("slow", "2023-11-14T22:13:20.000000Z")
    assert len(sheet["attempts"]) == 1


@pytest.mark.parametrize(
    ("reason", "state"),
    [("failed", "failed"), ("exhausted", "dead"), ("crashed", "dead"), ("expired", "expired")],
)
def test_a_call_of_which_only_the_dead_letter_is_left(
    door: FrontDoor, reason: Any, state: str
) -> None:
    """It tells as much as the record of its end did."""
    request = replace(call(), history=TRIED)
    door.queue.dead_letters.put(DeadLetter(request, reason, 503, "", ACCEPTED_NS))
    sheet = told(door)
    assert (sheet["state"], sheet["status"], sheet["queue"]) == (state, 503, "slow")
    assert len(sheet["attempts"]) == 1


def test_a_dead_letter_that_was_replayed_waits_again(door: FrontDoor) -> None:
    """What was recorded of its first end counts for nothing."""
    ended(door, call())
    door.queue.put_call(replace(call(), generation=1))
    sheet = told(door)
    assert (sheet["state"], sheet["finished"], sheet["attempts"]) == ("queued", None, [])


# -- callbacks


def callback_of(door: FrontDoor) -> Any:
    return told(door)["callback"]


@pytest.mark.parametrize("which", ["callback", "on_failure"])
def test_a_callback_is_pending_until_its_call_has_ended(door: FrontDoor, which: str) -> None:
    """Whatever it was asked for."""
    door.queue.put_call(replace(call(), **{which: CALLBACK}))  # type: ignore[arg-type]
    assert callback_of(door) == {
        "state": "pending",
        "tries": 0,
        "status": None,
        "error": None,
        "next_try": None,
    }


def letter_to(url: CallbackUrl = CALLBACK, **changes: Any) -> CallbackRequest:
    return CallbackRequest("f", call().key, url, (), b"", **changes)


def test_a_callback_that_waits(door: FrontDoor) -> None:
    """With what was tried of it, and when it is tried again."""
    ended(door, replace(call(), callback=CALLBACK))
    door.queue.put_callback(letter_to())
    posting = Posting("waiting", 2, ACCEPTED_NS + 30 * SECOND_NS, 500)
    door.queue.records.note_posting(letter_to().name, posting)
    assert callback_of(door) == {
        "state": "waiting",
        "tries": 2,
        "status": 500,
        "error": None,
        "next_try": "2023-11-14T22:13:50.000000Z",
    }


@pytest.mark.parametrize("state", ["delivered", "given_up"])
def test_a_callback_that_is_over(door: FrontDoor, state: Any) -> None:
    """Delivered or given up."""
    ended(door, replace(call(), callback=CALLBACK))
    door.queue.records.note_posting(letter_to().name, Posting(state, 1, 7, 200))
    told_of = callback_of(door)
    assert (told_of["state"], told_of["tries"], told_of["next_try"]) == (state, 1, None)


def test_the_callback_of_the_last_replay_counts(door: FrontDoor) -> None:
    """The one before it has a place of its own."""
    ended(door, replace(call(), callback=CALLBACK))
    door.queue.records.note_posting(letter_to().name, Posting("given_up", 9))
    door.queue.put_callback(letter_to(replays=1))
    assert callback_of(door)["state"] == "waiting"


def test_a_callback_that_nobody_remembers(door: FrontDoor) -> None:
    """One was owed, and that is all that is known."""
    ended(door, replace(call(), callback=CALLBACK))
    assert callback_of(door)["state"] == "forgotten"


def test_where_a_callback_goes_is_not_told(door: FrontDoor) -> None:
    """Its URL may hold credentials."""
    door.queue.put_call(replace(call(), callback=parse(b"http://user:word@h.test/secret")))
    answer = door.ask("GET", f"/call/{ID}").answer()
    assert b"word" not in answer.body
    assert b"secret" not in answer.body


# -- several calls of one id


def test_the_newest_of_several_is_shown_and_the_others_are_named(door: FrontDoor) -> None:
    """Each with a link of its own."""
    door.queue.put_call(call(accept="old"))
    newer = replace(call(accept="new"), start_time_ns=ACCEPTED_NS + 1, function="g")
    ended(door, newer)
    sheet = told(door)
    assert (sheet["accept"], sheet["function"], sheet["state"]) == ("new", "g", "succeeded")
    assert sheet["links"]["result"] == f"/call/{ID}/result?accept=new"
    assert sheet["others"] == [{"accept": "old", "function": "f", "self": f"/call/{ID}?accept=old"}]


def test_one_of_several_can_be_asked_for(door: FrontDoor) -> None:
    """By how it was accepted."""
    door.queue.put_call(call(accept="a"))
    door.queue.put_call(replace(call(accept="b"), start_time_ns=ACCEPTED_NS + 1))
    sheet = told(door, f"/call/{ID}?accept=a")
    assert (sheet["accept"], "others" in sheet) == ("a", False)
    assert sheet["links"]["self"] == f"/call/{ID}?accept=a"


# -- who and what


def test_nothing_is_known(door: FrontDoor) -> None:
    """404, and which id it was."""
    answer = door.ask("GET", f"/call/{ID}").answer()
    assert answer.status == 404
    assert ID.encode() in answer.body


def test_a_call_that_is_forgotten_but_for_its_callback(door: FrontDoor) -> None:
    """410: it has ended, and nobody knows how."""
    door.queue.put_callback(letter_to())
    assert door.ask("GET", f"/call/{ID}").answer().status == 410


def test_a_short_id_is_shown_to_the_operator_alone(door: FrontDoor) -> None:
    """It could be guessed."""
    door.queue.put_call(call("fifteen-letters"))
    for path in ("/call/fifteen-letters", "/call/fifteen-letters/result", "/call/nothing"):
        answer = door.ask("GET", path).answer()
        assert answer.status == 403
        assert b"operator" in answer.body
    client = door.client(OPERATOR)
    client.send(request("GET", "/call/fifteen-letters", "Host: localhost"))
    assert client.answer().status == 200


@pytest.mark.parametrize("call_id", ["a/b%c d?e#f.g_h*i", "\x7f" * 20, "é" * 16, "\udcff" * 16])
def test_any_id_can_be_asked_after(door: FrontDoor, call_id: str) -> None:
    """Its bytes are percent-encoded in the path, as in Location."""
    door.queue.put_call(call(call_id))
    path = "/call/" + "".join(f"%{byte:02X}" for byte in call_id.encode("utf-8", "surrogateescape"))
    sheet = told(door, path)
    assert sheet["links"]["self"].startswith("/call/")
    assert told(door, sheet["links"]["self"]) == sheet


def test_an_id_that_no_call_can_have(door: FrontDoor) -> None:
    """Longer than any subject's token."""
    assert door.ask("GET", f"/call/{'x' * 2000}").answer().status == 404


def test_only_the_head_is_asked_for(door: FrontDoor) -> None:
    """The same without the body."""
    door.queue.put_call(call())
    whole = door.ask("GET", f"/call/{ID}").answer()
    head = door.ask("HEAD", f"/call/{ID}").answer(bodiless=True)
    assert (head.status, head.header("Content-Length")) == (200, whole.header("Content-Length"))


@pytest.mark.parametrize("path", [f"/call/{ID}", f"/call/{ID}/result"])
def test_other_methods_are_not_allowed(door: FrontDoor, path: str) -> None:
    """405."""
    answer = door.ask("PUT", path).answer()
    assert answer.status == 405
    assert b"GET" in (answer.header("Allow") or b"")


@pytest.mark.parametrize("path", ["/call", "/call/", f"/call/{ID}/nothing"])
def test_there_is_nothing_else(door: FrontDoor, path: str) -> None:
    """404."""
    door.queue.put_call(call())
    assert door.ask("GET", path).answer().status == 404


@pytest.mark.parametrize("query", ["accept=", "accept=a&accept=b", "acept=a"])
def test_a_query_that_is_not_understood(door: FrontDoor, query: str) -> None:
    """400, so that nobody takes another call for the one they meant."""
    assert door.ask("GET", f"/call/{ID}?{query}").answer().status == 400


@pytest.mark.parametrize("path", [f"/call/{ID}", f"/call/{ID}/result"])
def test_a_queue_that_cannot_be_asked(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """503, and when to ask again."""

    def find(call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        return fail(QueueUnavailable("away"))

    monkeypatch.setattr(door.queue.lookup, "find", find)
    answer = door.ask("GET", path).answer()
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")


def test_a_callback_that_died_is_told_of(door: FrontDoor) -> None:
    """After its notes are gone its dead letter remembers it."""
    ended(door, replace(call(), callback=CALLBACK), keep=ResultSettings(keep_seconds=0))
    letter = DeadCallback(letter_to(), "exhausted", 500, "", 3, ACCEPTED_NS)
    door.queue.dead_letters.put_callback(letter)
    told_of = callback_of(door)
    assert (told_of["state"], told_of["tries"], told_of["status"]) == ("given_up", 3, 500)


def test_a_call_that_is_settled_leaves_nothing_but_its_records(door: FrontDoor) -> None:
    """Without one nobody knows of it."""
    door.queue.put_call(call())
    take(door).settle()
    assert door.ask("GET", f"/call/{ID}").answer().status == 404
