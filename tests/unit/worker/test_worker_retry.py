"""The retry policy: which answers are tried again, and after what wait."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.call.retry_after import LONGEST_ASKED_SECONDS
from faasd_async.settings import RetrySettings
from faasd_async.settings.functions import BACKOFFS
from faasd_async.worker.retry import wait_seconds, wants_retry

NOW = 1_700_000_000.0
POLICY = RetrySettings(attempts=3, min_wait_seconds=2, max_wait_seconds=60, backoff="exponential")

attempts = st.integers(1, 10_000)
fractions = st.floats(0, 1)


@st.composite
def policies(draw: st.DrawFn) -> RetrySettings:
    low, high = sorted((draw(st.floats(0.001, 1e6)), draw(st.floats(0.001, 1e6))))
    backoff = draw(st.sampled_from(BACKOFFS))
    return RetrySettings(min_wait_seconds=low, max_wait_seconds=high, backoff=backoff)


def wait(
    policy: RetrySettings = POLICY,
    attempts: int = 1,
    retry_after: bytes | None = None,
    *,
    status: int = 503,
    fraction: float = 0.5,
) -> float:
    """:param fraction: how far the dice are from the least they can show to the most."""
    return wait_seconds(
        policy, status, attempts, retry_after, NOW, lambda low, high: low + fraction * (high - low)
    )


@pytest.mark.parametrize(
    ("status", "tried", "again"),
    [(503, 1, True), (503, 2, True), (503, 3, False), (429, 1, True), (500, 1, False)],
)
def test_only_listed_answers_are_tried_again(status: int, tried: int, again: bool) -> None:
    """And only as often as the policy allows, the first time included."""
    assert wants_retry(POLICY, status, tried) is again


@pytest.mark.parametrize(
    ("asked", "tried", "again"),
    [(1, 1, False), (2, 1, True), (2, 2, False), (3, 2, True), (9, 2, True), (9, 3, False)],
)
def test_a_caller_lowers_the_attempts_and_never_raises_them(
    asked: int, tried: int, again: bool
) -> None:
    """The lower of what the caller and the function say counts."""
    assert wants_retry(POLICY, 503, tried, asked) is again


@pytest.mark.parametrize(("tried", "seconds"), [(1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (7, 60)])
def test_a_wait_doubles_up_to_the_longest(tried: int, seconds: float) -> None:
    """With the backoff that leaves nothing to chance."""
    assert wait(attempts=tried) == seconds


@given(policies(), attempts, fractions)
def test_a_wait_stays_within_its_bounds(policy: RetrySettings, tried: int, fraction: float) -> None:
    """Never under ``min_wait``, never over ``max_wait``, whatever the dice say."""
    seconds = wait(policy, tried, fraction=fraction)
    assert policy.min_wait_seconds <= seconds <= policy.max_wait_seconds


@given(policies(), attempts, fractions)
def test_a_later_attempt_waits_no_shorter(
    policy: RetrySettings, tried: int, fraction: float
) -> None:
    """If the dice fall the same."""
    sooner, later = (wait(policy, each, fraction=fraction) for each in (tried, tried + 1))
    assert sooner <= later


@given(policies(), attempts)
def test_equal_backoff_leaves_the_lower_half_out(policy: RetrySettings, tried: int) -> None:
    """The dice decide about the upper half alone."""
    exact, equal = (replace(policy, backoff=backoff) for backoff in ("exponential", "equal"))
    most = wait(exact, tried)
    assert wait(equal, tried, fraction=0) == max(most / 2, policy.min_wait_seconds)
    assert wait(equal, tried, fraction=1) == most


def test_full_backoff_may_hit_anything_down_to_the_shortest() -> None:
    """That is how many callers are spread out."""
    full = RetrySettings(min_wait_seconds=2, max_wait_seconds=60, backoff="full")
    assert wait(full, 5, fraction=0) == 2
    assert wait(full, 5, fraction=0.5) == 16
    assert wait(full, 5, fraction=1) == 32


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (b"7", 7),
        (b" 7 ", 7),
        (b"0", 2),
        (b"600", 600),
        (b"86401", LONGEST_ASKED_SECONDS),
        (b"9" * 400, LONGEST_ASKED_SECONDS),
        (formatdate(NOW + 90, usegmt=True).encode(), 90),
        (formatdate(NOW - 90, usegmt=True).encode(), 2),
        (formatdate(NOW + 10 * 86400, usegmt=True).encode(), LONGEST_ASKED_SECONDS),
    ],
)
def test_retry_after_stands_over_the_backoff(asked: bytes, seconds: float) -> None:
    """As seconds or as a date, over ``max_wait`` too: never under ``min_wait``, at most a day."""
    assert wait(attempts=2, retry_after=asked) == seconds


@pytest.mark.parametrize("asked", [b"", b"soon", b"-5", b"1.5", "\u0663".encode(), b"\xb2"])
def test_a_retry_after_that_says_neither_is_not_heard(asked: bytes) -> None:
    """The backoff stands."""
    assert wait(attempts=2, retry_after=asked) == 4


def test_retry_after_is_heard_on_429_and_503_alone() -> None:
    """There it is defined; elsewhere the backoff stands."""
    assert wait(retry_after=b"7", status=429) == 7
    assert wait(retry_after=b"7", status=500) == 2


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=40), st.from_regex(rb"\A[\w ,:+-]{0,40}\Z")))
@example(b"Fri, 31 Feb 2023 10:00:00 GMT")
@example(b"Mon, 01 Jan 0000 00:00:00 GMT")
@example(b"Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
@example(b"Mon, 99999999999999999999999 Jan 2024 00:00:00 GMT")
def test_whatever_a_function_sends_makes_a_wait(asked: bytes) -> None:
    """A header is a function's to write: none breaks the arithmetic."""
    assert 2 <= wait(retry_after=asked) <= LONGEST_ASKED_SECONDS
