"""Schedules: when they come, in their time zones, when clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.settings.cron import Cron
from faasd_async.settings.mistakes import Refusal

SECOND_NS = 10**9
BERLIN = "Europe/Berlin"


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * SECOND_NS


def times(cron: Cron, after: str, count: int) -> list[str]:
    """The next so many, in UTC."""
    found, moment = [], ns(after)
    for _ in range(count):
        following = cron.next_after(moment)
        assert following is not None
        moment = following
        found.append(datetime.fromtimestamp(moment / SECOND_NS, UTC).strftime("%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/5 * * * *", ["11-24 08:05:00", "11-24 08:10:00"]),
        ("30 * * * *", ["11-24 08:30:00", "11-24 09:30:00"]),
        ("0 0 * * *", ["11-25 00:00:00", "11-26 00:00:00"]),
        ("0 9-17/4 * * MON-FRI", ["11-24 09:00:00", "11-24 13:00:00"]),
        ("15,45 8 * * *", ["11-24 08:15:00", "11-24 08:45:00"]),
        ("0 12 1 * *", ["12-01 12:00:00", "01-01 12:00:00"]),
        ("0 0 1 jan ?", ["01-01 00:00:00", "01-01 00:00:00"]),
        ("0 0 * * 7", ["11-29 00:00:00", "12-06 00:00:00"]),
        ("0 0 * * SUN", ["11-29 00:00:00", "12-06 00:00:00"]),
        ("0 0 25 * 0", ["11-25 00:00:00", "11-29 00:00:00"]),
        ("0 0 25 * *", ["11-25 00:00:00", "12-25 00:00:00"]),
        ("50/4 * * * *", ["11-24 08:50:00", "11-24 08:54:00"]),
        ("0 0 29 2 *", ["02-29 00:00:00", "02-29 00:00:00"]),
        ("10,40 * * * * *", ["11-24 08:00:10", "11-24 08:00:40"]),
        ("*/20 59 23 * * *", ["11-24 23:59:00", "11-24 23:59:20"]),
        ("@hourly", ["11-24 09:00:00", "11-24 10:00:00"]),
        ("@daily", ["11-25 00:00:00", "11-26 00:00:00"]),
        ("@weekly", ["11-29 00:00:00", "12-06 00:00:00"]),
        ("@monthly", ["12-01 00:00:00", "01-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00", "01-01 00:00:00"]),
        ("@every 90s", ["11-24 08:01:30", "11-24 08:03:00"]),
        ("@every 1h", ["11-24 09:00:00", "11-24 10:00:00"]),
    ],
)
def test_when_a_schedule_comes(text: str, expected: list[str]) -> None:
    """From a Tuesday, eight o'clock sharp, which is not after itself."""
    assert times(Cron(text), "2026-11-24T08:00:00", 2) == expected


def test_a_schedule_means_its_time_zone() -> None:
    """Summer and winter."""
    cron = Cron("0 9 * * *", BERLIN)
    assert times(cron, "2026-07-01T00:00:00", 1) == ["07-01 07:00:00"]
    assert times(cron, "2026-12-01T00:00:00", 1) == ["12-01 08:00:00"]
    assert times(Cron("0 9 * * *", "Asia/Kathmandu"), "2026-12-01T00:00:00", 1) == [
        "12-01 03:15:00"
    ]


def test_what_the_clock_skips_does_not_come() -> None:
    """Half past two, on the morning on which two o'clock is three o'clock."""
    cron = Cron("30 2 * * *", BERLIN)
    assert times(cron, "2026-03-27T12:00:00", 2) == ["03-28 01:30:00", "03-30 00:30:00"]


