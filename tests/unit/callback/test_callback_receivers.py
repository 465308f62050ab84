"""Who receives callbacks, and how much each may have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.call.callback_url import parse
from faasd_async.callback.receivers import (
    FAILURES_UNTIL_REST,
    FIRST_REST_SECONDS,
    LONGEST_REST_SECONDS,
    MOST_KNOWN,
    SLOTS,
    Receiver,
    Receivers,
)

MOST = 100
HALF = MOST // 2
QUICK, SLOW = 0.005, 10.0


class House:
    """Receivers on a clock; random numbers are the highest there could be."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.receivers = Receivers(self.clock, MOST, uniform=lambda low, high: high)

    def find(self, url: str = "http://h/") -> Receiver:
        return self.receivers.find(parse(url.encode()))

    def fill(self, receiver: Receiver) -> int:
        """Hold as many as there are places for; returns how many that were."""
        count = 0
        while self.receivers.has_place(receiver):
            self.receivers.hold(receiver)
            count += 1
        return count

    def empty(self, receiver: Receiver) -> None:
        while receiver.held:
            self.receivers.let_go(receiver)

    def answers(self, receiver: Receiver, seconds: float = QUICK, times: int = 200) -> None:
        for _ in range(times):
            self.receivers.answered(receiver, seconds)

    def fails(self, receiver: Receiver, times: int = 1) -> None:
        for _ in range(times):
            self.receivers.failed(receiver, "refused")

    def places(self, receiver: Receiver) -> int:
        """How many there are at this moment."""
        count = self.fill(receiver)
        for _ in range(count):
            self.receivers.let_go(receiver)
        return count


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as events:
        yield events


def test_a_receiver_is_a_scheme_a_host_and_a_port(house: House) -> None:
    """Whatever path, credentials or case."""
    one = house.find("http://h/a")
    assert house.find("http://u:p@H:80/b?c") is one
    others = ["https://h/", "http://h:81/", "http://g/"]
    assert all(house.find(url) is not one for url in others)


def test_a_stranger_holds_two(house: House) -> None:
    """Until it has answered."""
    assert house.places(house.find()) == 2


def test_who_answers_holds_more_with_each_answer(house: House) -> None:
    """One more, up to half of what there is."""
    receiver = house.find()
    house.answers(receiver, times=1)
    assert house.places(receiver) == 3
    house.answers(receiver)
    assert house.places(receiver) == HALF


def test_who_is_slow_holds_what_is_under_way(house: House) -> None:
    """Others that wait would wait for long."""
    receiver = house.find()
    house.answers(receiver, SLOW)
    assert house.places(receiver) == SLOTS


def test_who_does_not_answer_is_held_to_two(house: House) -> None:
    """At once."""
    receiver = house.find()
    house.answers(receiver)
    house.fails(receiver)
    assert house.places(receiver) == 2


def test_who_does_not_answer_time_and_again_rests(house: House) -> None:
    """For longer and longer, up to a bound; a single callback tries each time."""
    receiver = house.find()
    house.fails(receiver, FAILURES_UNTIL_REST - 1)
    assert house.places(receiver) == 2
    rests = []
    for _ in range(8):
        house.fails(receiver)
        assert house.receivers.is_resting(receiver)
        assert house.places(receiver) == 0
        began = house.clock.seconds()
        house.clock.advance(receiver.rests_until - began)
        rests.append(house.clock.seconds() - began)
        assert house.places(receiver) == 1
    assert rests[:3] == [FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS, 4 * FIRST_REST_SECONDS]
    assert rests[-1] == LONGEST_REST_SECONDS


def test_what_was_under_way_does_not_prolong_a_rest(house: House) -> None:
    """Its failure is one with those before."""
    receiver = house.find()
    house.fails(receiver, FAILURES_UNTIL_REST)
    until = receiver.rests_until
    house.fails(receiver, SLOTS)
    assert (receiver.rests_until, receiver.rests) == (until, 1)


def test_an_answer_ends_a_rest(house: House) -> None:
    """It is a receiver like others again, and the next rest is short."""
    receiver = house.find()
    for _ in range(5):
        house.fails(receiver, FAILURES_UNTIL_REST)
        house.clock.advance(LONGEST_REST_SECONDS)
    house.answers(receiver, times=1)
    assert house.places(receiver) == 3
    house.fails(receiver, FAILURES_UNTIL_REST)
    assert receiver.rests_until - house.clock.seconds() == FIRST_REST_SECONDS


def test_those_that_do_not_answer_share_half(house: House) -> None:
    """However many they are; who answers finds a place still."""
    friend = house.find("http://friend/")
    house.answers(friend, times=1)
    held = sum(house.fill(house.find(f"http://h{number}/")) for number in range(MOST))
    assert held == HALF
    assert house.places(friend) == 3


