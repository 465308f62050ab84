"""A queue that does not do as it is asked, and a worker that goes on asking."""

from __future__ import annotations

import pytest
from worker_house import CALLBACK, LEASE_SECONDS, House

from faasd_async.errors import MaybeStored, QueueError, QueueFull, QueueUnavailable
from faasd_async.settings import RetrySettings

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


def test_a_call_goes_back_though_it_cannot_be_noted_what_was_tried(house: House) -> None:
    """Better tried once too often than not at all; the log says so."""
    house.starts(f={"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")})
    house.puts("1")
    house.refuses("note")
    house.invoked[0].answers(503)
    assert house.queue.delays == [4.0]
    assert any(event["log_format"].startswith("cannot note") for event in house.events)
    house.refuses()
    house.passes(4)
    assert house.ids == ["1", "1"]


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


def test_a_call_that_the_worker_always_fails_over_is_given_up(house: House) -> None:
    """It counts as a crash, and there are three."""
    house.starts(f={})
    house.puts("1")
    for number in range(3):
        house.invoked[number].fails(ZeroDivisionError("a bug"))
        house.passes(30)
    assert len(house.failures()) == 3
    (letter,) = house.dead_letters()
    assert letter.reason == "crashed"
