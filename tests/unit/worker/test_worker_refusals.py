"""A queue that does not do as it is asked, and a worker that goes on asking."""

from __future__ import annotations

import pytest
from worker_house import CALLBACK, LEASE_SECONDS, House

from faasd_async.call.history import FAILED_INSIDE
from faasd_async.errors import (
    MaybeStored,
    NotHandedOver,
    QueueError,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.settings import RetrySettings
from faasd_async.worker.ends import MOST_CRASHES

REFUSALS = [QueueUnavailable("away"), QueueFull("full"), MaybeStored("no answer")]


@pytest.mark.parametrize("reason", REFUSALS, ids=repr)
@pytest.mark.parametrize("step", ["terminal record", "callback", "dead letter", "barrier"])
def test_an_end_is_written_however_long_it_takes(
    house: House, step: str, reason: QueueError
) -> None:
    """Asked again each second: the function runs once, and nothing is settled before."""
    house.starts(f={})
    house.puts("1", callback=CALLBACK)
    house.refuses(step, reason=reason)
    house.invoked[0].answers(500)
    house.passes(LEASE_SECONDS * 3)
    assert house.diary.pages.count(step) == LEASE_SECONDS * 3 + 1
    assert "settled" not in house.diary.pages
    house.refuses()
    house.passes(1)
    assert house.diary.pages[-1] == "settled"
    assert house.ids == ["1"]
    assert len(house.dead_letters()) == 1
    assert house.ending() is not None


def test_a_call_whose_end_cannot_be_written_stays_in_hand(house: House) -> None:
    """Its lease is extended, so it is not delivered again."""
    house.starts(f={})
    house.puts("1")
    house.refuses("terminal record")
    house.invoked[0].answers()
    house.passes(LEASE_SECONDS * 3)
    assert {number for _, number in house.queue.extended} == {1}


@pytest.mark.parametrize("step", ["terminal record", "callback", "dead letter"])
def test_a_step_that_was_taken_without_an_answer(house: House, step: str) -> None:
    """It is taken once more, and counts once."""
    house.starts(f={})
    house.puts("1", callback=CALLBACK)
    house.diary.lost_answers[step] = MaybeStored("no answer")
    house.invoked[0].answers(500, body=b"no")
    house.passes(1)
    assert house.diary.pages[-1] == "settled"
    ending = house.ending()
    assert ending is not None
    assert ending.outcome.body == b"no"
    assert len(house.dead_letters()) == 1
    assert house.callbacks()


@pytest.mark.parametrize("step", ["look for an end", "look for notes"])
def test_nothing_is_invoked_while_nobody_knows_whether_it_has_ended(
    house: House, step: str
) -> None:
    """The look-up is asked for again, each second."""
    house.queue.inherited = True
    house.starts(f={})
    house.refuses(step)
    house.puts("1")
    house.passes(LEASE_SECONDS * 2)
    assert house.ids == []
    house.refuses()
    house.passes(1)
    assert house.ids == ["1"]


def test_an_end_that_is_found_is_completed_however_long_it_takes(house: House) -> None:
    """And the function does not run meanwhile."""
    house.starts(f={})
    house.puts("1", callback=CALLBACK)
    house.diary.slow.add("barrier")
    house.invoked[0].answers()
    house.diary.slow.clear()
    assert len(house.callbacks()) == 1
    house.refuses("callback")
    house.crashes()
    house.passes(10)
    assert house.callbacks() == []
    house.refuses()
    house.passes(1)
    assert house.ids == ["1"]
    assert len(house.callbacks()) == 1
    assert house.left() == []


def test_a_retry_is_put_off_however_long_it_takes(house: House) -> None:
    """A refusal that is not for want of room is not taken for an answer."""
    policy = RetrySettings(min_wait_seconds=100, backoff="exponential")
    house.starts(f={"retry": policy})
    house.puts("1")
    house.refuses("put off")
    house.invoked[0].answers(503)
    house.passes(LEASE_SECONDS * 2)
    assert "settled" not in house.diary.pages
    house.refuses()
    house.passes(1)
    assert house.diary.pages[-2:] == ["put off", "settled"]


def test_what_was_tried_is_noted_however_long_it_takes(house: House) -> None:
    """A broker that cannot write just now forgets no attempt; the wait goes on meanwhile."""
    house.starts(f={"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")})
    house.puts("1")
    house.refuses("note")
    house.invoked[0].answers(503)
    house.passes(3)
    assert house.queue.delays == []
    house.refuses()
    house.passes(1)
    assert house.queue.delays == [0.0]
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_call_that_was_not_tried_goes_back_though_that_cannot_be_noted(house: House) -> None:
    """The log says so."""
    house.starts(f={})
    house.puts("1")
    house.refuses("note")
    house.invoked[0].fails(NotHandedOver("refused"))
    assert len(house.queue.delays) == 1
    assert any(event["log_format"].startswith("cannot note") for event in house.events)
    house.refuses()
    house.passes(1)
    assert house.ids == ["1", "1"]


