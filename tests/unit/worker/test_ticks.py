"""Schedules: a call at each time, whoever follows them and whatever the clock does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from worker_house import PaperFunction, result_of

from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueUnavailable
from faasd_async.queue.interface import OfFunction
from faasd_async.queue.memory import MemoryQueue
from faasd_async.runtime.deployments import Deployments
from faasd_async.settings import FunctionSettings, ScheduleSettings
from faasd_async.worker.ticks import LATE_SECONDS, LOOK_SECONDS, Ticks

NOON = 1_795_521_600  # 2026-11-24T12:00:00Z
DAY = 86400.0


class Wall:
    """The clock on the wall, which can be put forward and back.

    :ivar offset: what it shows beyond the monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset = float(NOON)

    def now_ns(self) -> int:
        return round((self.offset + self._clock.seconds()) * 1e9)


class House:
    """Daemons that follow schedules, on one queue."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wall = Wall(self.clock)
        self.queue: Any = MemoryQueue(self.clock, 30.0)
        self.accepted: list[QueueRequest] = []
        self.daemons: list[tuple[Ticks, Deployments]] = []

    def daemon(self, cron: str = "* * * * *", wall: Wall | None = None, **more: Any) -> Ticks:
        """One more starts."""
        deployments = Deployments(lambda _: PaperFunction([]))
        self.deploy(deployments, cron, **more)
        ticks = Ticks(
            self.clock,
            self.queue,
            deployments,
            now_ns=(wall or self.wall).now_ns,
            accepted=self.accepted.append,
        )
        ticks.start()
        self.daemons.append((ticks, deployments))
        return ticks

    def deploy(self, deployments: Deployments, cron: str, **more: Any) -> None:
        schedule = ScheduleSettings(cron=cron, **more)
        function = FunctionSettings(
            name="f", url="http://f/", max_inflight=1, max_body_bytes=1, schedule=schedule
        )
        Deferred.fromCoroutine(deployments.deploy({"f": function}))

    def dies(self) -> None:
        """All daemons are gone."""
        for ticks, _ in self.daemons:
            ticks.stop_taking()
        self.daemons.clear()

    def passes(self, seconds: float) -> None:
        """Time goes by, second by second."""
        for _ in range(round(seconds)):
            self.clock.advance(1)

    @property
    def times(self) -> list[str]:
        """What the calls say of their times."""
        return [dict(each.headers)[b"X-Scheduled-At"].decode() for each in self.accepted]


@pytest.fixture
def house() -> Iterator[House]:
    """After a test nothing goes on."""
    with capturedLogs() as events:
        house = House()
        yield house
        house.dies()
    assert house.clock.getDelayedCalls() == []
    assert [event for event in events if "log_failure" in event] == []


def test_a_function_is_called_at_its_times(house: House) -> None:
    """With its payload, through the queue, with ids as any call has them."""
    house.daemon("*/2 * * * *", payload="now")
    house.passes(245)
    assert house.times == ["2026-11-24T12:02:00Z", "2026-11-24T12:04:00Z"]
    taken: list[Any] = []
    house.queue.take_calls(OfFunction("f"), taken.append, lambda: 2 - len(taken)).stop()
    assert [each.parcel for each in taken] == house.accepted
    request = house.accepted[0]
    assert (request.body, request.target, request.queue) == (b"now", b"/", "default")
    assert request.start_time_ns == (NOON + 120) * 10**9
    assert (b"X-Call-Id", request.key.call_id.encode()) in request.headers
    for each in taken:
        each.settle()


def test_each_time_is_kept_once_by_many_daemons(house: House) -> None:
    """Though their clocks differ by seconds."""
    fast = Wall(house.clock)
    fast.offset += 3
    for wall in (house.wall, fast, house.wall):
        house.daemon(wall=wall)
    house.passes(300)
    assert len(house.accepted) == len(set(house.times)) == 5


def test_a_daemon_that_comes_back_within_a_minute_misses_nothing(house: House) -> None:
    """It died before the time, and is back after it."""
    house.daemon()
    house.passes(50)
    house.dies()
    house.passes(30)
    house.daemon()
    assert house.times == ["2026-11-24T12:01:00Z"]
    house.dies()
    house.daemon()
    assert len(house.accepted) == 1


def test_what_was_kept_is_noted(house: House) -> None:
    """So that it is not kept again where the record of its call is gone already."""
    house.daemon()
    house.passes(70)
    house.dies()
    house.queue.keyed = MemoryQueue(house.clock, 30.0).keyed
    house.daemon()
    assert house.times == ["2026-11-24T12:01:00Z"]


@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1)])
def test_times_that_were_missed(house: House, missed: str, count: int) -> None:
    """Skipped, or made up for with one call for the last of them."""
    house.daemon("0 * * * *", missed=missed)
    house.passes(1)
    house.dies()
    house.clock.advance(3 * 3600 + 1800)
    house.daemon("0 * * * *", missed=missed)
    assert house.times == ["2026-11-24T15:00:00Z"] * count
    house.passes(1800)
    assert house.times[count:] == ["2026-11-24T16:00:00Z"]


def test_a_schedule_that_is_new_has_missed_nothing(house: House) -> None:
    """Nor has another one of the same function, which replaces it."""
    house.daemon("0 * * * *", missed="once")
    assert house.accepted == []
    house.dies()
    house.clock.advance(7200)
    house.daemon("30 * * * *", missed="once")
    assert house.accepted == []


def test_a_change_of_the_settings_counts_at_once(house: House) -> None:
    """And whoever wanted to know of it before is told as well."""
    ticks = house.daemon("0 0 1 1 *")
    deployments = house.daemons[0][1]
    house.deploy(deployments, "* * * * *")
    house.passes(60)
    assert len(house.accepted) == 1
    house.deploy(deployments, "")
    house.passes(120)
    assert len(house.accepted) == 1
    assert result_of(ticks.when_idle()) is None


# -- clocks


def test_a_clock_that_is_put_forward_by_a_day(house: House) -> None:
    """What it skips is missed, not kept a thousand times; what is a minute past is kept."""
    house.daemon()
    house.passes(61)
    house.wall.offset += DAY
    house.passes(LOOK_SECONDS + 60)
    assert house.times[0] == "2026-11-24T12:01:00Z"
    assert house.times[1:] == ["2026-11-25T12:01:00Z", "2026-11-25T12:02:00Z"]


def test_a_clock_that_is_put_back_by_a_day(house: House) -> None:
    """What was kept is not kept again."""
    house.daemon("0 * * * *")
    house.passes(3600)
    assert house.times == ["2026-11-24T13:00:00Z"]
    house.wall.offset -= DAY
    house.clock.advance(0)
    for _ in range(25 * 60):
        house.clock.advance(60)
    assert house.times == ["2026-11-24T13:00:00Z", "2026-11-24T14:00:00Z"]


def test_a_clock_that_was_years_ahead(house: House) -> None:
    """Once it is right, its times come again."""
    house.wall.offset += 3 * 366 * DAY
    house.daemon()
    house.passes(60)
    house.wall.offset -= 3 * 366 * DAY
    house.passes(LOOK_SECONDS + 60)
    assert [each[:4] for each in house.times] == ["2029", "2026"]


def test_a_machine_that_begins_in_1970(house: House) -> None:
    """The years until it knows the time are missed, not kept one by one."""
    house.wall.offset = 0.0
    house.daemon(missed="once")
    house.passes(60)
    house.wall.offset = float(NOON)
    house.passes(LOOK_SECONDS)
    assert [each[:4] for each in house.times] == ["1970", "2026"]


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        ("2026-03-28T22:00:00+00:00", ["2026-03-30T00:30:00Z"]),
        ("2026-10-24T22:00:00+00:00", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
    ],
)
def test_the_nights_on_which_clocks_are_changed(
    house: House, begins: str, expected: list[str]
) -> None:
    """Half past two in Berlin is skipped in spring, and comes once in autumn."""
    house.wall.offset = datetime.fromisoformat(begins).astimezone(UTC).timestamp()
    house.daemon("30 2 * * *", timezone="Europe/Berlin")
    for _ in range(30 * 60):
        house.clock.advance(60)
    assert house.times == expected


# -- an operator, and a queue that is away


def test_a_schedule_that_was_removed_does_not_come(house: House) -> None:
    """For all daemons, across restarts, until it is restored or another takes its place."""
    house.daemon()
    house.queue.schedules.remove("f", "* * * * * UTC")
    house.passes(120)
    house.dies()
    house.daemon()
    house.passes(60)
    assert house.accepted == []
    house.queue.schedules.remove("f", "")
    house.passes(60)
    assert len(house.accepted) == 1
    house.queue.schedules.remove("f", "* * * * * UTC")
    house.dies()
    house.daemon("*/1 * * * *")
    house.passes(60)
    assert len(house.accepted) == 2


def refusing(answers: list[Exception]) -> Callable[..., Deferred[Any]]:
    def put(request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Any]:
        return fail(answers.pop()) if answers else succeed(None)

    return put


def test_a_time_waits_for_a_queue_that_is_away(house: House) -> None:
    """It is kept when the queue is back."""
    house.queue.keyed.put = refusing([QueueUnavailable("away")] * 10)
    house.daemon("0 * * * *")
    house.passes(3600)
    assert house.accepted == []
    house.passes(10)
    assert house.times == ["2026-11-24T13:00:00Z"]


@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1)])
def test_a_queue_that_is_away_for_long(house: House, missed: str, count: int) -> None:
    """What is more than a minute past is skipped, or insisted on."""
    house.queue.keyed.put = refusing([QueueUnavailable("away")] * round(LATE_SECONDS + 30))
    house.daemon("0 * * * *", missed=missed)
    house.passes(3600 + LATE_SECONDS + 60)
    assert len(house.accepted) == count


def test_a_queue_that_is_away_at_the_start(house: House) -> None:
    """The schedule begins when it is there."""
    last, answers = house.queue.schedules.last, [QueueUnavailable("away")] * 5
    house.queue.schedules.last = lambda name: fail(answers.pop()) if answers else last(name)
    house.daemon()
    house.passes(60)
    assert house.times == ["2026-11-24T12:01:00Z"]
