"""A worker that stops: what it has in hand comes to its end, or goes back."""

from __future__ import annotations

import pytest
from worker_house import LEASE_SECONDS, House

from faasd_async.errors import NotHandedOver
from faasd_async.settings import RetrySettings
from faasd_async.worker.worker import Worker

RETRY = {"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")}


def worker(house: House) -> Worker:
    assert house.worker is not None
    return house.worker


def test_a_function_that_asks_to_be_left_alone_leaves_no_timer(house: House) -> None:
    """When its answer comes after the worker has stopped to take calls, nothing is opened later."""
    house.starts(f={"concurrency": "adaptive"})
    house.puts("1")
    assert house.worker is not None
    house.worker.stop_taking()
    house.invoked[0].answers(503, ((b"Retry-After", b"50"),))
    assert house.worker.when_idle().called
    assert house.clock.getDelayedCalls() == []


def test_who_stops_taking_takes_nothing_more(house: House) -> None:
    """Though there are tokens, and calls."""
    house.starts(f={"max_inflight": 2})
    house.puts("1", "2", "3")
    worker(house).stop_taking()
    house.invoked[0].answers()
    house.puts("4")
    assert house.ids == ["1", "2"]
    assert house.left() == ["3", "4"]


def test_who_has_stopped_taking_takes_nothing_for_new_functions(house: House) -> None:
    """A deployment at that time opens no lane."""
    house.starts(f={})
    worker(house).stop_taking()
    house.deploys(f={}, g={})
    house.puts("1", function="g")
    assert house.ids == []


def test_what_is_in_hand_goes_on(house: House) -> None:
    """Its lease is extended, its end written down."""
    house.starts(f={})
    house.puts("1")
    worker(house).stop_taking()
    house.passes(LEASE_SECONDS * 2)
    house.invoked[0].answers()
    assert house.diary.pages == ["terminal record", "barrier", "settled"]
    assert house.ids == ["1"]


def test_what_waits_in_hand_goes_back_at_once(house: House) -> None:
    """It has not begun, and does not begin any more when a token comes back; no crash is counted,
    and nobody is told that it was aborted."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2", "3")
    worker(house).stop_taking()
    assert house.diary.pages == ["note", "given back", "note", "given back"]
    house.invoked[0].answers()
    assert worker(house).when_idle().called
    assert worker(house).give_up() == 0
    assert house.ids == ["1"]
    house.starts()
    house.passes(1)
    assert [(each.call_id, each.attempt) for each in house.invoked[1:]] == [("2", 1)]


def test_what_waits_for_the_daemons_token_goes_back_at_once(house: House) -> None:
    """And lets its function's go to nobody who would begin with it."""
    house.starts_with_one_that_waits_for_the_daemon()
    assert house.deployment("g").free == 0
    worker(house).stop_taking()
    assert house.deployment("g").free == 1
    house.invoked[0].answers()
    assert house.ids == ["1"]
    assert worker(house).when_idle().called


def test_a_worker_is_idle_when_the_last_call_is_settled(house: House) -> None:
    """Not when it is answered."""
    house.starts(f={})
    house.puts("1", "2")
    worker(house).stop_taking()
    idle = worker(house).when_idle()
    house.invoked[0].answers()
    house.diary.slow.add("barrier")
    house.invoked[1].answers()
    assert not idle.called
    house.diary.go_on()
    assert idle.called


def test_a_worker_with_nothing_in_hand_is_idle(house: House) -> None:
    """At once."""
    house.starts(f={})
    assert worker(house).when_idle().called


def test_giving_up_aborts_and_gives_back(house: House) -> None:
    """Every call at once; it is told how many they were."""
    house.starts(f={})
    house.puts("1", "2", "3")
    worker(house).stop_taking()
    assert worker(house).give_up() == 3
    assert all(each.aborted for each in house.invoked)
    assert house.queue.delays == [0.0, 0.0, 0.0]
    assert worker(house).when_idle().called
    house.queue_clock.advance(0)
    assert sorted(house.left()) == ["1", "2", "3"]


def test_what_is_given_up_has_not_been_tried(house: House) -> None:
    """Its delivery is accounted for, so that it is not taken for a crash."""
    house.starts(f={})
    house.puts("1")
    house.passes(10)
    worker(house).give_up()
    notes = house.notes()
    assert notes is not None
    assert (notes.attempts, notes.crashes, notes.deliveries) == ((), 0, 1)


def test_what_is_given_up_keeps_its_earlier_attempts(house: House) -> None:
    """The next daemon goes on counting."""
    house.starts(f=RETRY)
    house.puts("1")
    house.invoked[0].answers(503)
    house.passes(4)
    house.stops()
    house.starts()
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2, 2]


def test_giving_up_while_an_end_cannot_be_written(house: House) -> None:
    """The call goes back with the attempt it was, and no timer is left."""
    house.starts(f={})
    house.puts("1")
    house.refuses("terminal record")
    house.invoked[0].answers()
    worker(house).stop_taking()
    assert worker(house).give_up() == 1
    assert house.clock.getDelayedCalls() == []
    notes = house.notes()
    assert notes is not None
    assert [each.status for each in notes.attempts] == [200]


