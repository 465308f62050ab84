"""What is paused begins nothing; what a function cannot take is not asked for."""

from __future__ import annotations

from typing import cast

import pytest
from worker_house import BEGAN_NS, LEASE_SECONDS, House, call, result_of

from faasd_async.queue.interface import OfFunction, OfQueue, Source
from faasd_async.settings import RetrySettings
from faasd_async.worker import lane
from faasd_async.worker.worker import Worker

F, G = OfFunction("f"), OfFunction("g")
DEFAULT = OfQueue("default")
SOON = RetrySettings(attempts=5, min_wait_seconds=4, backoff="exponential")


def worker(house: House) -> Worker:
    return cast(Worker, house.worker)


def pause(house: House, *sources: Source) -> None:
    for source in sources:
        result_of(house.queue.pauses.pause(source))


def resume(house: House, *sources: Source) -> None:
    for source in sources:
        result_of(house.queue.pauses.resume(source))


def purge(house: House, source: Source) -> int:
    begun = worker(house).recall(source)
    return result_of(house.queue.backlog.purge(source)) - len(begun)


def waiting(house: House, source: Source = F) -> int:
    (depth,) = result_of(house.queue.backlog.depths([source]))
    return depth.waiting


# -- paused


@pytest.mark.parametrize("source", [F, DEFAULT])
@pytest.mark.parametrize("static", [False, True])
def test_nothing_of_what_is_paused_begins(house: House, source: Source, static: bool) -> None:
    """In either mode; when it is resumed all of it does."""
    house.static = static
    house.starts(f={})
    pause(house, source)
    house.puts("1", "2")
    assert house.ids == []
    resume(house, source)
    house.passes(0)
    assert house.ids == ["1", "2"]


def test_what_was_paused_before_a_start(house: House) -> None:
    """The worker asks for nothing from its first moment on."""
    pause(house, F)
    house.starts(f={})
    house.puts("1")
    assert house.ids == []
    assert house.left() == ["1"]


def test_what_runs_goes_on(house: House) -> None:
    """A pause is for what has not begun."""
    house.starts(f={})
    house.puts("1")
    pause(house, F)
    house.invoked[0].answers()
    assert house.diary.pages == ["terminal record", "barrier", "settled"]


def test_others_go_on(house: House) -> None:
    """Functions beside a paused one, queues beside a paused one."""
    house.starts(f={}, g={}, h={"queue": "other"})
    pause(house, F)
    house.puts("1")
    house.puts("2", function="g")
    pause(house, DEFAULT)
    house.puts("3", function="g")
    house.puts("4", function="h", queue="other")
    assert house.ids == ["2", "4"]


def test_a_queue_that_is_resumed_has_functions_that_are_not(house: House) -> None:
    """Each has a pause of its own."""
    house.starts(f={}, g={})
    pause(house, F, DEFAULT)
    house.puts("1")
    house.puts("2", function="g")
    resume(house, DEFAULT)
    assert house.ids == ["2"]


