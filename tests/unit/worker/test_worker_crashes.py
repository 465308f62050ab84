"""What a daemon finds that comes after another: nothing is forgotten, little is done twice."""

from __future__ import annotations

from typing import Any

import pytest
from worker_house import BEGAN_NS, CALLBACK, LEASE_SECONDS, House, call, result_of

from faasd_async.call.ending import Ending
from faasd_async.call.history import CRASHED, Attempt, History
from faasd_async.call.request import Outcome
from faasd_async.errors import NotHandedOver
from faasd_async.queue.interface import OfFunction
from faasd_async.settings import ResultSettings, RetrySettings
from faasd_async.worker.ends import MOST_CRASHES

RETRY: dict[str, Any] = {"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")}
_ANY = OfFunction("f")
ENDED = Ending("succeeded", Outcome(200, (), b"done", 0.5), History(), BEGAN_NS)


def was_ended(house: House, ending: Ending = ENDED) -> None:
    """Somebody has written the end of call 1 down, and did not come to settle it."""
    records = house.queue.records.part
    assert result_of(records.record_ending(call("1"), ending, ResultSettings()))


def test_a_crash_counts_as_an_attempt(house: House) -> None:
    """The call may have had effects: the function is told that it is not the first."""
    house.starts(f={})
    house.puts("1")
    house.crashes()
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_crash_stands_in_the_history(house: House) -> None:
    """At a time that nobody knows, with a reason in place of an answer."""
    house.starts(f={})
    house.puts("1")
    house.crashes()
    house.invoked[1].answers()
    ending = house.ending()
    assert ending is not None
    crashed, succeeded = ending.history.attempts
    assert crashed == Attempt(0, 0, 0.0, CRASHED)
    assert (succeeded.status, ending.history.crashes) == (200, 1)


def test_a_call_that_takes_the_daemon_down_is_given_up(house: House) -> None:
    """After three times it is not run again: a dead letter, whose callback says so."""
    house.starts(f={})
    house.puts("1", callback=CALLBACK, body=b"poison")
    for _ in range(MOST_CRASHES):
        house.crashes()
    assert [each.attempt for each in house.invoked] == [1, 2, 3]
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.status, letter.error) == ("crashed", 502, CRASHED)
    assert (letter.request.body, letter.request.history.crashes) == (b"poison", 3)
    (told,) = house.callbacks()
    assert (b"X-Function-Status", b"502") in told.headers
    assert house.left() == []


def test_a_call_that_only_waited_in_a_daemon_that_crashed_is_counted_too(house: House) -> None:
    """Nobody is left who knows that it had not begun."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    house.crashes()
    running = {each.call_id: each.attempt for each in house.invoked}
    assert running == {"1": 2}
    house.invoked[-1].answers()
    assert (house.invoked[-1].call_id, house.invoked[-1].attempt) == ("2", 2)


def test_a_crash_counts_once_however_often_its_call_was_handed_out(house: House) -> None:
    """Deliveries may be lost on their way, to nobody."""
    house.starts(f={})
    house.puts("1")
    house.queue.hears_extensions = False
    house.passes(LEASE_SECONDS * 3)
    house.queue.hears_extensions = True
    house.crashes()
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_delivery_that_was_lost_on_its_way_is_no_attempt(house: House) -> None:
    """Where nobody can have crashed it was in nobody's hands, however often."""
    house.may_have_crashed = False
    house.puts("1")
    for _ in range(MOST_CRASHES + 1):
        house.queue.part.take_calls(_ANY, lambda _: None, lambda: 1).stop()
        house.passes(LEASE_SECONDS)
    house.starts(f={})
    assert [each.attempt for each in house.invoked] == [1]
    house.invoked[0].answers()
    ending = house.ending()
    assert ending is not None
    assert (ending.history.crashes, len(ending.history.attempts)) == (0, 1)


def test_a_crash_is_noted_before_the_next_attempt(house: House) -> None:
    """Or the one after it would not know of both."""
    house.starts(f={})
    house.puts("1")
    house.diary.slow.add("note")
    house.crashes()
    assert house.ids == ["1"]
    house.diary.slow.clear()
    house.diary.go_on()
    assert [each.attempt for each in house.invoked] == [1, 2]
    notes = house.notes()
    assert notes is not None
    assert (notes.crashes, notes.deliveries) == (1, 1)


def test_a_stop_counts_as_nothing(house: House) -> None:
    """What was given back comes again as if it had not been tried."""
    house.starts(f={})
    house.puts("1")
    for _ in range(MOST_CRASHES + 1):
        house.stops()
        house.starts()
        house.passes(1)
    assert {each.attempt for each in house.invoked} == {1}
    assert house.dead_letters() == []


