"""Retries: where a call waits for its next attempt, and what is remembered of it."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
import worker_house
from worker_house import BEGAN_NS, CALLBACK, LEASE_SECONDS, House

from faasd_async.errors import NotHandedOver, QueueFull
from faasd_async.settings import RetrySettings


def retry(**policy: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"min_wait_seconds": 4.0, "backoff": "exponential"}
    return {"retry": RetrySettings(**(given | policy))}


def test_a_retry_waits_in_the_queue(house: House) -> None:
    """It is given back with a delay, and what was tried is noted before."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(503)
    assert house.diary.pages == ["note", "given back"]
    assert house.queue.delays == [4.0]
    house.passes(3.9)
    assert house.ids == ["1"]
    house.passes(0.1)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_clock_that_is_set_back_does_not_stretch_a_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No wait is longer than a day: what seems to be due in a year is due now."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(503)
    monkeypatch.setattr(worker_house, "BEGAN_NS", BEGAN_NS - 365 * 24 * 3600 * 10**9)
    house.passes(4)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_waiting_retry_holds_no_token(house: House) -> None:
    """Another call runs meanwhile."""
    house.starts(f=retry() | {"max_inflight": 1})
    house.puts("1", "2")
    house.invoked[0].answers(503)
    assert house.ids == ["1", "2"]


def test_attempts_are_counted_through_all_waits(house: House) -> None:
    """Each is told its number, and the wait doubles."""
    house.starts(f=retry())
    house.puts("1")
    for number in range(3):
        house.invoked[number].answers(429)
        house.passes(house.queue.delays[number])
    assert [each.attempt for each in house.invoked] == [1, 2, 3, 4]
    assert house.queue.delays == [4.0, 8.0, 16.0]


@pytest.mark.parametrize(("asked", "attempts"), [(1, 1), (2, 2), (9, 3)])
def test_a_caller_wants_a_call_tried_less_often(house: House, asked: int, attempts: int) -> None:
    """It ends as dead after that; its callback is told how often it could have been tried."""
    house.starts(f=retry(attempts=3))
    house.puts("1", max_attempts=asked, callback=CALLBACK)
    for number in range(attempts):
        house.invoked[number].answers(503)
        house.passes(60)
    assert [each.attempt for each in house.invoked] == [*range(1, attempts + 1)]
    assert house.watch.ends == [("1", "dead", "exhausted", True)]
    (told,) = house.callbacks()
    assert (b"X-Retry-Max", b"%d" % (attempts - 1)) in told.headers


@pytest.mark.parametrize(
    ("seconds", "way"), [(LEASE_SECONDS, "given back"), (LEASE_SECONDS + 1, "put off")]
)
def test_a_wait_longer_than_a_lease_is_put_off(house: House, seconds: float, way: str) -> None:
    """A shorter one is given back."""
    house.starts(f=retry(min_wait_seconds=seconds))
    house.puts("1")
    house.invoked[0].answers(503)
    assert way in house.diary.pages
    house.passes(seconds - 0.5)
    assert house.ids == ["1"]
    house.passes(0.5)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_call_is_settled_after_it_was_put_off(house: House) -> None:
    """Not before, or a crash would lose it."""
    house.starts(f=retry(min_wait_seconds=100))
    house.puts("1")
    house.invoked[0].answers(503)
    assert house.diary.pages == ["put off", "settled"]
    assert house.left() == []


def test_what_was_put_off_carries_its_history_along(house: House) -> None:
    """Though the queue takes it for a new message."""
    house.starts(f=retry(min_wait_seconds=40, max_wait_seconds=60, attempts=3))
    house.puts("1")
    for number in range(3):
        house.invoked[number].answers(503, body=b"no")
        house.passes(60)
    assert [each.attempt for each in house.invoked] == [1, 2, 3]
    (letter,) = house.dead_letters()
    assert letter.reason == "exhausted"
    assert [each.status for each in letter.request.history.attempts] == [503] * 3


def test_short_and_long_waits_follow_one_another(house: House) -> None:
    """What was noted before a call was put off does not stand over what it carries."""
    house.starts(f=retry(min_wait_seconds=1))
    house.puts("1")
    for number, asked in enumerate((5, 40, 6, 7)):
        house.invoked[number].answers(503, [(b"Retry-After", b"%d" % asked)])
        house.passes(asked)
    assert [each.attempt for each in house.invoked] == [1, 2, 3, 4, 5]
    house.invoked[-1].answers()
    ending = house.ending()
    assert ending is not None
    assert ending.history.crashes == 0