def test_a_call_that_waits_in_hand_is_given_back(house: House) -> None:
    """It found its token gone; when it has it the function is paused. It was no attempt."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    pause(house, DEFAULT)
    house.invoked[0].answers()
    assert house.ids == ["1"]
    notes = house.notes("2")
    assert notes is not None
    assert (notes.attempts, notes.deliveries) == ((), 1)
    house.passes(LEASE_SECONDS * 2)
    resume(house, DEFAULT)
    assert house.ids == ["1", "2"]
    assert house.invoked[1].attempt == 1


def test_a_retry_is_not_tried_while_its_function_is_paused(house: House) -> None:
    """Its time passes, and it waits like the others."""
    house.starts(f={"retry": SOON})
    house.puts("1")
    pause(house, F)
    house.invoked[0].answers(503)
    house.passes(60)
    assert house.ids == ["1"]
    resume(house, F)
    house.passes(0)
    assert house.ids == ["1", "1"]


def test_a_call_of_a_paused_queue_waits_whatever_queue_its_function_is_in_now(house: House) -> None:
    """It was accepted into that one; those of the new one go past it."""
    house.starts(f={"queue": "new"})
    pause(house, OfQueue("old"))
    house.puts(call("1", queue="old"), call("2", queue="new"))
    assert house.ids == ["2"]
    resume(house, OfQueue("old"))
    house.passes(0)
    assert house.ids == ["2", "1"]


# -- first come, first served


def test_in_static_mode_a_paused_function_is_not_in_the_way(house: House) -> None:
    """The others begin in their order; its own do when it is resumed, in theirs."""
    house.static = True
    house.max_inflight = 1
    house.starts(f={}, g={})
    pause(house, F)
    house.puts("1")
    house.puts("2", function="g")
    house.puts("3")
    house.puts("4", "5", function="g")
    house.invoked[0].answers()
    house.passes(LEASE_SECONDS * 2)
    resume(house, F)
    house.passes(0)
    for number in range(1, 5):
        house.invoked[number].answers()
    assert house.ids == ["2", "4", "5", "1", "3"]
    assert [each.attempt for each in house.invoked] == [1] * 5


def test_in_static_mode_retries_do_not_change_the_order_of_first_starts(house: House) -> None:
    """A call that is tried again lets those behind it begin meanwhile."""
    house.static = True
    house.max_inflight = 1
    house.starts(f={"retry": SOON}, g={})
    pause(house, G)
    house.puts("1")
    house.puts("2", function="g")
    house.puts("3", "4")
    house.invoked[0].answers(503)
    house.invoked[1].answers()
    house.invoked[2].answers()
    house.passes(4)
    house.invoked[3].answers()
    assert house.ids == ["1", "3", "4", "1"]


def test_what_stands_aside_is_held_without_its_body(house: House) -> None:
    """It comes whole when it goes on."""
    house.static = True
    house.starts(f={})
    pause(house, F)
    house.puts(call("1", body=b"a body"))
    (held,) = [each for one in worker(house)._lanes for each in one.aside.values()]
    assert held.parcel.body == b""
    resume(house, F)
    house.passes(0)
    assert house.invoked[0].invocation.body == b"a body"


def test_what_stands_aside_goes_back_when_the_worker_stops(house: House) -> None:
    """Nobody waits for it."""
    house.static = True
    house.starts(f={})
    pause(house, F)
    house.puts("1")
    worker(house).stop_taking()
    assert worker(house).when_idle().called
    house.passes(0)
    assert house.left() == ["1"]


def test_what_stands_aside_has_a_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past it the queue stands still, and the log says why; then it goes on."""
    monkeypatch.setattr(lane, "MOST_ASIDE", 2)
    monkeypatch.setattr("faasd_async.worker.aside.MOST_ASIDE", 2)
    house.static = True
    house.starts(f={}, g={})
    pause(house, F)
    house.puts("1", "2", "3")
    house.puts("4", function="g")
    assert house.ids == []
    assert [each["count"] for each in house.events if "stands still" in each["log_format"]] == [2]
    resume(house, F)
    house.passes(0)
    assert sorted(house.ids) == ["1", "2", "3", "4"]


# -- purged


def test_a_purge_takes_what_waits(house: House) -> None:
    """And tells how many that were."""
    house.starts(f={"max_inflight": 1}, g={"max_inflight": 1})
    house.puts("1", "2", "3")
    house.puts("4", "5", function="g")
    assert purge(house, F) == 2
    house.invoked[0].answers()
    house.invoked[1].answers()
    assert house.ids == ["1", "4", "5"]
    assert house.ending("2") is None


def test_a_purge_takes_what_is_put_off(house: House) -> None:
    """What waits for its next attempt, for a short time or a long one."""
    house.starts(f={"retry": SOON})
    house.puts("1", "2")
    house.invoked[0].answers(503)
    house.invoked[1].answers(503, headers=[(b"Retry-After", b"100")])
    assert purge(house, F) == 2
    house.passes(200)
    assert house.ids == ["1", "2"]


def test_what_runs_while_it_is_purged_comes_to_its_end(house: House) -> None:
    """It is recorded like any other."""
    house.starts(f={})
    house.puts("1")
    (running,) = worker(house).recall(F)
    assert running.key.call_id == "1"
    assert purge(house, F) == 0
    house.invoked[0].answers()
    ending = house.ending("1")
    assert ending is not None
    assert ending.state == "succeeded"


def test_what_runs_while_it_is_purged_is_not_tried_again(house: House) -> None:
    """Its last answer is its end, and goes to its caller; nobody has failed."""
    house.starts(f={"retry": SOON})
    house.puts("1")
    purge(house, F)
    house.invoked[0].answers(503)
    house.passes(60)
    ending = house.ending("1")
    assert ending is not None
    assert (ending.state, ending.outcome.status, ending.reason) == ("cancelled", 503, None)
    assert "dead letter" not in house.diary.pages
    assert house.ids == ["1"]


