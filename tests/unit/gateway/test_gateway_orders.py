"""Header fields that are orders to the daemon, given more than once."""

from __future__ import annotations

import pytest
from front_door import FrontDoor

ASYNCHRONOUS = ("/async-function/f", ())
PREFERRED = ("/function/f", ("Prefer: respond-async",))


@pytest.mark.parametrize("way", [ASYNCHRONOUS, PREFERRED], ids=["asynchronous", "preferred"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-Callback-Url", ("http://a.test/", "http://b.test/")),
        ("X-Callback-On-Failure", ("http://a.test/", "http://b.test/")),
        ("Idempotency-Key", ("one", "other")),
        ("webhook-id", ("one", "other")),
        ("X-Delay", ("1s", "1h")),
        ("X-Not-Before", ("2030-01-31T08:00:00Z", "2031-01-31T08:00:00Z")),
        ("X-Expires", ("1m", "1h")),
        ("X-Max-Attempts", ("1", "2")),
        ("Idempotency-Key", ("the same", "the same")),
    ],
)
def test_an_order_is_given_once(
    door: FrontDoor, way: tuple[str, tuple[str, ...]], name: str, values: tuple[str, str]
) -> None:
    """400, and which it is; whatever lies between the two, and in whatever case they come."""
    target, fields = way
    one, other = f"{name}: {values[0]}", f"{name.lower()}: {values[1]}"
    answer = door.ask("POST", target, one, "X-Other: 1", other, *fields).answer()
    assert (answer.status, answer.body.decode()) == (400, f"{name}: it may be there only once\n")
    assert door.store.requests == []


def test_other_fields_may_come_as_often_as_they_like(door: FrontDoor) -> None:
    """All of them go on."""
    answer = door.ask("POST", "/async-function/f", "X-A: 1", "X-Delay: 0", "x-a: 2").answer()
    assert answer.status == 202
    (request,) = door.store.requests
    assert [value for name, value in request.headers if name.lower() == b"x-a"] == [b"1", b"2"]


def test_who_is_called_now_may_be_sent_anything(door: FrontDoor) -> None:
    """There they are no orders, but the function's own business."""
    run = door.ask("POST", "/function/f", "X-Delay: 1s", "X-Delay: 1h")
    assert len(door.runs) == 1
    run.leaves()
