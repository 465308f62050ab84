"""A call's states as they change, told as server-sent events."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
import pytest
from calls_there import ACCEPTED_NS, ID, SECOND_NS, TRIED, PaperHands, call, ended
from front_door import Client, FrontDoor
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail

from faasd_async.call.known import Grip, Known
from faasd_async.errors import QueueUnavailable
from faasd_async.gateway.calls.events import KEEP_ALIVE_SECONDS

EVENTS = f"/call/{ID}/events"

_EVENT = re.compile(rb"id: (\S+)\nevent: (\S+)\ndata: (\{.*\})\n\n")


class Event(NamedTuple):
    id: str
    state: str
    sheet: Any


def listens(door: FrontDoor, *fields: str, target: str = EVENTS) -> Client:
    return door.ask("GET", target, *fields)


def heard(client: Client) -> list[Event]:
    """The events so far, in whatever pieces they came."""
    return [
        Event(found[1].decode(), found[2].decode(), msgspec.json.decode(found[3]))
        for found in _EVENT.finditer(client.received)
    ]


def states(client: Client) -> list[str]:
    return [event.state for event in heard(client)]


def begins(door: FrontDoor, hands: PaperHands, tried: bool = False) -> None:
    """An attempt at the call, as the worker tells of it."""
    history = TRIED if tried else call().history
    hands.grips[call().key] = Grip(ACCEPTED_NS + (5 if tried else 1) * SECOND_NS, history)
    door.waiting.moved(call().key)


def goes_back(door: FrontDoor, hands: PaperHands) -> None:
    hands.grips.clear()
    door.queue.records.note_history(call(), TRIED)
    door.waiting.moved(call().key)


def test_every_step_is_told_until_the_end(door: FrontDoor) -> None:
    """Each with the whole status; then the stream ends, and nothing is left of it."""
    hands = door.queue.peers.hands = PaperHands()
    door.queue.put_call(call())
    client = listens(door)
    begins(door, hands)
    goes_back(door, hands)
    begins(door, hands, tried=True)
    ended(door, call())
    answer = client.answer()
    assert answer.header("Content-Type") == b"text/event-stream"
    assert answer.header("Cache-Control") == b"no-store"
    assert states(client) == ["queued", "running", "retrying", "running", "succeeded"]
    assert [event.sheet["state"] for event in heard(client)] == states(client)
    assert len({event.id for event in heard(client)}) == 5
    assert heard(client)[-1].sheet["status"] == 200
    assert len(door.waiting) == 0


def test_what_does_not_change_is_not_told(door: FrontDoor) -> None:
    """However often it is looked."""
    door.queue.put_call(call())
    client = listens(door)
    for _ in range(3):
        door.waiting.moved(call().key)
        door.waiting.ended(call().key)
    assert states(client) == ["queued"]


def test_a_call_that_has_ended_is_one_event(door: FrontDoor) -> None:
    """The whole stream."""
    ended(door, call())
    client = listens(door)
    assert client.answer().status == 200
    assert states(client) == ["succeeded"]


def test_a_client_that_comes_back_is_told_what_it_does_not_know(door: FrontDoor) -> None:
    """By the id of the event that it knows."""
    hands = door.queue.peers.hands = PaperHands()
    door.queue.put_call(call())
    first = listens(door)
    known = heard(first)[-1].id
    first.leaves()
    client = listens(door, f"Last-Event-ID: {known}")
    assert states(client) == []
    begins(door, hands)
    assert states(client) == ["running"]
    late = listens(door, f"Last-Event-ID: {known}")
    assert states(late) == ["running"]


def test_a_client_that_knows_the_end_need_not_come_again(door: FrontDoor) -> None:
    """204, which is how it is told so."""
    ended(door, call())
    last = heard(listens(door))[-1].id
    answer = listens(door, f"Last-Event-ID: {last}").answer()
    assert (answer.status, answer.body) == (204, b"")


def test_after_a_replay_there_is_more_to_be_told(door: FrontDoor) -> None:
    """The id of the first end is not that of the second."""
    ended(door, call())
    last = heard(listens(door))[-1].id
    again = replace(call(), generation=1)
    door.queue.put_call(again)
    client = listens(door, f"Last-Event-ID: {last}")
    ended(door, again)
    assert states(client) == ["queued", "succeeded"]


def test_a_silent_stream_is_kept_alive(door: FrontDoor) -> None:
    """By comments, which no client shows."""
    door.queue.put_call(call())
    client = listens(door)
    door.clock.advance(KEEP_ALIVE_SECONDS)
    door.clock.advance(KEEP_ALIVE_SECONDS)
    assert client.received.count(b"\n:\n\n") == 2
    assert states(client) == ["queued"]


def test_whoever_leaves_is_told_no_more(door: FrontDoor) -> None:
    """Nothing is left of them."""
    door.queue.put_call(call())
    client = listens(door)
    client.leaves()
    assert len(door.waiting) == 0
    assert door.clock.getDelayedCalls() == []


def test_when_the_daemon_stops_the_stream_ends(door: FrontDoor) -> None:
    """The client comes back, to the next one."""
    door.queue.put_call(call())
    client = listens(door)
    door.waiting.close()
    assert client.answer().status == 200
    assert states(client) == ["queued"]


def test_news_that_cannot_be_had_are_asked_for_again(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue was away when the call ended."""
    door.queue.put_call(call())
    client = listens(door)

    def find(call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        return fail(QueueUnavailable("away"))

    monkeypatch.setattr(door.queue.lookup, "find", find)
    ended(door, call())
    assert states(client) == ["queued"]
    monkeypatch.undo()
    door.clock.advance(KEEP_ALIVE_SECONDS)
    assert states(client) == ["queued", "succeeded"]


def test_of_several_the_one_that_was_newest_is_followed(door: FrontDoor) -> None:
    """Though another one is accepted meanwhile."""
    door.queue.put_call(call())
    client = listens(door)
    door.queue.put_call(replace(call(accept="x"), start_time_ns=ACCEPTED_NS + 1))
    ended(door, call(accept="x"))
    assert states(client) == ["queued"]
    ended(door, call())
    assert states(client) == ["queued", "succeeded"]


def test_whoever_waits_for_the_end_is_not_disturbed(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on the way is no reason to look for a result."""
    door.queue.put_call(call())
    door.ask("GET", f"/call/{ID}/result?wait=30s")
    looks: list[None] = []
    monkeypatch.setattr(door.queue.records, "find_ending", lambda *_: looks.append(None))
    door.waiting.moved(call().key)
    assert looks == []


@pytest.mark.parametrize(
    ("target", "status"),
    [(EVENTS, 404), (f"{EVENTS}?accept=x", 404), ("/call/short/events", 403)],
)
def test_there_is_nothing_to_be_told(door: FrontDoor, target: str, status: int) -> None:
    """As when one asks once."""
    assert listens(door, target=target).answer().status == status


def test_so_many_may_be_told_and_no_more(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, together with those who wait for results."""
    monkeypatch.setattr(door.waiting, "_most", 0)
    door.queue.put_call(call())
    assert listens(door).answer().status == 503


def test_only_the_head_is_asked_for(door: FrontDoor) -> None:
    """It does not wait."""
    door.queue.put_call(call())
    answer = door.ask("HEAD", EVENTS).answer(bodiless=True)
    assert answer.header("Content-Type") == b"text/event-stream"
