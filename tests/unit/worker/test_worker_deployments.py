"""Functions that come, change and go while their calls are under way."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from worker_house import CALLBACK, LEASE_SECONDS, House, call, result_of


def test_calls_of_a_new_function_are_taken(house: House) -> None:
    """Those that were waiting for it, too."""
    house.starts(f={})
    house.puts("1", function="g")
    assert house.ids == []
    house.deploys(f={}, g={})
    assert house.ids == ["1"]


def test_calls_of_a_function_that_is_gone_wait(house: House) -> None:
    """In the queue, untouched, until it is there again."""
    house.starts(f={}, g={})
    house.deploys(g={})
    house.puts("1")
    house.passes(60)
    assert (house.ids, house.diary.pages) == ([], [])
    house.deploys(f={}, g={})
    assert [(each.call_id, each.attempt) for each in house.invoked] == [("1", 1)]


def test_what_runs_of_a_function_that_is_gone_comes_to_its_end(house: House) -> None:
    """It is in hand: record, callback, settlement."""
    house.starts(f={}, g={})
    house.puts("1", callback=CALLBACK)
    house.deploys(g={})
    house.passes(LEASE_SECONDS * 2)
    house.invoked[0].answers()
    assert house.diary.pages == ["terminal record", "callback", "barrier", "settled"]


def test_more_run_of_a_function_that_may_run_more(house: House) -> None:
    """At once, but no more than it may, old settings and new together; those under way are not
    disturbed."""
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2", "3", "4")
    house.deploys(f={"max_inflight": 2})
    assert house.ids == ["1", "2"]
    assert not house.invoked[0].aborted
    for each in house.running:
        each.answers()
    assert house.ids == ["1", "2", "3", "4"]


def test_calls_under_old_and_new_settings_do_not_overlap(house: House) -> None:
    """The end of an old one makes room for a new one."""
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2", "3")
    house.deploys(f={"max_inflight": 1, "timeout_seconds": 7.0})
    assert house.ids == ["1"]
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    assert house.ids == ["1", "2", "3"]


def test_a_call_that_waits_is_run_by_the_deployment_it_waits_for(house: House) -> None:
    """Even if that is being replaced: it is not forgotten in the old one's line."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    house.deploys(f={"max_inflight": 1, "async_timeout_seconds": 7.0})
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    assert house.left() == []


def test_a_call_whose_function_is_not_deployed_goes_back(house: House) -> None:
    """In static mode it is taken all the same: it has not been tried, and whoever watches is
    told why."""
    house.static = True
    house.starts(g={})
    house.puts("1")
    ((call_id, reason, delay),) = house.watch.given_back_calls
    assert (call_id, house.ids) == ("1", [])
    assert "deployed" in reason
    assert house.queue.delays == [delay]


def test_a_call_whose_function_is_not_deployed_holds_up_no_other(house: House) -> None:
    """It takes no token."""
    house.static = True
    house.max_inflight = 1
    house.starts(g={"max_inflight": 1})
    house.puts(call("1"), call("2", "g"))
    assert house.ids == ["2"]


def test_a_call_whose_function_comes_back_runs_for_the_first_time(house: House) -> None:
    """However often it went back meanwhile."""
    house.static = True
    house.starts(g={})
    house.puts("1")
    house.passes(LEASE_SECONDS * 5)
    assert len(house.queue.delays) >= 5
    house.deploys(f={}, g={})
    house.passes(LEASE_SECONDS)
    assert [(each.call_id, each.attempt) for each in house.invoked] == [("1", 1)]
    house.invoked[0].answers()
    ending = house.ending()
    assert ending is not None
    assert ending.history.crashes == 0


def test_static_lanes_follow_the_queues_of_the_functions(house: House) -> None:
    """A queue that no function has any more is not taken from."""
    house.static = True
    house.starts(f={"queue": "a"}, g={"queue": "b"})
    house.deploys(f={"queue": "a"}, g={"queue": "a"})
    house.puts(call("1", "g", queue="b"), call("2", "g", queue="a"))
    assert house.ids == ["2"]


def test_functions_of_one_queue_share_its_lane(house: House) -> None:
    """A token that either gives back lets the next call run."""
    house.static = True
    house.max_inflight = 1
    house.starts(f={}, g={})
    house.puts(call("1"), call("2", "g"), call("3"))
    house.invoked[0].answers()
    house.invoked[1].answers()
    assert house.ids == ["1", "2", "3"]


def test_a_deployment_lets_go_when_its_last_call_is_over(house: House) -> None:
    """It waits for those that wait, too."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    idle = Deferred.fromCoroutine(house.deployment().when_idle())
    house.invoked[0].answers()
    assert not idle.called
    house.invoked[1].answers()
    assert idle.called
    for _ in range(house.deployment().tokens.limit):
        house.deployment().release()
    result_of(idle)