def test_who_stops_answering_joins_those_that_do_not(house: House) -> None:
    """With all that it holds, and leaves them with it."""
    receiver = house.find()
    house.answers(receiver)
    assert house.fill(receiver) == HALF
    house.fails(receiver)
    assert house.places(house.find("http://other/")) == 0
    house.answers(receiver, times=1)
    assert house.places(house.find("http://other/")) == 2
    house.fails(receiver)
    house.empty(receiver)
    assert house.places(house.find("http://other/")) == 2


def test_what_finds_no_place_joins_a_line(house: House) -> None:
    """So many come back a second, one after the other."""
    receiver = house.find()
    waits = [house.receivers.away_seconds(receiver) for _ in range(1001)]
    assert waits == sorted(set(waits))
    assert waits[1000] - waits[0] == pytest.approx(2.0)


def test_a_line_moves_on(house: House) -> None:
    """With the time."""
    receiver = house.find()
    first = house.receivers.away_seconds(receiver)
    house.clock.advance(10)
    assert house.receivers.away_seconds(receiver) == pytest.approx(first)


@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0, 30.0])
def test_nobody_is_away_for_less_than_an_answer(house: House, seconds: float) -> None:
    """Nor for much less, or much longer."""
    receiver = house.find()
    house.answers(receiver, seconds, 2000)
    away = house.receivers.away_seconds(receiver)
    assert min(seconds, 5.0) * 0.99 <= away
    assert 0.05 <= away <= 5.1


def test_nobody_comes_back_before_the_rest_is_over(house: House) -> None:
    """Each would only be sent away again."""
    receiver = house.find()
    house.fails(receiver, FAILURES_UNTIL_REST)
    house.clock.advance(FIRST_REST_SECONDS)
    house.fails(receiver, 1)
    for _ in range(4):
        house.clock.advance(receiver.rests_until - house.clock.seconds())
        house.fails(receiver, 1)
    assert house.receivers.away_seconds(receiver) > LONGEST_REST_SECONDS / 2


def test_the_longest_line_has_an_end(house: House) -> None:
    """Whoever would stand behind it comes back sooner."""
    receiver = house.find()
    waits = [house.receivers.away_seconds(receiver) for _ in range(310_000)]
    assert max(waits) <= 600


def test_a_quick_receiver_is_waited_for(house: House) -> None:
    """There is no room for more than it has places for."""
    receiver = house.find()
    house.answers(receiver)
    assert house.receivers.room() == MOST
    house.fill(receiver)
    assert house.receivers.room() == 0
    house.receivers.let_go(receiver)
    assert house.receivers.room() == 1


@pytest.mark.parametrize("seconds", [0.2, SLOW])
def test_a_slow_receiver_is_not_waited_for(house: House, seconds: float) -> None:
    """Its callbacks go to the line, and what lies behind them comes."""
    receiver = house.find()
    house.answers(receiver, seconds)
    house.fill(receiver)
    assert house.receivers.room() == MOST


def test_a_quick_receiver_that_stops_answering_is_not_waited_for(house: House) -> None:
    """Before any of its callbacks has failed."""
    receiver = house.find()
    house.answers(receiver)
    house.fill(receiver)
    house.clock.advance(1)
    assert house.receivers.room() == MOST


def test_who_was_not_asked_for_longest_is_forgotten(house: House) -> None:
    """There is a bound to how many are known."""
    first, second = house.find("http://first/"), house.find("http://second/")
    house.find("http://first/")
    for number in range(MOST_KNOWN - 1):
        house.find(f"http://h{number}/")
    assert house.find("http://first/") is first
    assert house.find("http://second/") is not second


def test_who_holds_something_is_not_forgotten(house: House) -> None:
    """It is known as long as it does."""
    receiver = house.find()
    house.fill(receiver)
    for number in range(2 * MOST_KNOWN):
        house.find(f"http://h{number}/")
    assert house.find() is receiver


def test_the_operator_is_told_once(house: House, events: list[LogEvent]) -> None:
    """Who takes no callbacks and why, and that it takes them again."""
    receiver = house.find("http://u:s3cr3t@[::1]:81/")
    for _ in range(3):
        house.fails(receiver, FAILURES_UNTIL_REST)
        house.clock.advance(LONGEST_REST_SECONDS)
    house.answers(receiver)
    told = [event for event in events if event["log_level"] > LogLevel.debug]
    assert [(event["log_level"], formatEvent(event)) for event in told] == [
        (
            LogLevel.warn,
            "http://[::1]:81 takes no callbacks (refused): they wait, and one will try again in "
            "2.0 s",
        ),
        (LogLevel.info, "http://[::1]:81 takes callbacks again"),
    ]
