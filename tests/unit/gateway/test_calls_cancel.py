"""Calls that their callers cancel."""

from __future__ import annotations

import pytest
from calls_there import ANSWER, CALLBACK, ID, TRIED, PaperHands, call, ended, take
from front_door import NOW_NS, Answer, FrontDoor, request
from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail

from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.history import Attempt
from faasd_async.call.known import Grip
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import QueueUnavailable
from faasd_async.queue.interface import Delivery, OfFunction, Selection

CANCELLED = Outcome(499, (), b"", 0.0, "it was cancelled")


def cancel(door: FrontDoor, target: str = f"/call/{ID}") -> Answer:
    return door.ask("DELETE", target).answer()


def ending_of(door: FrontDoor, request: QueueRequest) -> Ending | None:
    found: list[Ending | None] = []
    door.queue.records.find_ending(request.function, request.key).addCallback(found.append)
    return found[0]


def is_left(door: FrontDoor) -> bool:
    """Whether somebody could take a call of ``f``."""
    taken: list[Delivery[QueueRequest]] = []
    door.queue.take_calls(OfFunction("f"), taken.append, lambda: 1 - len(taken)).stop()
    return bool(taken)


def callbacks(door: FrontDoor) -> list[CallbackRequest]:
    """Those that wait; they are taken away."""
    taken: list[Delivery[CallbackRequest]] = []
    door.queue.take_callbacks(taken.append, lambda: 1000).stop()
    for delivery in taken:
        delivery.settle()
    return [delivery.parcel for delivery in taken]


@pytest.mark.parametrize("target", [f"/call/{ID}", f"/async-function/{ID}"])
def test_a_call_that_waits(door: FrontDoor, target: str) -> None:
    """202; its end is written, and nobody can take it any more."""
    door.queue.put_call(call())
    answer = cancel(door, target)
    assert (answer.status, answer.body) == (202, b"")
    assert answer.header("X-Call-Id") == ID.encode()
    assert answer.header("Location") == f"/call/{ID}".encode()
    assert ending_of(door, call()) == Ending("cancelled", CANCELLED, call().history, NOW_NS)
    assert not is_left(door)


def test_a_call_that_waits_for_its_time(door: FrontDoor) -> None:
    """It never comes."""
    door.queue.put_later(call(), 60.0)
    assert cancel(door).status == 202
    door.clock.advance(60.0)
    assert not is_left(door)


def test_a_call_that_is_in_hand(door: FrontDoor) -> None:
    """Whoever has it is told to let go, once its end is written; what was tried is in it."""
    door.queue.put_call(call())
    delivery = take(door)
    hands = door.queue.peers.hands = PaperHands()
    hands.grips[call().key] = Grip(NOW_NS - 10**9, TRIED)
    assert cancel(door).status == 202
    assert hands.aborted == [call().key]
    ending = ending_of(door, call())
    assert ending is not None
    stopped = Attempt(NOW_NS - 10**9, 499, 1.0, "it was cancelled")
    assert ending.history == TRIED.with_attempt(stopped)
    assert ending.outcome == replace(CANCELLED, duration_seconds=1.0)
    delivery.give_back()
    door.clock.advance(0)
    assert not is_left(door)


def test_what_was_noted_of_a_call_is_in_its_end(door: FrontDoor) -> None:
    """Nobody has it in hand: it waited for its next attempt."""
    door.queue.put_call(call())
    door.queue.records.note_history(call(), TRIED)
    assert cancel(door).status == 202
    ending = ending_of(door, call())
    assert ending is not None
    assert ending.history == TRIED


@pytest.mark.parametrize("state", ["succeeded", "failed", "dead", "expired"])
def test_a_call_that_has_ended(door: FrontDoor, state: str) -> None:
    """409, and how; what is written stands."""
    ending = ended(door, call(), state=state)
    answer = cancel(door)
    assert (answer.status, state.encode() in answer.body) == (409, True)
    assert ending_of(door, call()) == ending


