"""A worker that stops: what it has in hand comes to its end, or goes back."""

from __future__ import annotations

from worker_house import LEASE_SECONDS, House

from faasd_async.settings import RetrySettings
from faasd_async.worker.worker import Worker


def worker(house: House) -> Worker:
    assert house.worker is not None
    return house.worker


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


def test_what_waits_in_hand_still_gets_its_turn(house: House) -> None:
    """It was taken before."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    worker(house).stop_taking()
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]


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
    """Every call at once, the waiting ones too; it is told how many they were."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2", "3")
    worker(house).stop_taking()
    assert worker(house).give_up() == 3
    assert house.invoked[0].aborted
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
    house.starts(f={"retry": RetrySettings(min_wait_seconds=4, backoff="exponential")})
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


def test_giving_up_while_a_call_is_looked_up(house: House) -> None:
    """It goes back as it came, and no function has seen it."""
    house.queue.inherited = True
    house.diary.slow.add("look for an end")
    house.starts(f={})
    house.puts("1")
    worker(house).stop_taking()
    assert worker(house).give_up() == 1
    house.queue_clock.advance(0)
    assert house.ids == []
    assert house.left() == ["1"]


def test_there_is_nothing_to_give_up_when_nothing_is_in_hand(house: House) -> None:
    """Not even what was settled or went back by itself."""
    house.starts(f={})
    house.puts("1", "2")
    house.invoked[0].answers()
    house.invoked[1].answers(503)
    assert worker(house).give_up() == 0
