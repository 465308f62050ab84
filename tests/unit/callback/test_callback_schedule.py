"""When a callback is tried again."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.retry_after import LONGEST_ASKED_SECONDS
from faasd_async.callback.schedule import Schedule

NOW = 1_700_000_000.0
HOUR = 3600.0
USUAL = Schedule(attempts=12, min_wait_seconds=5.0, max_wait_seconds=3 * HOUR)


def exactly(low: float, high: float) -> float:
    return (low + high) / 2


def waits(schedule: Schedule) -> list[float]:
    return [
        schedule.wait_seconds(tries, 500, None, NOW, exactly)
        for tries in range(1, schedule.attempts)
    ]


def test_the_usual_schedule() -> None:
    """From seconds to hours, each wait three times the one before, for half a day and more."""
    assert waits(USUAL) == [5, 15, 45, 135, 405, 1215, 3645, *[3 * HOUR] * 4]
    assert 13 * HOUR < sum(waits(USUAL)) < 14 * HOUR


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_wait_is_up_to_a_fifth_longer_or_shorter(tries: int, luck: float) -> None:
    """However many tries there were."""
    wait = USUAL.wait_seconds(tries, 500, None, NOW, lambda low, high: low + luck * (high - low))
    nominal = USUAL.wait_seconds(tries, 500, None, NOW, exactly)
    assert 0.799 * nominal <= wait <= 1.201 * nominal
    assert nominal <= 3 * HOUR


def test_not_everybody_comes_at_once() -> None:
    """The waits are drawn."""
    assert len({USUAL.wait_seconds(1, 500, None, NOW) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (503, b"600", 600),
        (429, b"600", 600),
        (503, formatdate(NOW + 90, usegmt=True).encode(), 90),
        (503, b"0", 5),
        (503, b"9999999", LONGEST_ASKED_SECONDS),
        (500, b"600", 5),
        (0, b"600", 5),
        (503, b"soon", 5),
        (503, None, 5),
    ],
)
def test_who_asks_for_a_wait_is_given_it(
    status: int, retry_after: bytes | None, expected: float
) -> None:
    """Over the schedule; on 429 and 503, within bounds."""
    assert USUAL.wait_seconds(1, status, retry_after, NOW, exactly) == expected


def test_all_tries_together() -> None:
    """As long as they may take, so the longest waits."""
    assert USUAL.longest_seconds == pytest.approx(1.2 * sum(waits(USUAL)))
    assert Schedule(1, 5.0, 10.0).longest_seconds == 0


def test_tries_are_used_up() -> None:
    """Whenever they were made."""
    assert [USUAL.is_used_up(tries, 0.0) for tries in (1, 11, 12, 13)] == [False, False, True, True]
    assert not USUAL.is_used_up(1, USUAL.longest_seconds + LONGEST_ASKED_SECONDS)


def test_tries_that_nobody_could_count_come_to_an_end_too() -> None:
    """When no schedule, with all that receivers may ask for, can take so long."""
    assert USUAL.is_used_up(1, 10 * 24 * HOUR)
