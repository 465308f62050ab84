"""Calls in a list, and how things are, as an operator is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from calls_there import ACCEPTED_NS, ID, SECOND_NS, PaperHands, call, ended
from front_door import Client, FrontDoor
from twisted.internet.address import IPv4Address

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadLetter
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.request import Outcome
from faasd_async.gateway.system.live import EVERY_SECONDS, MOST_WATCHERS

HERE = IPv4Address("TCP", "127.0.0.1", 40123)


def asks(door: FrontDoor, target: str) -> Client:
    """As somebody at this machine."""
    client = door.client(HERE)
    client.send(f"GET /system/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def told(door: FrontDoor, target: str) -> Any:
    answer = asks(door, target).answer()
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def listed(door: FrontDoor, query: str = "") -> list[tuple[str, str]]:
    """Id and state of each."""
    return [(each["id"], each["state"]) for each in told(door, f"calls?{query}")["calls"]]


def fill(door: FrontDoor) -> None:
    """Calls in several states: their ids say which."""
    hands = door.queue.peers.hands = PaperHands()
    for seconds, name in enumerate(("queued", "running", "succeeded", "failed")):
        request = call(name, start_time_ns=ACCEPTED_NS + seconds * SECOND_NS)
        if name in ("queued", "running"):
            door.queue.put_call(request)
        else:
            ended(door, request, state=name)
    door.queue.put_later(call("scheduled", start_time_ns=ACCEPTED_NS - SECOND_NS), 60.0)
    hands.grips[CallKey("running", "0")] = Grip(ACCEPTED_NS + 9, call().history)


def test_calls_are_listed_by_their_states(door: FrontDoor) -> None:
    """All of them, or those in one."""
    fill(door)
    states = {"queued", "running", "succeeded", "failed", "scheduled"}
    assert {state for _, state in listed(door)} == states
    assert all(call_id == state for call_id, state in listed(door))
    for state in states:
        assert listed(door, f"state={state}") == [(state, state)]
    assert listed(door, "state=dead") == []
    door.clock.advance(60)


def test_calls_are_listed_by_function_and_id(door: FrontDoor) -> None:
    """Exactly."""
    ended(door, call("one"))
    ended(door, call("two", function="g"))
    assert listed(door, "function=g") == [("two", "succeeded")]
    assert listed(door, "id=one") == [("one", "succeeded")]
    assert listed(door, "id=on") == []


def test_the_list_comes_in_pages(door: FrontDoor) -> None:
    """Each says where the next begins, the last one nothing."""
    for number in range(5):
        ended(door, call(f"c{number}"))
    first = told(door, "calls?limit=3")
    second = told(door, f"calls?limit=3&after={first['next']}")
    assert [len(first["calls"]), len(second["calls"])] == [3, 2]
    assert "next" not in second
    assert len({each["id"] for each in first["calls"] + second["calls"]}) == 5


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "state=lost", "after=nowhere", "other=1", "id="]
)
def test_a_list_that_cannot_be(door: FrontDoor, query: str) -> None:
    """What is not understood is named."""
    answer = asks(door, f"calls?{query}").answer()
    assert answer.status == 400
    assert query.partition("=")[0].encode() in answer.body


def test_what_a_call_was_called_with(door: FrontDoor) -> None:
    """While it waits, without what lets somebody in; of a long body the beginning."""
    body = b"a" * (64 * 1024 - 1) + "é".encode()
    fields = ((b"Authorization", b"Bearer secret"), (b"X-A", b"b"))
    url = parse(b"http://user:secret@caller.test/")
    door.queue.put_call(call(headers=fields, body=body, callback=url, target=b"/p?q"))
    request = told(door, f"calls/{ID}")["request"]
    assert request == {
        "target": "/p?q",
        "size": len(body),
        "callback_url": str(url),
        "headers": [["Authorization", "(hidden)"], ["X-A", "b"]],
        "body": "a" * (64 * 1024 - 1),
        "body_encoding": "utf-8",
    }
    assert "secret" not in str(request)


def test_a_dead_letter_still_has_it(door: FrontDoor) -> None:
    """When a call has ended well nobody has."""
    ended(door, call())
    assert told(door, f"calls/{ID}")["request"] is None
    door.queue.dead_letters.put(DeadLetter(call(body=b"Hi"), "failed", 500, "", ACCEPTED_NS))
    assert told(door, f"calls/{ID}")["request"]["body"] == "Hi"
    assert told(door, "calls/nobody")["request"] is None


def test_what_a_call_was_answered(door: FrontDoor) -> None:
    """Whatever its status, as long as it is kept; of a long body the beginning."""
    put = call()
    door.queue.put_call(put)
    assert told(door, f"calls/{ID}")["result"] is None
    outcome = Outcome(500, ((b"X-A", b"b"),), b"a" * (64 * 1024 + 1), 0.5)
    ended(door, put, outcome=outcome)
    assert told(door, f"calls/{ID}")["result"] == {
        "status": 500,
        "size": 64 * 1024 + 1,
        "headers": [["X-A", "b"]],
        "body": "a" * 64 * 1024,
        "body_encoding": "utf-8",
    }


# -- again and again


def events(client: Client) -> list[tuple[str, Any]]:
    found = []
    for block in client.received.split(b"\n\n"):
        head, _, data = block.partition(b"\ndata: ")
        if data:
            found.append((head.rpartition(b"event: ")[2].decode(), json.loads(data)))
    return found


def names(client: Client) -> list[str]:
    return [name for name, _ in events(client)]


def test_who_watches_is_told_at_once_and_then_again(door: FrontDoor) -> None:
    """The hour once, and how things are; when they have gone nothing goes on."""
    client = asks(door, "events")
    assert names(client) == ["hour", "now"]
    assert events(client)[1][1]["queues"][0]["functions"][0]["function"] == "f"
    door.clock.advance(EVERY_SECONDS)
    assert names(client) == ["hour", "now", "now"]
    client.leaves()
    assert len(door.live) == 0


def test_one_timer_serves_all(door: FrontDoor) -> None:
    """Who comes later is told at once, too."""
    before = len(door.clock.getDelayedCalls())
    first = asks(door, "events")
    timers = len(door.clock.getDelayedCalls()) - before
    others = [asks(door, "events") for _ in range(3)]
    assert [names(each) for each in others] == [["hour", "now"]] * 3
    door.clock.advance(EVERY_SECONDS)
    assert len(names(first)) == len(names(others[0])) == 3
    assert len(door.clock.getDelayedCalls()) - before - 3 * (timers - 1) <= timers
    for each in (first, *others):
        each.leaves()


def test_ends_are_told_once(door: FrontDoor) -> None:
    """Those that come while somebody watches."""
    ended(door, call("before"))
    client = asks(door, "events")
    ended(door, call("after"))
    door.clock.advance(EVERY_SECONDS)
    door.clock.advance(EVERY_SECONDS)
    ends = [sheet["calls"] for name, sheet in events(client) if name == "ended"]
    assert [[each["id"] for each in calls] for calls in ends] == [["after"]]
    client.leaves()


def test_only_so_many_watch(door: FrontDoor) -> None:
    """One more is refused."""
    clients = [asks(door, "events") for _ in range(MOST_WATCHERS)]
    assert asks(door, "events").answer().status == 503
    for each in clients:
        each.leaves()
    last = asks(door, "events")
    assert names(last)
    last.leaves()


def test_who_reads_too_slowly_is_left_out(door: FrontDoor) -> None:
    """Nothing is kept for them: what comes when they have read is as new."""
    client = asks(door, "events")
    client.wire.producer.pauseProducing()
    door.clock.advance(EVERY_SECONDS)
    assert names(client) == ["hour", "now"]
    client.wire.producer.resumeProducing()
    door.clock.advance(EVERY_SECONDS)
    assert names(client) == ["hour", "now", "now"]
    client.leaves()


def test_who_watches_is_let_go_when_the_daemon_stops(door: FrontDoor) -> None:
    """And nobody new may watch."""
    client = asks(door, "events")
    door.live.close()
    assert client.received.endswith(b"0\r\n\r\n")
    assert asks(door, "events").answer().status == 503