def test_what_the_clock_shows_twice_comes_once() -> None:
    """Half past two, on the morning that has it twice: the first time."""
    cron = Cron("30 2 * * *", BERLIN)
    assert times(cron, "2026-10-24T12:00:00", 2) == ["10-25 00:30:00", "10-26 01:30:00"]
    assert times(Cron("0 1-3 * * *", BERLIN), "2026-10-24T22:00:00", 4) == [
        "10-24 23:00:00",
        "10-25 00:00:00",
        "10-25 02:00:00",
        "10-26 00:00:00",
    ]


def test_a_daemon_that_starts_in_the_second_pass_waits_for_the_next_day() -> None:
    """The time was in the first pass, and is over."""
    assert times(Cron("45 2 * * *", BERLIN), "2026-10-25T01:10:00", 1) == ["10-26 01:45:00"]


@pytest.mark.parametrize("night", ["2026-03-28T22:00:00", "2026-10-24T22:00:00"])
def test_what_runs_in_every_hour_goes_on_through_both_changes(night: str) -> None:
    """Every half an hour, whatever the clock on the wall does."""
    cron = Cron("*/30 * * * *", BERLIN)
    moment = ns(night)
    for _ in range(16):
        following = cron.next_after(moment)
        assert following == moment + 1800 * SECOND_NS
        moment = following


def test_a_change_of_half_an_hour() -> None:
    """Lord Howe Island has one, and a midnight that Cairo skips is none. Those of the Chatham
    Islands begin and end at a quarter."""
    lord_howe = Cron("15 2 * * *", "Australia/Lord_Howe")
    assert times(lord_howe, "2026-10-03T00:00:00", 2) == ["10-04 15:15:00", "10-05 15:15:00"]
    cairo = Cron("0 0 * * *", "Africa/Cairo")
    assert times(cairo, "2026-04-22T12:00:00", 2) == ["04-22 22:00:00", "04-24 21:00:00"]
    assert times(Cron("30 1 24 4 *", "Africa/Cairo"), "2026-04-22T12:00:00", 1) == [
        "04-23 22:30:00"
    ]
    chatham = Cron("50 3 * * *", "Pacific/Chatham")
    assert times(chatham, "2027-09-25T00:00:00", 2) == ["09-25 14:05:00", "09-26 14:05:00"]


@given(
    st.sampled_from(["*/7 * * * *", "3 4 * * *", "0 0 1 * *", "5 * * * * *", "@every 7m"]),
    st.integers(0, 4 * 10**9),
    st.integers(0, 10**7),
)
def test_the_last_time_is_the_one_before_the_next(text: str, moment: int, gap: int) -> None:
    """Nothing lies between it and the moment, and it is in the window that was asked for."""
    cron, moment_ns = Cron(text, BERLIN), moment * SECOND_NS
    after_ns = moment_ns - gap * SECOND_NS
    last = cron.last_until(moment_ns, after_ns)
    if last is None:
        following = cron.next_after(after_ns)
        assert following is None or following > moment_ns
    else:
        assert after_ns < last <= moment_ns
        following = cron.next_after(last)
        assert following is None or following > moment_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-3 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "* * * * MON#2",
        "0 0 L * *",
        "0 0 30 2 *",
        "@every",
        "@every 0s",
        "@every 10ms",
        "@every soon",
        "@reboot",
        "-1 * * * *",
        "1--3 * * * *",
        "٣ * * * *",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """It is said what would be one."""
    with pytest.raises(Refusal, match="allowed: "):
        Cron(text)


@pytest.mark.parametrize(
    "name", ["", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "CET\0"]
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    """Nor a file."""
    with pytest.raises(Refusal, match="time zone"):
        Cron("@hourly", name)


@given(st.text(alphabet="0123456789*/-,? LW#@everyh", max_size=20))
def test_no_text_breaks_the_reader(text: str) -> None:
    """It is read, or refused."""
    try:
        cron = Cron(text)
    except Refusal:
        return
    following = cron.next_after(ns("2026-11-24T08:00:00"))
    assert following is not None
    assert timedelta(0) < timedelta(microseconds=(following - ns("2026-11-24T08:00:00")) / 1000)
