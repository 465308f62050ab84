"""Calls whose callers want them tried less often."""

from __future__ import annotations

import pytest
from front_door import FrontDoor

TARGET = "/async-function/f"


@pytest.mark.parametrize(
    ("field", "attempts"),
    [
        ("X-Max-Attempts: 1", 1),
        ("x-max-attempts:  12 ", 12),
        ("X-Max-Attempts: 100000000", 10**8),
    ],
)
def test_a_call_knows_how_often_it_may_be_tried(door: FrontDoor, field: str, attempts: int) -> None:
    """The function is not told: it is an order to the daemon."""
    assert door.ask("POST", TARGET, field, "X-Other: 1").answer().status == 202
    (request,) = door.store.requests
    assert request.max_attempts == attempts
    names = [name.lower() for name, _ in request.headers]
    assert b"x-other" in names
    assert b"x-max-attempts" not in names


def test_who_says_nothing_leaves_it_to_the_function(door: FrontDoor) -> None:
    """0."""
    door.ask("POST", TARGET).answer()
    assert door.store.requests[0].max_attempts == 0


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "1000000000", "\u00b2"])
def test_what_is_no_number_of_attempts_is_refused(door: FrontDoor, value: str) -> None:
    """400, with what was found and what is allowed."""
    answer = door.ask("POST", TARGET, f"X-Max-Attempts: {value}").answer()
    assert answer.status == 400
    assert answer.body.startswith(b"X-Max-Attempts: found ")
    assert door.store.requests == []
