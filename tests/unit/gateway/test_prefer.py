"""What clients prefer: not to wait for a function, or to wait a little for a call."""

from __future__ import annotations

import pytest
from calls_there import ANSWER, ended
from front_door import Client, FrontDoor
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.call.headers import first
from faasd_async.call.request import QueueRequest
from faasd_async.gateway.prefer import Preferences, read_preferences, without
from faasd_async.settings import ResultSettings

POST = "POST"


def fields_of(request: QueueRequest) -> list[bytes]:
    """What the function will be told of preferences."""
    return [value for name, value in request.headers if name.lower() == b"prefer"]


# -- reading


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([], Preferences()),
        ([b"respond-async"], Preferences(respond_async=True)),
        ([b"Respond-Async; a=b"], Preferences(respond_async=True)),
        ([b"wait=5"], Preferences(wait_seconds=5)),
        ([b' WAIT = "5" '], Preferences(wait_seconds=5)),
        ([b"wait=5, wait=6"], Preferences(wait_seconds=5)),
        ([b"respond-async", b"wait=5"], Preferences(True, 5)),
        ([b"wait=9999"], Preferences(wait_seconds=300)),
        ([b"wait=-1"], Preferences(others=(b"wait=-1",))),
        ([b"wait=1.5, x"], Preferences(others=(b"wait=1.5", b"x"))),
        ([b"wait"], Preferences(others=(b"wait",))),
        ([b"wait=" + b"9" * 5000], Preferences(others=(b"wait=" + b"9" * 5000,))),
        ([b", ,"], Preferences(others=())),
        ([b'x="a, wait=1"'], Preferences(others=(b'x="a, wait=1"',))),
        ([rb'x="a\", wait=9", wait=1'], Preferences(False, 1, (rb'x="a\", wait=9"',))),
        ([b'wait=5; x="a;b", respond-async'], Preferences(True, 5)),
        ([b'x="a, wait=1'], Preferences(others=(b'x="a, wait=1',))),
    ],
)
def test_preferences_are_read(written: list[bytes], read: Preferences) -> None:
    """The first of a kind counts; what is not understood is left alone."""
    assert read_preferences([(b"pReFeR", value) for value in written]) == read


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_any_bytes_can_be_preferred(values: list[bytes]) -> None:
    """Nothing is refused, and only other fields are left for the function."""
    headers = [(b"Prefer", value) for value in values] + [(b"Other", b"1")]
    preferences = read_preferences(headers)
    assert first(without(headers, preferences), b"other") == b"1"
    assert read_preferences(without(headers, preferences)) == Preferences(others=preferences.others)


# -- respond-async


def test_a_call_that_need_not_be_waited_for(door: FrontDoor) -> None:
    """As if it had been sent to the other route: a receipt, and what was done."""
    answer = door.ask(POST, "/function/f/x?y", "Prefer: respond-async", body=b"b").answer()
    assert (answer.status, answer.body) == (202, b"")
    assert answer.header("Preference-Applied") == b"respond-async"
    (request,) = door.store.requests
    assert answer.header("X-Call-Id") == request.key.call_id.encode()
    assert (request.target, request.body) == (b"/x?y", b"b")
    assert door.runs == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_a_post_can_be_kept_for_later(door: FrontDoor, method: str) -> None:
    """Another method is passed on at once, with its preference."""
    client = door.ask(method, "/function/f", "Prefer: respond-async")
    (run,) = door.runs
    assert first(run.invocation.headers, b"prefer") == b"respond-async"
    run.answers()
    assert client.answer().header("Preference-Applied") is None
    assert door.store.requests == []


def test_to_wait_is_no_wish_where_everybody_waits(door: FrontDoor) -> None:
    """The function may make of it what it likes."""
    client = door.ask(POST, "/function/f", "Prefer: wait=5")
    (run,) = door.runs
    assert first(run.invocation.headers, b"prefer") == b"wait=5"
    run.answers()
    assert client.answer().status == 200


def test_what_was_done_is_not_asked_of_the_function(door: FrontDoor) -> None:
    """It would do so once more; the rest is its own business."""
    door.ask(POST, "/function/f", "Prefer: respond-async, handling=strict", "prefer: a=1; b")
    assert fields_of(door.store.requests[0]) == [b"handling=strict, a=1; b"]


