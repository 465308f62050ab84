"""Waits between tries that fail."""

from __future__ import annotations

import pytest

from faasd_async.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    """And stay there, however many more tries there are."""
    backoff = Backoff(1.0, 5.0, lambda: 1.0)
    assert [backoff.next_seconds() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert {backoff.next_seconds() for _ in range(3000)} == {5.0}


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 2.0), (0.5, 3.0), (1.0, 4.0)])
def test_each_wait_is_drawn_from_its_upper_half(drawn: float, expected: float) -> None:
    """What was drawn has no say in the next wait."""
    draws = iter([0.3, drawn, 1.0])
    backoff = Backoff(2.0, 60.0, lambda: next(draws))
    backoff.next_seconds()
    assert backoff.next_seconds() == expected
    assert backoff.next_seconds() == 8.0


def test_what_is_steady_begins_anew() -> None:
    """With the first wait."""
    backoff = Backoff(1.0, 60.0, lambda: 1.0)
    waits = [backoff.next_seconds() for _ in range(3)]
    backoff.steady()
    assert [backoff.next_seconds() for _ in range(3)] == waits


def test_the_first_wait_is_no_longer_than_the_longest() -> None:
    """Whoever sets them so."""
    backoff = Backoff(10.0, 1.0, lambda: 1.0)
    waits = [backoff.next_seconds()]
    backoff.steady()
    assert [*waits, backoff.next_seconds()] == [1.0, 1.0]
