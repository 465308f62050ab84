"""Calls that their callers put off, and those that are of no use after a time."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from front_door import NOW_NS, FrontDoor

from faasd_async.errors import NoSchedules, QueueFull

TARGET = "/async-function/f"
SECOND_NS = 10**9
NOW = NOW_NS // SECOND_NS


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("X-Delay: 10m", 600),
        ("X-Delay: 1h30m", 5400),
        ("X-Delay: 90", 90),
        ("X-Delay: 0.25", 0.25),
        ("X-Delay: 8784h", 366 * 24 * 3600),
        ("x-delay:  2s ", 2),
    ],
)
def test_a_call_is_put_off_for_a_while(door: FrontDoor, field: str, seconds: float) -> None:
    """A duration; the receipt is as ever, and what is stored says until when."""
    answer = door.ask("POST", TARGET, field, body=b"x").answer()
    assert answer.status == 202
    assert answer.header("Location")
    (request,) = door.store.requests
    assert request.not_before_ns == NOW_NS + round(seconds * SECOND_NS)
    assert door.store.delays == [pytest.approx(seconds)]
    assert door.accepted == [request]


def test_a_call_is_put_off_until_a_time(door: FrontDoor) -> None:
    """An HTTP date, or RFC 3339."""
    until = (NOW + 600) * SECOND_NS
    for moment in (formatdate(NOW + 600, usegmt=True), "2023-11-14T22:23:20Z"):
        assert door.ask("POST", TARGET, f"X-Not-Before: {moment}").answer().status == 202
    assert [each.not_before_ns for each in door.store.requests] == [until, until]


@pytest.mark.parametrize("field", ["X-Delay: 0", "X-Not-Before: 1999-12-31T23:59:59Z"])
def test_a_time_that_is_past_means_at_once(door: FrontDoor, field: str) -> None:
    """Nothing is put off."""
    assert door.ask("POST", TARGET, field).answer().status == 202
    (request,) = door.store.requests
    assert (request.not_before_ns, door.store.delays) == (0, [])


@pytest.mark.parametrize(
    "field",
    [
        "X-Delay: soon",
        "X-Delay: -1s",
        "X-Delay: 8785h",
        "X-Delay:",
        "X-Delay: 1d",
        "X-Not-Before: tomorrow",
        "X-Not-Before: 1700000600",
        "X-Not-Before: 2030-01-01T00:00:00Z",
        "X-Not-Before: Wed, 14 Nov 2023 22:23:20 GMT",
        "X-Expires: never",
        "X-Expires: 0",
        "X-Expires: 11/12/2030",
    ],
)
def test_what_is_not_understood_is_refused(door: FrontDoor, field: str) -> None:
    """400 names the field and says what is allowed; nothing is stored."""
    answer = door.ask("POST", TARGET, field).answer()
    assert answer.status == 400
    name = field.partition(":")[0].encode()
    assert answer.body.startswith(name + b": found ")
    assert b"; allowed: " in answer.body
    assert door.store.requests == []


def test_a_delay_and_a_time_are_one_too_many(door: FrontDoor) -> None:
    """400."""
    fields = ("X-Delay: 1m", "X-Not-Before: 2023-11-14T22:23:20Z")
    answer = door.ask("POST", TARGET, *fields).answer()
    assert (answer.status, door.store.requests) == (400, [])
    assert b"X-Delay and X-Not-Before" in answer.body


@pytest.mark.parametrize(
    ("value", "expires_ns"),
    [
        ("5m", NOW_NS + 300 * SECOND_NS),
        ("2023-11-14T22:23:20Z", (NOW + 600) * SECOND_NS),
        ("1969-12-31T23:59:59Z", 1),
    ],
)
def test_a_call_may_be_of_no_use_after_a_time(door: FrontDoor, value: str, expires_ns: int) -> None:
    """A duration or a time, which may be past: then the call ends as expired."""
    assert door.ask("POST", TARGET, f"X-Expires: {value}").answer().status == 202
    (request,) = door.store.requests
    assert (request.expires_ns, request.not_before_ns) == (expires_ns, 0)


TEN_YEARS_SECONDS = 10 * 365 * 24 * 3600


@pytest.mark.parametrize(
    "furthest", [f"{TEN_YEARS_SECONDS}s", formatdate(NOW + TEN_YEARS_SECONDS, usegmt=True)]
)
def test_a_call_may_expire_within_ten_years(door: FrontDoor, furthest: str) -> None:
    """However that is said."""
    assert door.ask("POST", TARGET, f"X-Expires: {furthest}").answer().status == 202
    (request,) = door.store.requests
    assert request.expires_ns // SECOND_NS == NOW + TEN_YEARS_SECONDS


@pytest.mark.parametrize(
    "further",
    [
        f"{TEN_YEARS_SECONDS + 1}s",
        formatdate(NOW + TEN_YEARS_SECONDS + 1, usegmt=True),
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_call_cannot_expire_later_than_that(door: FrontDoor, further: str) -> None:
    """400 names the bound: it is the same for a duration and for a time."""
    answer = door.ask("POST", TARGET, f"X-Expires: {further}").answer()
    assert (answer.status, door.store.requests) == (400, [])
    assert b"at most 10 years from now" in answer.body


def test_a_call_cannot_expire_before_it_may_begin(door: FrontDoor) -> None:
    """400: it would never run."""
    answer = door.ask("POST", TARGET, "X-Delay: 10m", "X-Expires: 10m").answer()
    assert (answer.status, door.store.requests) == (400, [])
    assert door.ask("POST", TARGET, "X-Delay: 10m", "X-Expires: 11m").answer().status == 202


def test_the_function_is_not_told(door: FrontDoor) -> None:
    """The orders were for the daemon; all other fields go on."""
    fields = ("X-Delay: 1s", "X-Expires: 1h", "X-Other: stays")
    door.ask("POST", TARGET, *fields)
    (request,) = door.store.requests
    names = {name.lower() for name, _ in request.headers}
    assert not names & {b"x-delay", b"x-expires", b"x-not-before"}
    assert b"x-other" in names


def test_a_synchronous_call_has_no_times(door: FrontDoor) -> None:
    """The fields mean nothing there, and go on as any others."""
    door.ask("POST", "/function/f", "X-Delay: 10m")
    (run,) = door.runs
    assert (b"X-Delay", b"10m") in run.invocation.headers
    run.answers()


def test_a_keyed_call_is_put_off_once(door: FrontDoor) -> None:
    """The second receipt is the first one's."""
    fields = ("Idempotency-Key: one", "X-Delay: 10m")
    first, again = (door.ask("POST", TARGET, *fields).answer() for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    assert again.header("Idempotency-Replayed") == b"true"
    assert first.header("X-Call-Id") == again.header("X-Call-Id")
    assert door.store.delays == [pytest.approx(600)]


@pytest.mark.parametrize(
    ("refusal", "status"), [(NoSchedules("2.12 is needed"), 501), (QueueFull("full"), 503)]
)
def test_a_call_that_cannot_be_put_off_is_refused(
    door: FrontDoor, refusal: Exception, status: int
) -> None:
    """501 with the reason where that will never be possible, 503 where there is no room."""
    door.store.refusal = refusal
    answer = door.ask("POST", TARGET, "X-Delay: 10m").answer()
    assert (answer.status, door.accepted) == (status, [])
    assert str(refusal).encode() in answer.body
