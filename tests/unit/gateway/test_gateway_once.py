"""The asynchronous door, for callers who are not sure whether they came through it before."""

from __future__ import annotations

import pytest
from front_door import ACCEPT_DEADLINE_SECONDS, FrontDoor

TARGET = "/async-function/f"
KEY = "Idempotency-Key: one"


def test_the_second_receipt_is_the_first(door: FrontDoor) -> None:
    """Id, time and location, whatever id the caller chose meanwhile; one call is stored."""
    first = door.ask("POST", TARGET, KEY, body=b"x").answer()
    again = door.ask("POST", TARGET, KEY, "X-Call-Id: another", body=b"x").answer()
    assert (first.status, again.status) == (202, 202)
    assert first.header("Idempotency-Replayed") is None
    assert again.header("Idempotency-Replayed") == b"true"
    for name in ("X-Call-Id", "X-Start-Time", "Location"):
        assert first.header(name) == again.header(name)
    assert len(door.store.requests) == len(door.accepted) == 1


def test_another_body_under_the_same_key_is_a_mistake(door: FrontDoor) -> None:
    """422, for a path or a body that is not the first one's; nothing is stored."""
    door.ask("POST", TARGET, KEY, body=b"x")
    assert door.ask("POST", TARGET, KEY, body=b"y").answer().status == 422
    assert door.ask("POST", TARGET + "/deep", KEY, body=b"x").answer().status == 422
    assert len(door.store.requests) == 1


@pytest.mark.parametrize(
    "field",
    [
        f"Idempotency-Key: {'k' * 256}",
        f"webhook-id: {'k' * 256}",
        "Idempotency-Key:",
        "Idempotency-Key:  ",
        "webhook-id:",
    ],
)
def test_a_key_is_neither_too_long_nor_empty(door: FrontDoor, field: str) -> None:
    """400: who sends an empty one believes that the call is safe to repeat, and it is not."""
    answer = door.ask("POST", TARGET, field).answer()
    assert (answer.status, door.store.requests) == (400, [])
    assert answer.body == b"Idempotency-Key or webhook-id: 1 to 255 bytes are allowed\n"


def test_an_empty_key_is_not_made_good_by_the_other_name(door: FrontDoor) -> None:
    """The first one counts, and it is none."""
    answer = door.ask("POST", TARGET, "Idempotency-Key:", "webhook-id: one").answer()
    assert (answer.status, door.store.requests) == (400, [])


TOLD = "X-Callback-Url: http://a.test/"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ([TOLD], ["X-Callback-Url: http://b.test/"]),
        ([TOLD], []),
        ([], [TOLD]),
        ([TOLD], [TOLD, "X-Callback-On-Failure: http://a.test/"]),
        ([TOLD], ["X-Callback-On-Failure: http://a.test/"]),
    ],
)
def test_who_is_told_elsewhere_has_sent_another_call(
    door: FrontDoor, first: list[str], again: list[str]
) -> None:
    """422 names the fields, instead of dropping them without a word."""
    assert door.ask("POST", TARGET, KEY, *first, body=b"x").answer().status == 202
    answer = door.ask("POST", TARGET, KEY, *again, body=b"x").answer()
    assert answer.status == 422
    assert b"X-Callback-Url or X-Callback-On-Failure" in answer.body
    assert len(door.store.requests) == 1
    assert door.ask("POST", TARGET, KEY, *first, body=b"x").answer().status == 202


def test_a_keyed_call_that_is_not_durable_in_time_may_be_sent_again(door: FrontDoor) -> None:
    """504 names the call; the same key leads to the same call."""
    door.store.at_once = False
    client = door.ask("POST", TARGET, KEY)
    door.clock.advance(ACCEPT_DEADLINE_SECONDS)
    late = client.answer()
    assert late.status == 504
    again = door.ask("POST", TARGET, KEY).answer()
    assert (again.status, again.header("X-Call-Id")) == (202, late.header("X-Call-Id"))