def test_a_call_that_cannot_be_put_off_waits_a_lease_at_a_time(house: House) -> None:
    """There is no room for it elsewhere; it is not invoked before its time."""
    house.starts(f=retry(min_wait_seconds=100))
    house.refuses("put off", reason=QueueFull("too many wait"))
    house.puts("1")
    house.invoked[0].answers(503)
    house.passes(99)
    assert house.ids == ["1"]
    assert house.queue.delays == [30.0, 30.0, 30.0, 10.0]
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_call_that_comes_before_its_time_goes_back_for_the_rest(house: House) -> None:
    """A broker forgets its delays when it is restarted."""
    house.starts(f=retry(min_wait_seconds=20))
    house.puts("1")
    house.queue_clock.advance(0)
    house.queue.keeps_delays = False
    house.invoked[0].answers(503)
    house.clock.advance(5)
    house.queue.keeps_delays = True
    house.queue_clock.advance(0)
    assert house.ids == ["1"]
    assert house.queue.delays == [20.0, 15.0]
    house.passes(15)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_clock_that_is_set_back_makes_no_wait_longer(house: House) -> None:
    """By an hour, while a call waits for its next attempt: the broker has measured the wait."""
    house.starts(f=retry(min_wait_seconds=20))
    house.puts("1")
    house.invoked[0].answers(503)
    house.set_back_seconds = 3600
    house.passes(20)
    assert [each.attempt for each in house.invoked] == [1, 2]


@pytest.mark.parametrize(
    "asked", [b"17", formatdate(BEGAN_NS / 1e9 + 17, usegmt=True).encode()], ids=str
)
def test_a_function_may_say_when_to_come_again(house: House, asked: bytes) -> None:
    """``Retry-After``, in any case, seconds or date."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(503, [(b"retry-AFTER", asked)])
    assert house.queue.delays == [17.0]


@pytest.mark.parametrize(
    "asked",
    [
        b"Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        b"Mon, 99999999999999999999999 Jan 2024 00:00:00 GMT",
    ],
    ids=["zone", "day"],
)
def test_a_function_that_asks_for_no_time_is_tried_again_all_the_same(
    house: House, asked: bytes
) -> None:
    """After the wait that there would have been without."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(503, [(b"Retry-After", asked)])
    assert house.failures() == []
    assert house.queue.delays == [4.0]


@pytest.mark.parametrize("status", [200, 301, 399, 400, 404, 500, 502, 504])
def test_other_answers_are_final(house: House, status: int) -> None:
    """The call may have had effects."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(status)
    ending = house.ending()
    assert ending is not None
    assert (ending.state, ending.reason) == (
        ("succeeded", None) if status < 400 else ("failed", "failed")
    )
    assert house.left() == []


def test_retries_come_to_an_end(house: House) -> None:
    """The last answer is the outcome; the call is a dead letter, whole, with each attempt."""
    house.starts(f=retry(attempts=2))
    house.puts("1", body=b"to do")
    house.invoked[0].answers(429)
    house.passes(4)
    house.invoked[1].answers(503, body=b"never")
    ending = house.ending()
    assert ending is not None
    assert (ending.state, ending.reason, ending.outcome.body) == ("dead", "exhausted", b"never")
    (letter,) = house.dead_letters()
    assert (letter.request.body, letter.status, letter.error) == (b"to do", 503, "")
    assert [each.status for each in letter.request.history.attempts] == [429, 503]


def test_each_answer_is_told_with_its_number(house: House) -> None:
    """To whoever watches."""
    house.starts(f=retry())
    house.puts("1")
    house.invoked[0].answers(503)
    house.passes(4)
    house.invoked[1].answers(200)
    assert house.watch.attempts == [("1", 503, 1), ("1", 200, 2)]
    assert house.watch.ends == [("1", "succeeded", None, False)]


def test_a_call_that_could_not_be_handed_over_has_not_been_tried(house: House) -> None:
    """It comes again and no attempt is counted, however often; whoever watches is told why."""
    house.starts(f=retry(attempts=1))
    house.puts("1")
    for number in range(8):
        house.invoked[number].fails(NotHandedOver("refused"))
        house.passes(LEASE_SECONDS)
    assert {each.attempt for each in house.invoked} == {1}
    assert house.watch.attempts == []
    assert {told[:2] for told in house.watch.given_back_calls} == {("1", "refused")}
    house.invoked[8].answers()
    ending = house.ending()
    assert ending is not None
    assert (ending.history.crashes, len(ending.history.attempts)) == (0, 1)


def test_handing_over_is_tried_less_and_less_often(house: House) -> None:
    """From a second up to half a minute, of which chance takes no more than half."""
    house.starts(f={})
    house.puts("1")
    for number in range(8):
        house.invoked[number].fails(NotHandedOver("refused"))
        house.passes(LEASE_SECONDS)
    for delay, longest in zip(house.queue.delays, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert longest / 2 <= delay <= longest