def test_a_broker_that_is_away_is_told_of_now_and_then(house: House) -> None:
    """However many calls ask it each second: a line for each reason, and another ten seconds
    later."""
    house.starts(f={})
    house.puts(*"12345")
    house.refuses("terminal record")
    for each in house.running:
        each.answers()
    house.passes(15)
    house.refuses("barrier", reason=QueueUnavailable("no disk"))
    house.passes(4)
    told = [event["reason"] for event in house.events if "asked again" in event["log_format"]]
    assert [str(each) for each in told] == ["away", "away", "no disk"]


def test_a_call_that_the_worker_fails_over_is_given_back(house: House) -> None:
    """It is said aloud, tokens and lease are free, and the call comes again half a minute later."""
    house.starts(f={"max_inflight": 1})
    house.puts("1")
    house.invoked[0].fails(ZeroDivisionError("a bug"))
    assert [str(reason) for reason in house.failures()] == ["a bug"]
    assert house.queue.delays == [30.0]
    house.puts("2")
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    house.passes(30)
    assert house.ids == ["1", "2", "1"]


@pytest.mark.parametrize("may_have_crashed", [False, True])
def test_a_call_that_the_worker_always_fails_over_is_given_up(
    house: House, may_have_crashed: bool
) -> None:
    """Each time counts as a crash, once, and there are three."""
    house.may_have_crashed = may_have_crashed
    house.starts(f={})
    house.puts("1")
    for number in range(MOST_CRASHES):
        house.invoked[number].fails(ZeroDivisionError("a bug"))
        house.passes(30)
    assert len(house.failures()) == len(house.invoked) == MOST_CRASHES
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.error) == ("crashed", FAILED_INSIDE)
    history = letter.request.history
    assert (history.crashes, len(history.attempts)) == (MOST_CRASHES, MOST_CRASHES)
    assert house.left() == []


def test_what_the_worker_failed_over_before_is_remembered(house: House) -> None:
    """By the next daemon, and beside the answers that there were."""
    house.may_have_crashed = False
    house.starts(f={"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")})
    house.puts("1")
    house.invoked[0].fails(ZeroDivisionError("a bug"))
    house.stops()
    house.starts()
    house.passes(30)
    house.invoked[1].answers(503)
    house.passes(8)
    house.invoked[2].fails(ZeroDivisionError("a bug"))
    house.passes(30)
    assert [each.attempt for each in house.invoked] == [1, 2, 3, 4]
    house.invoked[3].fails(ZeroDivisionError("a bug"))
    (letter,) = house.dead_letters()
    assert [each.status for each in letter.request.history.attempts] == [0, 503, 0, 0]
    assert len(house.failures()) == 3


def test_a_call_that_cannot_be_looked_up_is_given_up(house: House) -> None:
    """A bug in reading what is known of it is one like any other."""
    house.may_have_crashed = False
    house.queue.inherited = True
    house.diary.refusals["look for an end"] = ZeroDivisionError("a bug")  # type: ignore[assignment]
    house.starts(f={})
    house.puts("1")
    house.passes(90)
    assert house.ids == []
    assert len(house.failures()) == MOST_CRASHES
    assert [each.reason for each in house.dead_letters()] == ["crashed"]
