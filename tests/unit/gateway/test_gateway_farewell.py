"""The last request of a connection: the client has said all it had to, or the daemon stops."""

from __future__ import annotations

import pytest
from front_door import FrontDoor, request
from twisted.internet.defer import Deferred

from faasd_async.gateway.site import LAST_WORDS_SECONDS


def test_who_sent_a_call_may_stop_speaking(door: FrontDoor) -> None:
    """The receipt comes all the same, and then the end."""
    door.store.at_once = False
    client = door.ask("POST", "/async-function/f", body=b"x")
    client.says_no_more()
    assert (client.received, client.closed) == (b"", False)
    door.store.answers[0].callback(None)
    assert b"HTTP/1.1 202 Accepted\r\n" in client.received
    assert b"Connection: close\r\n" in client.received
    assert client.closed


def test_who_stops_speaking_while_a_function_runs_has_left(door: FrontDoor) -> None:
    """The function is let go of: somebody who left without a word looks the same."""
    client = door.ask("POST", "/function/f")
    client.says_no_more()
    assert client.wire.disconnected
    client.leaves()
    assert door.runs[0].cancelled
    assert client.received == b""


def test_who_stops_speaking_between_requests_is_let_go(door: FrontDoor) -> None:
    """There is nothing left to say."""
    client = door.ask("POST", "/async-function/f")
    assert client.answer().status == 202
    client.says_no_more()
    assert client.closed


def let_go(door: FrontDoor) -> Deferred[None]:
    """Close the door: over when nobody has more to say."""
    return Deferred.fromCoroutine(door.site.let_clients_go())


def test_when_the_door_closes_idle_clients_are_let_go(door: FrontDoor) -> None:
    """Those who have their answer, and those who have not asked; after a moment, for a request may
    be on its way."""
    silent, served = door.client(), door.ask("POST", "/async-function/f")
    over = let_go(door)
    door.clock.advance(LAST_WORDS_SECONDS - 0.1)
    assert (silent.closed, served.closed, over.called) == (False, False, False)
    door.clock.advance(0.1)
    assert (silent.closed, served.closed, over.called) == (True, True, True)


@pytest.mark.parametrize("route", ["async-function", "function"])
def test_who_came_just_before_the_door_closed_is_answered(door: FrontDoor, route: str) -> None:
    """What nobody had read when it closed is a request like any other, and the last."""
    fresh, served = door.client(), door.ask("POST", "/async-function/f")
    let_go(door)
    for client in (fresh, served):
        client.send(request("POST", f"/{route}/f", body=b"x"))
        for run in door.runs:
            if not run.reply.called:
                run.answers(200)
        answer = client.answers()[-1]
        assert answer.status == (202 if route == "async-function" else 200)
        assert answer.header("Connection") == b"close"
        assert client.closed
    door.clock.advance(LAST_WORDS_SECONDS)


def test_nobody_waits_for_a_silence_that_is_not_there(door: FrontDoor) -> None:
    """Where no client is idle the door is closed at once."""
    client = door.ask("POST", "/function/f")
    assert let_go(door).called
    door.runs[0].answers(200)
    assert client.closed


def test_when_the_door_closes_what_is_under_way_is_answered(door: FrontDoor) -> None:
    """And told that it was the last; nothing that comes behind it is heard."""
    door.store.at_once = False
    caller, client = door.ask("POST", "/function/f"), door.ask("POST", "/async-function/f")
    let_go(door)
    client.send(request("POST", "/async-function/f/behind"))
    assert (caller.closed, client.closed) == (False, False)
    door.store.answers[0].callback(None)
    door.runs[0].answers(200, body=b"done")
    for each in (caller, client):
        assert b"Connection: close\r\n" in each.received
        assert each.closed
    assert len(door.store.requests) == 1


def test_a_request_that_is_half_there_when_the_door_closes(door: FrontDoor) -> None:
    """It may come to its end, and is the last."""
    client = door.client()
    whole = request("POST", "/async-function/f", body=b"abc")
    client.send(whole[:-1])
    let_go(door)
    assert not client.closed
    client.send(whole[-1:])
    assert client.received.startswith(b"HTTP/1.1 202 ")
    assert client.closed


def test_who_has_left_is_forgotten(door: FrontDoor) -> None:
    """Nobody is kept who is not there."""
    client = door.client()
    assert len(door.site.channels) == 1
    client.leaves()
    assert not door.site.channels
