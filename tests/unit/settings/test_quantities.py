"""Durations and sizes, read and printed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.settings.mistakes import Refusal
from faasd_async.settings.quantities import (
    LARGEST_BYTES,
    LONGEST_SECONDS,
    format_duration,
    format_size,
    parse_duration,
    parse_duration_or_zero,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1h2m3.5s", 3723.5),
        ("900ms", 0.9),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("250μs", 0.00025),
        ("7ns", 7e-9),
        (".5s", 0.5),
        ("1.5h", 5400.0),
        ("5m5s", 305.0),
        ("90", 90.0),
        ("0.25", 0.25),
        (90, 90.0),
        (0.25, 0.25),
        (LONGEST_SECONDS, float(LONGEST_SECONDS)),
    ],
)
def test_duration_is_read(written: object, seconds: float) -> None:
    """Go's notation and plain numbers of seconds, in a string or not, are durations."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "5 m",
        " 5m",
        "5m\n",
        "5 minutes",
        "1d",
        "-5s",
        "+5s",
        "1e3s",
        "٣s",
        "0s",
        "0",
        0,
        -1,
        "87601h",
        LONGEST_SECONDS + 1,
        10**400,
        float("nan"),
        float("inf"),
        True,
        None,
        ["5m"],
    ],
)
def test_no_duration_is_refused(written: object) -> None:
    """Anything else is refused, nothing at all and more than ten years included."""
    with pytest.raises(Refusal, match="allowed: a duration above 0 and up to 10 years"):
        parse_duration(written)


def test_zero_is_a_duration_where_it_has_a_meaning() -> None:
    """Zero is read where it is allowed; a negative duration is not even there."""
    assert parse_duration_or_zero("0s") == 0.0
    assert parse_duration_or_zero(0) == 0.0
    with pytest.raises(Refusal, match="allowed: a duration of 0 or more"):
        parse_duration_or_zero(-1)


@given(st.floats(min_value=1e-9, max_value=LONGEST_SECONDS))
def test_printed_duration_is_read_back_exactly(seconds: float) -> None:
    """Printing and reading a duration loses nothing."""
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (0.0, "0s"),
        (0.9, "900ms"),
        (0.00025, "250us"),
        (5e-9, "5ns"),
        (60.0, "1m"),
        (3723.5, "1h2m3.5s"),
        (86400.0, "24h"),
    ],
)
def test_duration_is_printed_as_go_does(seconds: float, printed: str) -> None:
    """A duration is printed without parts that are zero."""
    assert format_duration(seconds) == printed


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("8MiB", 8 * 2**20),
        ("512KiB", 512 * 2**10),
        ("2GiB", 2**31),
        ("1TiB", 2**40),
        ("10MB", 10**7),
        ("10kB", 10**4),
        ("1.5KiB", 1536),
        ("4096B", 4096),
        ("4096", 4096),
        (4096, 4096),
        (LARGEST_BYTES, LARGEST_BYTES),
    ],
)
def test_size_is_read(written: object, size: int) -> None:
    """Binary and decimal units and plain numbers of bytes are sizes."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "MiB", "8 MiB", "8mib", "8KB", "8kiB", "-1", "0", 0, -1, "0.3B", 1.5, True, None,
     LARGEST_BYTES + 1, "9999999999TiB"],
)  # fmt: skip
def test_no_size_is_refused(written: object) -> None:
    """Anything else is refused: other spellings of a unit, and no whole number of bytes."""
    with pytest.raises(Refusal, match="allowed: a size of whole bytes above 0"):
        parse_size(written)


@given(st.integers(min_value=1, max_value=LARGEST_BYTES))
def test_printed_size_is_read_back(size: int) -> None:
    """Printing and reading a size loses nothing."""
    assert parse_size(format_size(size)) == size


@given(st.integers(min_value=1, max_value=1023), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_size_in_binary_units_is_read_as_written(number: int, unit: str) -> None:
    """A number and a unit is that many times the unit."""
    factor = 2 ** (10 * (1 + ["KiB", "MiB", "GiB", "TiB"].index(unit)))
    assert parse_size(f"{number}{unit}") == number * factor


@pytest.mark.parametrize(
    ("size", "printed"),
    [(64 * 2**20, "64MiB"), (10**4, "10kB"), (1023, "1023B"), (2**31, "2GiB"), (0, "0B")],
)
def test_size_is_printed_in_the_largest_whole_unit(size: int, printed: str) -> None:
    """A size is printed in the unit that an operator would have written."""
    assert format_size(size) == printed


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text brings anything but a value in its bounds or a refusal."""
    for parse, most in ((parse_duration, LONGEST_SECONDS), (parse_size, LARGEST_BYTES)):
        with suppress(Refusal):
            assert 0 < parse(text) <= most
