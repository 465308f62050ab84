"""Moments as they are written in header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.moments import NoMoment, from_ns, parse_moment, to_ns

NOON_NS = 1_893_499_200 * 10**9  # 2030-01-01T12:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-01T12:00:00Z",
        "2030-01-01t12:00:00z",
        "2030-01-01 12:00:00Z",
        "2030-01-01T12:00:00.000Z",
        "2030-01-01T12:00:00.000000000Z",
        "2030-01-01T14:30:00+02:30",
        "2029-12-31T23:00:00-13:00",
        "Tue, 01 Jan 2030 12:00:00 GMT",
        "Tue Jan  1 12:00:00 2030",
        "Tuesday, 01-Jan-30 12:00:00 GMT",
    ],
)
def test_one_moment_in_every_form(text: str) -> None:
    """RFC 3339 in any zone, and the three forms of an HTTP date."""
    assert parse_moment(text) == NOON_NS


def test_a_fraction_counts() -> None:
    """To the microsecond."""
    assert parse_moment("2030-01-01T12:00:00.123456789Z") == NOON_NS + 123_456_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2030-01-01",
        "2030-01-01T12:00:00",
        "2030-13-01T12:00:00Z",
        "2030-02-30T12:00:00Z",
        "2030-01-01T25:00:00Z",
        "2030-01-01T12:00:00Z and more",
        "٢٠٣٠-01-01T12:00:00Z",
        "Tue, 01 Jan 2030 12:00:00 CET",
        "Tue, 32 Jan 2030 12:00:00 GMT",
        "Mon, 01 Jan 2030 12:00:00 GMT",
        "Mon Jan  1 12:00:00 2030",
        "Monday, 01-Jan-30 12:00:00 GMT",
        "Xyz, 01 Jan 2030 12:00:00 GMT",
        "1893499200",
        "2030-01-01T12:00:00+99:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(NoMoment):
        parse_moment(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    """It is read, or it is no moment."""
    try:
        parse_moment(text)
    except NoMoment:
        return


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_moment_comes_back(microseconds: int) -> None:
    """Through datetime and back."""
    assert to_ns(from_ns(microseconds * 1000)) == microseconds * 1000