def test_a_call_that_has_ended_and_is_in_the_queue_still(door: FrontDoor) -> None:
    """It is over all the same, and nobody is disturbed in settling it."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    ended(door, call())
    assert cancel(door).status == 409
    assert hands.aborted == []
    take(door).settle()


def end_it_first(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Have somebody end the call in the moment in which its next cancellation would."""
    record_ending = door.queue.records.record_ending

    def after_another(*about: object) -> Deferred[bool]:
        monkeypatch.undo()
        ended(door, call(), state=state)
        return record_ending(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(door.queue.records, "record_ending", after_another)


def test_a_call_that_ends_at_the_same_time(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes first has ended it: 409, and it is left to itself."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    end_it_first(door, monkeypatch, "succeeded")
    answer = cancel(door)
    assert (answer.status, b"succeeded" in answer.body) == (409, True)
    assert hands.aborted == []
    assert is_left(door)
    door.queue.stop()


def test_a_call_that_another_cancels_at_the_same_time(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have what they wanted: 202, and whichever is here last takes the steps that are left."""
    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    end_it_first(door, monkeypatch, "cancelled")
    assert cancel(door).status == 202
    assert hands.aborted == [call().key]
    assert not is_left(door)


def test_a_call_that_nobody_knows(door: FrontDoor) -> None:
    """404."""
    assert cancel(door).status == 404
    assert cancel(door, f"/async-function/{ID}").status == 404


def test_a_call_that_was_cancelled_before(door: FrontDoor) -> None:
    """It is what was wanted: 202, and its end is the first one."""
    door.queue.put_call(replace(call(), callback=CALLBACK))
    assert [cancel(door).status for _ in range(2)] == [202, 202]
    assert len(callbacks(door)) == 1


def test_the_steps_that_are_missing_are_taken(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end was written, and no more: 503, and the next time everything is done."""

    def remove(request: QueueRequest) -> Deferred[None]:
        return fail(QueueUnavailable("away"))

    door.queue.put_call(call())
    hands = door.queue.peers.hands = PaperHands()
    monkeypatch.setattr(door.queue.backlog, "remove", remove)
    answer = cancel(door)
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    monkeypatch.undo()
    assert cancel(door).status == 202
    assert hands.aborted == [call().key]
    assert not is_left(door)


def test_an_end_that_cannot_be_written(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, and the call is where it was."""

    def record_ending(*about: object) -> Deferred[bool]:
        return fail(QueueUnavailable("away"))

    door.queue.put_call(call())
    monkeypatch.setattr(door.queue.records, "record_ending", record_ending)
    answer = cancel(door)
    assert (answer.status, answer.header("Retry-After")) == (503, b"1")
    assert is_left(door)
    door.queue.stop()


@pytest.mark.parametrize("which", ["callback", "on_failure"])
def test_its_callback_is_told(door: FrontDoor, which: str) -> None:
    """499, with nothing in it; it is no success, and no dead letter either."""
    door.queue.put_call(replace(call(), **{which: CALLBACK}))  # type: ignore[arg-type]
    assert cancel(door).status == 202
    (callback,) = callbacks(door)
    assert first(callback.headers, b"x-function-status") == b"499"
    assert callback.body == b""
    left: list[object] = []
    door.queue.dead_letters.look_through(Selection(), 0, 10).addCallback(
        lambda page: left.extend(page.letters)
    )
    assert left == []


def test_whoever_waits_for_it_is_answered(door: FrontDoor) -> None:
    """With what became of it."""
    door.queue.put_call(call())
    client = door.ask("GET", f"/call/{ID}/result?wait=30s")
    assert cancel(door).status == 202
    answer = client.answer()
    assert (answer.status, answer.header("X-Function-Status")) == (499, b"499")


def test_a_replayed_call_can_be_cancelled(door: FrontDoor) -> None:
    """Though it had ended before."""
    ended(door, call(), replace(ANSWER, status=500), state="failed")
    again = replace(call(), generation=1)
    door.queue.put_call(again)
    assert cancel(door).status == 202
    ending = ending_of(door, again)
    assert ending is not None
    assert ending.state == "cancelled"


def test_of_several_one_has_to_be_named(door: FrontDoor) -> None:
    """409 with how; then that one goes, and the other stays."""
    door.queue.put_call(call(accept="a"))
    door.queue.put_call(replace(call(accept="b"), start_time_ns=7))
    answer = cancel(door)
    assert answer.status == 409
    for accept in ("a", "b"):
        assert f"/call/{ID}?accept={accept}".encode() in answer.body
    assert cancel(door, f"/call/{ID}?accept=a").status == 202
    assert ending_of(door, call(accept="a")) is not None
    assert cancel(door, f"/async-function/{ID}?accept=b").status == 202


def test_a_short_id_is_the_operators(door: FrontDoor) -> None:
    """403, or 202 to the operator."""
    short = call("short")
    door.queue.put_call(short)
    for target in ("/call/short", "/async-function/short"):
        assert cancel(door, target).status == 403
    client = door.client(IPv4Address("TCP", "127.0.0.1", 40123))
    client.send(request("DELETE", "/call/short", "Host: localhost"))
    assert client.answer().status == 202


@pytest.mark.parametrize(
    "target", [f"/async-function/{ID}/rest", f"/async-function/{ID}//", f"/call/{ID}/result"]
)
def test_only_a_call_can_be_cancelled(door: FrontDoor, target: str) -> None:
    """405."""
    door.queue.put_call(call())
    assert cancel(door, target).status == 405
    assert is_left(door)
    door.queue.stop()
