"""The adaptive ceiling: found by trying, under what is configured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.worker.adaptive import LONGEST_CLOSED_SECONDS, Ceiling

#: What may happen to a ceiling: a call begins, or the oldest that runs ends so.
EVENTS = st.lists(st.sampled_from(["begin", "succeed", "refuse", "fail"]), max_size=200)


class Function:
    """A function with room for so many calls at a time, and a lane that fills its ceiling.

    :ivar refused: how many calls found no room.
    """

    def __init__(self, ceiling: Ceiling, size: int) -> None:
        self.ceiling = ceiling
        self.size = size
        self.refused = 0
        self.succeeded = 0

    def takes(self, calls: int) -> None:
        """So many calls are answered, a round at a time; a round is what the ceiling lets begin."""
        while calls > 0:
            begun = []
            while self.ceiling.room(len(begun), 0.0) and len(begun) < calls:
                begun.append(self.ceiling.begin(len(begun) + 1))
            for place, its_round in enumerate(begun):
                if place < self.size:
                    self.succeeded += 1
                    self.ceiling.succeeded(its_round)
                else:
                    self.refused += 1
                    self.ceiling.refused(its_round)
            calls -= len(begun)


def halved(times: int, most: int = 64) -> Ceiling:
    ceiling = Ceiling(most)
    for _ in range(times):
        ceiling.refused(ceiling.begin(ceiling.width))
    return ceiling


def test_a_ceiling_begins_at_what_is_configured() -> None:
    """A healthy function is not slowed."""
    ceiling = Ceiling(10)
    assert [ceiling.room(running, 0.0) for running in (0, 9, 10, 12)] == [10, 1, 0, 0]


def test_a_healthy_function_keeps_its_ceiling() -> None:
    """Whatever it does, as long as it refuses nothing."""
    ceiling = Ceiling(10)
    Function(ceiling, size=10).takes(1000)
    assert ceiling.width == 10


def test_a_refusal_halves() -> None:
    """And the next one halves again."""
    assert [halved(times).width for times in (1, 2, 3)] == [32, 16, 8]


def test_a_burst_of_refusals_halves_once() -> None:
    """All that began before the halving tell the same."""
    ceiling = Ceiling(10)
    begun = [ceiling.begin(running) for running in range(1, 11)]
    assert [ceiling.refused(its_round) for its_round in begun] == [True] + [False] * 9
    assert ceiling.width == 5


def test_a_success_of_before_the_halving_widens_nothing() -> None:
    """It ran when there were others beside it, or not: it tells nothing of now."""
    ceiling = Ceiling(2)
    before, refused = ceiling.begin(1), ceiling.begin(2)
    ceiling.refused(refused)
    assert not ceiling.succeeded(before)


def test_a_ceiling_grows_by_one_after_as_many_successes_as_it_is_wide() -> None:
    """Additive increase."""
    ceiling = halved(3)
    grown = []
    for _ in range(8 + 9 + 10):
        its_round = ceiling.begin(ceiling.width)
        grown.append(ceiling.succeeded(its_round))
    assert [place for place, grew in enumerate(grown, 1) if grew] == [8, 17, 27]
    assert ceiling.width == 11


def test_a_ceiling_that_is_not_used_up_does_not_grow() -> None:
    """There is no evidence that more would be taken."""
    ceiling = halved(3)
    for _ in range(100):
        assert not ceiling.succeeded(ceiling.begin(ceiling.width - 1))
    assert ceiling.width == 8


def test_a_width_that_was_refused_is_tried_less_and_less() -> None:
    """A function of fixed size is bothered by fewer and fewer refusals."""
    function = Function(Ceiling(10), size=3)
    refused = []
    for calls in (20, 200, 2000):
        function.refused = 0
        function.takes(calls)
        refused.append(function.refused / calls)
    assert 0.5 > refused[0] > refused[1] > refused[2]
    assert refused[2] < 0.01
    assert function.ceiling.width in (2, 3, 4)


def test_a_function_that_has_grown_is_found_out() -> None:
    """However long it was small."""
    function = Function(Ceiling(10), size=2)
    function.takes(5000)
    function.size = 10
    function.takes(1000)
    assert function.ceiling.width == 10


def test_a_function_that_was_down_is_back_in_a_few_rounds() -> None:
    """A refusal of a single call is no matter of width: the ceiling doubles from there."""
    function = Function(Ceiling(100), size=0)
    function.takes(400)
    assert function.ceiling.width == 1
    function.size = 100
    function.takes(200)
    assert function.ceiling.width == 100


def test_a_ceiling_is_never_under_one() -> None:
    """Somebody has to find out that the function is back."""
    assert halved(50).width == 1


@given(st.integers(1, 50), EVENTS)
def test_a_ceiling_stays_within_its_bounds(most: int, events: list[str]) -> None:
    """One and what is configured, whatever happens in whatever order."""
    ceiling = Ceiling(most)
    running: list[int] = []
    for event in events:
        if event == "begin":
            running.append(ceiling.begin(len(running) + 1))
        elif running:
            its_round = running.pop(0)
            before = ceiling.width
            if event == "succeed":
                ceiling.succeeded(its_round)
                assert before <= ceiling.width <= before + 1
            elif event == "refuse":
                ceiling.refused(its_round)
                assert ceiling.width in (before, max(before // 2, 1))
        assert 1 <= ceiling.width <= most


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_functions_size_is_found(most: int, size: int) -> None:
    """In the end few calls are refused, and the function is used well."""
    function = Function(Ceiling(most), size)
    function.takes(3000)
    function.refused = function.succeeded = 0
    function.takes(1000)
    assert function.refused < 50
    assert function.ceiling.width >= min(most, size) // 2


@pytest.mark.parametrize(
    ("seconds", "closed"),
    [(3.0, 3.0), (10_000.0, LONGEST_CLOSED_SECONDS)],
)
def test_a_function_can_close_itself_for_a_while(seconds: float, closed: float) -> None:
    """Nothing begins until then, which is never far away."""
    ceiling = Ceiling(10)
    ceiling.close(100.0, seconds)
    assert ceiling.room(0, 100.0 + closed - 0.001) == 0
    assert ceiling.room(0, 100.0 + closed) == 10


def test_a_shorter_time_does_not_open_what_a_longer_one_has_closed() -> None:
    """Whichever was said last."""
    ceiling = Ceiling(10)
    ceiling.close(0.0, 20.0)
    ceiling.close(1.0, 2.0)
    assert ceiling.room(0, 19.0) == 0
