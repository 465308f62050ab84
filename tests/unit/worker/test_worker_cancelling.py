"""Calls that are cancelled while the worker has them, and what it knows of those in hand."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from worker_house import BEGAN_NS, CALLBACK, House, call, result_of

from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import Grip
from faasd_async.call.request import NOT_TRIED, Outcome, QueueRequest
from faasd_async.queue.interface import OfFunction
from faasd_async.settings import RetrySettings

KEY = CallKey("1", "0")


def cancels(house: House, request: QueueRequest) -> None:
    """As a caller does: the end is written, the call is removed, the worker is told."""
    outcome = Outcome(499, (), b"", 0.0, "it was cancelled")
    ending = Ending("cancelled", outcome, NOT_TRIED, house.now_ns())
    assert result_of(Deferred.fromCoroutine(house.settlement.end(request, ending)))
    result_of(house.queue.part.backlog.remove(request))
    assert house.worker is not None
    house.worker.abort(request.key)


def state(house: House, call_id: str = "1") -> str | None:
    ending = house.ending(call_id)
    return None if ending is None else ending.state


def grip(house: House, call_id: str = "1") -> Grip | None:
    assert house.worker is not None
    return house.worker.grip(CallKey(call_id, "0"))


# -- cancelled


def test_a_call_that_runs_is_aborted(house: House) -> None:
    """Its function is let go of, its end stands, and its tokens are there for the next one."""
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    cancels(house, call("1"))
    assert house.invoked[0].aborted
    assert state(house) == "cancelled"
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    house.passes(100.0)
    assert house.ids == ["1", "2"]
    assert house.dead_letters() == []


def test_a_call_in_hand_that_has_not_begun_never_does(house: House) -> None:
    """Whatever it waits for."""
    house.starts(f={})
    looks_slowly(house)
    house.puts("1")
    cancels(house, call("1"))
    house.diary.slow.clear()
    house.diary.go_on()
    assert house.ids == []


def test_nothing_is_noted_of_it(house: House) -> None:
    """It does not come again."""
    house.starts(f={})
    house.puts("1")
    cancels(house, call("1"))
    assert house.notes() is None
    assert "given back" not in house.diary.pages


def test_a_call_that_waits_for_its_next_attempt(house: House) -> None:
    """There is nothing to let go of, and it does not come."""
    house.starts(f={})
    house.puts("1")
    house.invoked[0].answers(503)
    cancels(house, call("1"))
    house.passes(300.0)
    assert house.ids == ["1"]
    assert state(house) == "cancelled"


def test_a_call_that_was_to_be_tried_again_at_that_moment(house: House) -> None:
    """Its wait is written down after it was removed: it comes, and its end is found."""
    house.starts(f={"retry": retry(60.0)})
    house.puts("1")
    house.diary.slow.add("put off")
    house.invoked[0].answers(503)
    outcome = Outcome(499, (), b"", 0.0, "it was cancelled")
    ending = Ending("cancelled", outcome, NOT_TRIED, house.now_ns())
    assert result_of(Deferred.fromCoroutine(house.settlement.end(call("1"), ending)))
    result_of(house.queue.part.backlog.remove(call("1")))
    house.diary.slow.clear()
    house.diary.go_on()
    house.passes(100.0)
    assert house.ids == ["1"]
    assert house.left() == []


def test_a_call_that_was_put_off_and_cancelled_on_its_way_back(house: House) -> None:
    """It comes, for the first time, and its end is found."""
    house.starts(f={})
    request = call("1", not_before_ns=BEGAN_NS)
    outcome = Outcome(499, (), b"", 0.0, "it was cancelled")
    ending = Ending("cancelled", outcome, NOT_TRIED, house.now_ns())
    assert result_of(Deferred.fromCoroutine(house.settlement.end(request, ending)))
    house.puts(request)
    assert house.ids == []
    assert house.left() == []


def looks_slowly(house: House) -> None:
    """Have the worker hold calls that it has to look up first."""
    house.queue.inherited = True
    house.may_have_crashed = False
    house.diary.slow.add("look for an end")


def retry(seconds: float) -> RetrySettings:
    return RetrySettings(min_wait_seconds=seconds, max_wait_seconds=seconds)


def test_a_call_whose_end_is_being_written_has_one_end(house: House) -> None:
    """Whoever was first: the callback is told once."""
    house.starts(f={})
    house.puts(call("1", callback=CALLBACK))
    house.diary.slow.add("barrier")
    house.invoked[0].answers(200)
    assert house.worker is not None
    house.worker.abort(KEY)
    house.diary.slow.clear()
    house.diary.go_on()
    assert state(house) == "succeeded"
    assert len(house.callbacks()) == 1
    house.passes(100.0)
    assert house.ids == ["1"]


def test_a_call_that_stood_aside_is_let_go_of(house: House) -> None:
    """It does not come when its function is resumed."""
    house.static = True
    house.starts(f={}, g={})
    result_of(house.queue.part.pauses.pause(OfFunction("f")))
    house.puts("1", call("2", "g"))
    cancels(house, call("1"))
    result_of(house.queue.part.pauses.resume(OfFunction("f")))
    house.passes(100.0)
    assert house.ids == ["2"]
    house.invoked[0].answers()


def test_to_let_go_of_what_is_not_in_hand(house: House) -> None:
    """Somebody else's."""
    house.starts(f={})
    assert house.worker is not None
    house.worker.abort(KEY)
    assert grip(house) is None


# -- in hand


def test_a_call_that_runs_is_known_by_its_attempt(house: House) -> None:
    """Since when, and what was tried before."""
    house.starts(f={})
    tried = History((Attempt(1, 503, 0.5),))
    house.puts("1", history=tried)
    assert grip(house) == Grip(BEGAN_NS, tried)
    house.invoked[0].answers()
    assert grip(house) is None


def test_a_call_in_hand_may_not_have_begun(house: House) -> None:
    """That is known, too."""
    house.starts(f={})
    looks_slowly(house)
    house.puts("1")
    assert grip(house) == Grip(0, NOT_TRIED)
    house.diary.slow.clear()
    house.diary.go_on()
    assert grip(house) == Grip(BEGAN_NS, NOT_TRIED)
    house.invoked[0].answers()
