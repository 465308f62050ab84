"""What is in hand stays in hand; what comes a second time takes the place of the first."""

from __future__ import annotations

from worker_house import LEASE_SECONDS, House


def lose_the_lease(house: House) -> None:
    """Have the first delivery's lease run out under a running call."""
    house.queue.hears_extensions = False
    house.passes(LEASE_SECONDS)
    house.queue.hears_extensions = True


def test_the_lease_of_a_running_call_is_extended(house: House) -> None:
    """However long it runs it is invoked once, and delivered once."""
    house.starts(f={})
    house.puts("1")
    house.passes(LEASE_SECONDS * 10)
    assert house.ids == ["1"]
    assert set(house.queue.extended) == {("1", 1)}
    house.invoked[0].answers()
    assert house.diary.pages[-1] == "settled"


def test_a_call_that_is_settled_is_not_extended_any_more(house: House) -> None:
    """The others in hand are."""
    house.starts(f={})
    house.puts("1", "2")
    house.invoked[0].answers()
    house.passes(LEASE_SECONDS)
    assert set(house.queue.extended) == {("2", 1)}


def test_a_running_call_that_is_delivered_again_runs_on(house: House) -> None:
    """It is not invoked a second time, and takes no second token."""
    house.starts(f={"max_inflight": 2})
    house.puts("1")
    lose_the_lease(house)
    assert house.ids == ["1"]
    assert house.deployment().free == 1


def test_the_newer_delivery_is_extended_in_place_of_the_older(house: House) -> None:
    """The older is nobody's any more."""
    house.starts(f={})
    house.puts("1")
    lose_the_lease(house)
    house.queue.extended.clear()
    house.passes(LEASE_SECONDS * 2)
    assert set(house.queue.extended) == {("1", 2)}


def test_the_newer_delivery_is_the_one_that_is_settled(house: House) -> None:
    """So the call does not come a third time."""
    house.starts(f={})
    house.puts("1")
    lose_the_lease(house)
    house.invoked[0].answers()
    assert house.diary.pages.count("settled") == 1
    house.passes(LEASE_SECONDS * 2)
    assert house.ids == ["1"]
    assert house.left() == []


def test_a_lost_lease_is_no_crash(house: House) -> None:
    """All deliveries of a call that came back to the one who has it are accounted for."""
    house.starts(f={})
    house.puts("1")
    lose_the_lease(house)
    house.invoked[0].answers(503, [(b"Retry-After", b"5")])
    house.passes(5)
    assert house.invoked[1].attempt == 2
    house.invoked[1].answers()
    ending = house.ending()
    assert ending is not None
    assert ending.history.crashes == 0
    assert [each.status for each in ending.history.attempts] == [503, 200]


def test_a_call_that_waits_for_a_token_is_delivered_again(house: House) -> None:
    """It keeps its place in the line, once."""
    house.static = True
    house.starts(f={"max_inflight": 1})
    house.puts("1", "2")
    lose_the_lease(house)
    house.invoked[0].answers()
    assert house.ids == ["1", "2"]
    house.invoked[1].answers()
    assert house.left() == []
