"""Tokens: how many calls run at a time, and that nothing is asked for without."""

from __future__ import annotations

import pytest
from worker_house import LEASE_SECONDS, House, call, result_of

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.request import Outcome
from faasd_async.settings import ResultSettings


def test_no_more_of_a_function_run_than_it_may(house: House) -> None:
    """The next begins as one ends."""
    house.starts(f={"max_inflight": 2})
    house.puts("1", "2", "3", "4")
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    assert house.ids == ["1", "2", "3"]
    assert len(house.running) == 2


def test_no_more_run_in_all_than_may(house: House) -> None:
    """Whatever they are for."""
    house.max_inflight = 3
    house.starts(f={"max_inflight": 2}, g={"max_inflight": 2})
    house.puts("1", "2", "3")
    house.puts("4", "5", "6", function="g")
    assert house.ids == ["1", "2", "4"]
    house.invoked[2].answers()
    assert house.ids == ["1", "2", "4", "5"]
    house.invoked[0].answers()
    assert len(house.running) == 3


def test_a_token_of_the_daemons_is_for_whoever_comes_next(house: House) -> None:
    """Also for a function other than the one that gave it back."""
    house.max_inflight = 1
    house.starts(f={}, g={})
    house.puts("1")
    house.puts("2", function="g")
    assert house.ids == ["1"]
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]


def test_functions_do_not_hold_each_other_up(house: House) -> None:
    """One that is full leaves the daemon's other tokens to the others."""
    house.max_inflight = 3
    house.starts(f={"max_inflight": 1}, g={})
    house.puts("1", "2", "3")
    house.puts("4", "5", function="g")
    assert house.ids == ["1", "4", "5"]


@pytest.mark.parametrize("most", [{"f": 2, "all": 100}, {"f": 100, "all": 2}])
def test_nothing_is_asked_for_without_a_token(house: House, most: dict[str, int]) -> None:
    """What could not run is left to others that take from the queue."""
    house.max_inflight = most["all"]
    house.starts(f={"max_inflight": most["f"]})
    house.puts("1", "2", "3", "4")
    assert house.left() == ["3", "4"]
    for each in house.running:
        each.answers()
    assert house.ids == ["1", "2"]


def test_a_synchronous_caller_takes_up_room(house: House) -> None:
    """While it holds the only token nothing is asked for; when it is back the next call runs."""
    house.starts(f={"max_inflight": 1})
    result_of(house.deployment().tokens.acquire())
    house.puts("1")
    assert house.ids == []
    house.deployment().release()
    assert house.ids == ["1"]


def test_a_call_that_finds_its_token_gone_waits_with_its_lease_extended(house: House) -> None:
    """It is not delivered again meanwhile, and runs once when its turn has come."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    house.passes(LEASE_SECONDS * 3)
    assert house.ids == ["1"]
    house.invoked[0].answers()
    assert [(each.call_id, each.attempt) for each in house.invoked] == [("1", 1), ("2", 1)]
    assert {number for _, number in house.queue.extended} == {1}


def test_a_call_that_waits_for_its_function_takes_no_token_of_the_daemons(house: House) -> None:
    """The deployment's comes first: a call from another queue runs past it."""
    house.static = True
    house.max_inflight = 2
    house.starts(f={"max_inflight": 1}, g={"queue": "other"})
    house.puts("1", "2")
    house.puts("3", function="g", queue="other")
    assert house.ids == ["1", "3"]


def test_a_call_that_waits_for_the_daemon_holds_its_functions_token(house: House) -> None:
    """The deployment's comes first: a synchronous caller does not overtake the call."""
    house.starts_with_one_that_waits_for_the_daemon()
    assert house.ids == ["1"]
    assert house.deployment("g").free == 0
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]


def test_a_waiting_call_counts_as_one_that_will_run(house: House) -> None:
    """No call is asked for whose place is taken by one that waits already."""
    house.static = True
    house.max_inflight = 2
    house.starts(f={"max_inflight": 1}, g={})
    house.puts("1", "2")
    house.puts("3", function="g")
    assert house.ids == ["1"]
    assert house.left("g") == ["3"]


def test_a_call_is_not_over_before_its_end_is_written_down(house: House) -> None:
    """A queue that cannot be written to stops the taking by itself."""
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    house.refuses("terminal record")
    house.invoked[0].answers()
    house.passes(60)
    assert house.ids == ["1"]
    house.refuses()
    house.passes(1)
    assert house.ids == ["1", "2"]


@pytest.mark.parametrize("static", [False, True])
def test_a_call_that_needed_no_token_leaves_its_room_to_the_next(
    house: House, static: bool
) -> None:
    """It had ended before: when that is known the lane asks for another."""
    house.static = static
    house.queue.inherited = True
    house.diary.slow.add("look for an end")
    ended = Ending("succeeded", Outcome(200, (), b"", 0.5), History(), 1)
    records = house.queue.records.part
    assert result_of(records.record_ending(call("1"), ended, ResultSettings()))
    house.max_inflight = 1
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    house.diary.go_on()
    house.diary.go_on()
    assert house.ids == ["2"]


def test_a_call_that_could_not_begin_leaves_its_room_to_the_next(house: House) -> None:
    """Its function is not deployed."""
    house.static = True
    house.max_inflight = 1
    house.queue.inherited = True
    house.diary.slow.add("look for an end")
    house.starts(g={})
    house.puts(call("1"), call("2", "g"))
    house.diary.go_on()
    house.diary.go_on()
    assert house.ids == ["2"]


def test_in_static_mode_calls_begin_in_the_order_of_their_queue(house: House) -> None:
    """Whatever functions they are for, as long as they are first tried."""
    house.static = True
    house.max_inflight = 1
    house.starts(f={}, g={})
    expected = []
    for number in range(9):
        function = "fg"[number % 3 == 0]
        house.puts(call(f"{number}", function))
        expected.append((function, f"{number}"))
    for number in range(9):
        house.invoked[number].answers()
    begun = [(each.invocation.function, each.call_id) for each in house.invoked]
    assert begun == expected


def test_a_call_runs_whatever_queue_its_function_is_in_now(house: House) -> None:
    """In function mode it is the function that calls are taken by."""
    house.starts(f={"queue": "new"})
    house.puts(call("1", queue="old"), call("2", queue="new"))
    assert house.ids == ["1", "2"]