def test_what_waits_in_hand_while_it_is_purged_does_not_begin(house: House) -> None:
    """It has no token yet."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    assert purge(house, F) == 1
    house.invoked[0].answers()
    house.passes(LEASE_SECONDS * 2)
    assert house.ids == ["1"]


def test_what_stands_aside_is_purged(house: House) -> None:
    """It does not come back, and is in nobody's way."""
    house.static = True
    house.starts(f={}, g={})
    pause(house, F)
    house.puts("1", "2")
    assert purge(house, F) == 2
    resume(house, F)
    house.passes(LEASE_SECONDS * 2)
    house.puts("3", function="g")
    assert house.ids == ["3"]


# -- as much as the function can take


def test_a_function_that_refuses_is_asked_for_less(house: House) -> None:
    """A burst of refusals halves once what may run at a time."""
    house.starts(f={"max_inflight": 8, "retry": SOON})
    house.puts(*(f"{number}" for number in range(8)))
    for each in house.running:
        each.answers(429)
    assert worker(house).widths() == {"f": 4}
    house.passes(4)
    assert len(house.running) == 4
    assert waiting(house) == 0


def test_a_function_that_takes_its_calls_is_asked_for_more_again(house: House) -> None:
    """One more after as many successes as may run at a time."""
    house.starts(f={"max_inflight": 4, "retry": SOON})
    house.puts("1")
    house.invoked[0].answers(429)
    assert worker(house).widths() == {"f": 2}
    house.puts(*(f"{number}" for number in range(10, 16)))
    assert len(house.running) == 2
    house.running[0].answers()
    house.running[0].answers()
    assert worker(house).widths() == {"f": 3}
    assert len(house.running) == 3


def test_other_failures_are_no_matter_of_width(house: House) -> None:
    """A function that fails does not fail less when it is asked for less."""
    house.starts(f={"max_inflight": 4})
    house.puts("1", "2")
    house.invoked[0].answers(500)
    house.invoked[1].answers(404)
    assert worker(house).widths() == {"f": 4}


def test_retry_after_is_for_the_whole_function(house: House) -> None:
    """Nothing of it begins until then, and other functions do."""
    house.starts(f={"retry": SOON}, g={})
    house.puts("1")
    house.invoked[0].answers(429, headers=[(b"Retry-After", b"20")])
    house.puts("2")
    house.puts("3", function="g")
    house.passes(19)
    assert house.ids == ["1", "3"]
    house.passes(1)
    assert sorted(house.ids) == ["1", "1", "2", "3"]


def test_a_longer_retry_after_is_waited_out(house: House) -> None:
    """The longest of those that were said."""
    house.starts(f={"retry": SOON})
    house.puts("1", "2")
    house.invoked[0].answers(503, headers=[(b"Retry-After", b"20")])
    house.invoked[1].answers(503, headers=[(b"Retry-After", b"5")])
    house.puts("3")
    house.passes(19)
    assert house.ids == ["1", "2"]
    house.passes(1)
    assert "3" in house.ids


def test_a_function_with_fixed_concurrency_is_asked_for_as_much_as_ever(house: House) -> None:
    """The operator knows better; its calls wait by themselves."""
    house.starts(f={"max_inflight": 2, "concurrency": "fixed", "retry": SOON})
    house.puts("1", "2", "3", "4")
    house.invoked[0].answers(429, headers=[(b"Retry-After", b"20")])
    house.invoked[1].answers(429)
    assert house.ids == ["1", "2", "3", "4"]
    assert worker(house).widths() == {}


def test_in_static_mode_the_order_counts_more_than_the_width(house: House) -> None:
    """There is no ceiling but what is configured."""
    house.static = True
    house.starts(f={"max_inflight": 2, "retry": SOON})
    house.puts("1", "2", "3")
    house.invoked[0].answers(429)
    assert house.ids == ["1", "2", "3"]
    assert worker(house).widths() == {}


def test_a_ceiling_outlasts_a_change_of_the_function(house: House) -> None:
    """Unless the change is about how many may run."""
    house.starts(f={"max_inflight": 4, "retry": SOON})
    house.puts("1")
    house.invoked[0].answers(429)
    house.deploys(f={"max_inflight": 4, "timeout_seconds": 9.0})
    assert worker(house).widths() == {"f": 2}
    house.deploys(f={"max_inflight": 6})
    assert worker(house).widths() == {"f": 6}


def test_a_stopped_worker_waits_for_no_function(house: House) -> None:
    """No timer of a Retry-After is left."""
    house.starts(f={"retry": SOON})
    house.puts("1")
    house.invoked[0].answers(503, headers=[(b"Retry-After", b"20")])
    worker(house).stop_taking()
    assert house.clock.getDelayedCalls() == []
    assert house.now_ns() == BEGAN_NS
