"""The way of nearly all calls, and what may happen on it that nobody has foreseen."""

from __future__ import annotations

from typing import Any

import pytest
from worker_house import CALLBACK, House, call, result_of

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.request import Outcome
from faasd_async.queue.interface import OfFunction
from faasd_async.settings import ResultSettings

CANCELLED = Ending("cancelled", Outcome(499, (), b"", 0.0), History(), 1)


def breaks(part: Any, name: str) -> None:
    """Have a bug there."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError(name)

    setattr(part, name, broken)


def test_a_function_that_cannot_even_be_invoked(house: House) -> None:
    """A bug there counts as any other: tokens and lease are back, and the call comes again."""
    house.starts(f={"max_inflight": 1})
    breaks(house.deployment(), "invoke_whole")
    house.puts("1")
    assert [str(reason) for reason in house.failures()] == ["invoke_whole"]
    assert house.queue.delays == [30.0]
    assert house.deployment().free == 1


@pytest.mark.parametrize("name", ["attempted", "ended"])
def test_a_watcher_that_fails(house: House, name: str) -> None:
    """It takes no call down with it: this one comes to its end, if only as a dead letter."""
    breaks(house.watch, name)
    house.starts(f={"max_inflight": 1})
    house.puts("1")
    for _ in range(3):
        for each in house.running:
            each.answers()
        house.passes(30)
    assert {str(reason) for reason in house.failures()} == {name}
    assert house.ending() is not None
    assert house.deployment().free == 1
    assert house.left() == []


def test_an_end_that_stands_already(house: House) -> None:
    """Somebody else has written it while the call ran: it is completed, and the call is over."""
    house.starts(f={"max_inflight": 1})
    house.puts("1", callback=CALLBACK)
    records = house.queue.records.part
    request = call("1", callback=CALLBACK)
    assert result_of(records.record_ending(request, CANCELLED, ResultSettings()))
    house.invoked[0].answers(200)
    assert house.diary.pages[-1] == "settled"
    (told,) = house.callbacks()
    assert (b"X-Function-Status", b"499") in told.headers
    ending = house.ending()
    assert ending is not None
    assert ending.state == "cancelled"


def test_a_call_that_finds_others_waiting_waits_behind_them(house: House) -> None:
    """Though it has nothing to look up."""
    house.static = True
    house.starts(f={"max_inflight": 1}, g={})
    house.puts("1", "2", "3")
    house.invoked[0].answers()
    house.puts("4")
    house.invoked[1].answers()
    house.invoked[2].answers()
    assert house.ids == ["1", "2", "3", "4"]
    house.invoked[3].answers()


def test_a_call_that_is_paused_as_it_comes_does_not_begin(house: House) -> None:
    """It was on its way when that was ordered."""
    house.static = True
    house.starts(f={}, g={})
    result_of(house.queue.part.pauses.pause(OfFunction("f")))
    house.puts("1")
    assert house.ids == []
    result_of(house.queue.part.pauses.resume(OfFunction("f")))
    house.passes(1)
    assert house.ids == ["1"]
    house.invoked[0].answers()