def test_retries_and_crashes_are_counted_together(house: House) -> None:
    """An answer, a crash, an answer: three attempts, one crash."""
    house.starts(f=RETRY)
    house.puts("1")
    house.invoked[0].answers(503)
    house.passes(4)
    house.crashes()
    assert [each.attempt for each in house.invoked] == [1, 2, 3]
    house.invoked[2].answers()
    ending = house.ending()
    assert ending is not None
    assert [each.status for each in ending.history.attempts] == [503, 0, 200]
    assert ending.history.crashes == 1


def test_a_crash_after_a_call_was_put_off_is_counted(house: House) -> None:
    """The queue counts its deliveries from one again, and so do we."""
    house.starts(f=RETRY)
    house.puts("1")
    for number, asked in enumerate((5, LEASE_SECONDS + 10)):
        house.invoked[number].answers(503, [(b"Retry-After", b"%d" % asked)])
        house.passes(asked)
    house.crashes()
    assert [each.attempt for each in house.invoked] == [1, 2, 3, 4]


@pytest.mark.parametrize("between", ["a stop", "not handed over", "a retry"])
def test_crashes_add_up_over_what_came_between(house: House, between: str) -> None:
    """Each is counted once, and the third is the last."""
    house.starts(f=RETRY)
    house.puts("1")
    for crashes in range(1, MOST_CRASHES + 1):
        house.crashes()
        if crashes == MOST_CRASHES:
            break
        match between:
            case "a stop":
                house.stops()
                house.starts()
            case "not handed over":
                house.invoked[-1].fails(NotHandedOver("refused"))
            case "a retry":
                house.invoked[-1].answers(503, [(b"Retry-After", b"4")])
        house.passes(LEASE_SECONDS)
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.request.history.crashes) == ("crashed", MOST_CRASHES)


def test_a_new_call_is_not_looked_up(house: House) -> None:
    """Nothing is known of what comes for the first time."""
    house.starts(f={})
    house.puts("1")
    assert house.diary.pages == []


@pytest.mark.parametrize("why", ["delivered before", "inherited", "tried before"])
def test_a_call_that_may_have_been_here_is_looked_up(house: House, why: str) -> None:
    """In the hands of a daemon that is gone, or of another: before it is invoked."""
    house.queue.inherited = why == "inherited"
    if why == "delivered before":
        house.puts("1")
        house.queue.part.take_calls(_ANY, lambda _: None, lambda: 1).stop()
        house.passes(LEASE_SECONDS)
    history = History((Attempt(1, 503, 0.1),)) if why == "tried before" else History()
    house.starts(f={})
    if why != "delivered before":
        house.puts("1", history=history)
    assert house.diary.pages[:2] == ["look for an end", "look for notes"]
    assert house.ids == ["1"]


def test_a_call_that_has_ended_is_not_invoked(house: House) -> None:
    """What may be missing is written down once more, and it is settled."""
    was_ended(house)
    house.queue.inherited = True
    house.starts(f={})
    house.puts("1", callback=CALLBACK)
    assert house.ids == []
    assert house.diary.pages == ["look for an end", "callback", "barrier", "settled"]
    (told,) = house.callbacks()
    assert told.body == b"done"
    assert house.left() == []


def test_the_dead_letter_of_a_call_that_has_ended_is_completed(house: House) -> None:
    """Its daemon may have crashed between the record and the letter."""
    died = Ending("dead", Outcome(503, (), b"", 0.5), History(), BEGAN_NS, "exhausted")
    was_ended(house, died)
    house.queue.inherited = True
    house.starts(f={})
    house.puts("1", body=b"whole")
    (letter,) = house.dead_letters()
    assert (letter.reason, letter.status, letter.request.body) == ("exhausted", 503, b"whole")


def test_a_call_that_has_ended_is_completed_though_its_function_is_gone(house: House) -> None:
    """It needs no function any more."""
    was_ended(house, Ending("failed", Outcome(500, (), b"", 0.5), History(), BEGAN_NS, "failed"))
    house.static = True
    house.queue.inherited = True
    house.starts(g={})
    house.puts("1", callback=CALLBACK)
    assert len(house.callbacks()) == len(house.dead_letters()) == 1
    assert house.left() == []


def test_a_call_that_crashed_with_its_end_written_is_not_run_again(house: House) -> None:
    """A crash between the record and the settlement costs a look-up."""
    house.starts(f={})
    house.puts("1")
    house.refuses("barrier")
    house.invoked[0].answers(200, body=b"done")
    house.refuses()
    house.crashes()
    assert house.ids == ["1"]
    assert house.left() == []


def test_a_call_waits_out_its_time_over_a_crash(house: House) -> None:
    """When the next attempt may begin is noted, not only known."""
    house.starts(f=RETRY)
    house.puts("1")
    house.queue.keeps_delays = False
    house.invoked[0].answers(503, [(b"Retry-After", b"25")])
    house.stops()
    house.queue.keeps_delays = True
    house.starts()
    house.passes(24)
    assert house.ids == ["1"]
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2]