def test_giving_up_while_an_end_is_being_written(house: House) -> None:
    """Whether it is written or not, the next daemon finds out."""
    house.starts(f={})
    house.puts("1")
    house.diary.slow.add("barrier")
    house.invoked[0].answers()
    house.stops()
    house.diary.slow.clear()
    house.starts()
    house.passes(1)
    assert house.ids == ["1"]
    assert house.diary.pages[-1] == "settled"


def test_stopping_while_a_call_is_looked_up(house: House) -> None:
    """It goes back at once, as it came, and no function has seen it."""
    house.queue.inherited = True
    house.diary.slow.add("look for an end")
    house.starts(f={})
    house.puts("1")
    worker(house).stop_taking()
    assert worker(house).when_idle().called
    assert worker(house).give_up() == 0
    house.queue_clock.advance(0)
    assert house.ids == []
    assert house.left() == ["1"]


@pytest.mark.parametrize("slow", ["look for an end", "look for notes"])
def test_stopping_while_a_tried_call_is_looked_up(house: House, slow: str) -> None:
    """What was noted of it before is still noted."""
    house.may_have_crashed = False
    house.starts(f=RETRY)
    house.puts("1")
    house.invoked[0].answers(503)
    house.diary.slow.add(slow)
    house.passes(4)
    worker(house).stop_taking()
    worker(house).give_up()
    house.diary.slow.clear()
    house.diary.go_on()
    notes = house.notes()
    assert notes is not None
    assert [each.status for each in notes.attempts] == [503]
    house.starts()
    house.passes(1)
    assert house.invoked[-1].attempt == 2


def test_a_crash_is_counted_though_the_next_daemon_only_looked_at_the_call(house: House) -> None:
    """It is stopped before it is done with that."""
    house.starts(f={})
    house.puts("1")
    house.diary.slow.add("look for an end")
    house.crashes()
    house.stops()
    house.diary.slow.clear()
    house.starts()
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2]


@pytest.mark.parametrize("times", [1, 2])
def test_giving_up_while_a_call_goes_back(house: House, times: int) -> None:
    """It goes back at once, with the wait that it was to have, however often it is given up."""
    house.starts(f={})
    house.puts("1")
    house.diary.slow.add("note")
    house.invoked[0].fails(NotHandedOver("refused"))
    worker(house).stop_taking()
    for _ in range(times):
        worker(house).give_up()
    assert worker(house).when_idle().called
    assert house.failures() == []
    (delay,) = house.queue.delays
    assert 0.5 <= delay <= 1.0


@pytest.mark.parametrize("times", [1, 2])
def test_giving_up_while_a_running_call_that_was_given_up_goes_back(
    house: House, times: int
) -> None:
    """The second time is one too many for the note, and for nothing else."""
    house.starts(f={})
    house.puts("1")
    house.diary.slow.add("note")
    worker(house).stop_taking()
    for number in range(times):
        assert house.queue.delays == []
        assert worker(house).give_up() == 1, number
    house.diary.slow.clear()
    house.diary.go_on()
    assert house.failures() == []
    assert house.queue.delays == [0.0]
    notes = house.notes()
    assert notes is not None
    assert notes.deliveries == 1


def test_a_retry_keeps_its_wait_though_the_worker_gives_up(house: House) -> None:
    """The next daemon does not run it before its time."""
    house.starts(f={"retry": RetrySettings(min_wait_seconds=20, backoff="exponential")})
    house.puts("1")
    house.diary.slow.add("note")
    house.invoked[0].answers(503)
    worker(house).stop_taking()
    worker(house).give_up()
    house.diary.slow.clear()
    house.diary.go_on()
    house.starts()
    house.passes(10)
    assert house.ids == ["1"]
    house.passes(10)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_a_long_wait_is_kept_though_the_worker_gives_up(house: House) -> None:
    """While it is put off: it waits where it is then, and the attempt is noted."""
    house.starts(f={"retry": RetrySettings(min_wait_seconds=100, backoff="exponential")})
    house.puts("1")
    house.refuses("put off")
    house.invoked[0].answers(503)
    worker(house).stop_taking()
    worker(house).give_up()
    assert house.queue.delays == [LEASE_SECONDS]
    house.refuses()
    house.starts()
    house.passes(99)
    assert house.ids == ["1"]
    house.passes(1)
    assert [each.attempt for each in house.invoked] == [1, 2]


def test_giving_up_while_it_cannot_be_noted_what_was_tried(house: House) -> None:
    """It goes back all the same, and no timer is left."""
    house.starts(f=RETRY)
    house.puts("1")
    house.refuses("note")
    house.invoked[0].answers(503)
    assert house.queue.delays == []
    worker(house).stop_taking()
    worker(house).give_up()
    assert worker(house).when_idle().called
    assert house.queue.delays == [4.0]
    assert house.clock.getDelayedCalls() == []


def test_there_is_nothing_to_give_up_when_nothing_is_in_hand(house: House) -> None:
    """Not even what was settled or went back by itself."""
    house.starts(f={})
    house.puts("1", "2")
    house.invoked[0].answers()
    house.invoked[1].answers(503)
    assert worker(house).give_up() == 0