def test_a_preference_that_changes_nothing_is_passed_on(door: FrontDoor) -> None:
    """The route is an asynchronous one in any case."""
    answer = door.ask(POST, "/async-function/f", "Prefer: respond-async").answer()
    assert (answer.status, answer.header("Preference-Applied")) == (202, None)
    assert fields_of(door.store.requests[0]) == [b"respond-async"]


@pytest.mark.parametrize(
    ("target", "status"), [("/function/nobody", 404), ("/function/f?big", 413)]
)
def test_what_is_refused_is_refused(door: FrontDoor, target: str, status: int) -> None:
    """As by the other route."""
    body = b"x" * (1001 if status == 413 else 1)
    assert door.ask(POST, target, "Prefer: respond-async", body=body).answer().status == status
    assert door.store.requests == []


# -- wait


def waits(door: FrontDoor, *fields: str, target: str = "/async-function/f") -> Client:
    """A client that waits; its call is accepted by now."""
    client = door.ask(POST, target, *fields)
    assert client.received == b""
    assert len(door.store.requests) == 1
    return client


def test_a_call_that_ends_in_time(door: FrontDoor) -> None:
    """Its result is the answer, whatever its caller has already, and the receipt's fields are there
    as well."""
    client = waits(door, "Prefer: wait=5", "If-None-Match: *")
    (request,) = door.store.requests
    door.clock.advance(4.9)
    ended(door, request, replace(ANSWER, status=201))
    answer = client.answer()
    assert (answer.status, answer.body) == (201, b"<p>")
    assert answer.header("X-Own") == b"1"
    assert answer.header("X-Function-Status") == b"201"
    assert answer.header("Preference-Applied") == b"wait=5"
    assert answer.header("X-Call-Id") == request.key.call_id.encode()
    assert answer.header("Location") == b"/call/" + request.key.call_id.encode()
    assert fields_of(request) == []


def test_a_call_that_does_not(door: FrontDoor) -> None:
    """The receipt, after that time."""
    client = waits(door, "Prefer: wait=5")
    door.clock.advance(5.0)
    answer = client.answer()
    assert (answer.status, answer.header("Preference-Applied")) == (202, b"wait=5")
    assert answer.header("Location")


def test_both_are_done(door: FrontDoor) -> None:
    """Accepted as asynchronous, waited for a little."""
    client = waits(door, "Prefer: respond-async, wait=5", target="/function/f")
    ended(door, door.store.requests[0])
    answer = client.answer()
    assert answer.status == 200
    assert answer.header("Preference-Applied") == b"respond-async, wait=5"


def test_not_to_wait_at_all(door: FrontDoor) -> None:
    """A look, and the receipt."""
    answer = door.ask(POST, "/async-function/f", "Prefer: wait=0").answer()
    assert (answer.status, answer.header("Preference-Applied")) == (202, b"wait=0")


def test_a_result_that_is_not_kept_is_no_answer(door: FrontDoor) -> None:
    """The receipt, as soon as that is clear."""
    client = waits(door, "Prefer: wait=5")
    ended(door, door.store.requests[0], keep=ResultSettings(keep_seconds=0))
    assert client.answer().status == 202


def test_when_too_many_wait_the_receipt_is_there_at_once(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is accepted: that is what counts."""
    monkeypatch.setattr(door.waiting, "_most", 0)
    answer = door.ask(POST, "/async-function/f", "Prefer: wait=5").answer()
    assert (answer.status, answer.header("Preference-Applied")) == (202, None)


def test_whoever_leaves_has_a_call_that_runs(door: FrontDoor) -> None:
    """And waits no more."""
    client = waits(door, "Prefer: wait=5")
    client.leaves()
    assert len(door.waiting) == 0
    assert len(door.accepted) == 1


def test_the_same_key_is_the_same_result(door: FrontDoor) -> None:
    """A caller that sends a call again is answered with what became of the first one."""
    fields = ("Idempotency-Key: pay-7", "Prefer: wait=5")
    client = waits(door, *fields)
    ended(door, door.store.requests[0])
    again = door.ask(POST, "/async-function/f", *fields).answer()
    assert again.body == client.answer().body == b"<p>"
    assert again.header("Idempotency-Replayed") == b"true"


def test_a_body_that_comes_in_pieces_may_be_waited_for(door: FrontDoor) -> None:
    """Whatever way the request takes."""
    client = door.client()
    client.send(
        b"POST /async-function/f HTTP/1.1\r\nHost: h\r\nPrefer: wait=5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    ended(door, door.store.requests[0])
    assert client.answer().status == 200
