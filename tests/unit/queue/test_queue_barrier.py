"""The group-commit barrier, step by step: what the thread does, what the reactor sees."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.errors import MaybeStored, QueueError
from faasd_async.queue.jetstream import durability
from faasd_async.queue.jetstream.durability import (
    LONGEST_WAITING,
    MEASURED_FLUSHES,
    SLOW_FLUSH_SECONDS,
    Acknowledged,
    Barrier,
    Promise,
    SomebodyElses,
    syncfs,
)

EIO = OSError(errno.EIO, "Input/output error")
ENOSPC = OSError(errno.ENOSPC, "No space left on device")


class PaperThread:
    """A thread, which works when the test says so."""

    def __init__(self, name: str) -> None:
        self.jobs: list[Callable[[], object]] = []
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        while self.jobs:
            self.works()
        self.running = False

    def do(self, job: Callable[[], object]) -> None:
        self.jobs.append(job)

    def works(self) -> None:
        """Do one job, whose news the reactor does not have yet."""
        self.jobs.pop(0)()


class PaperReactor(Clock):
    """A reactor whose turns are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[Callable[[], None]] = []

    def callFromThread(  # noqa: N802
        self, action: Callable[..., Any], *args: object, **named: object
    ) -> None:
        self.news.append(lambda: action(*args, **named))

    def turn(self) -> None:
        """Hear what the thread has said."""
        news, self.news = self.news, []
        for each in news:
            each()


class Disk:
    """What the barrier flushes.

    :ivar failure: what the next flushes fail with.
    :ivar seconds: how long one takes.
    """

    def __init__(self, clock: Clock) -> None:
        self.failure: OSError | None = None
        self.seconds = 0.0
        self.flushes = 0
        self._clock = clock

    def flush(self, descriptor: int) -> None:
        assert descriptor >= 0
        self.flushes += 1
        self._clock.rightNow += self.seconds
        if self.failure is not None:
            raise self.failure


class PaperGround:
    """What the store lies on.

    :ivar lost: what is known.
    :ivar gone: what is found when it is looked.
    """

    def __init__(self) -> None:
        self.lost: str | None = None
        self.gone: str | None = None

    def glance(self) -> str | None:
        self.lost = self.gone
        return self.lost


class House:
    """A barrier and what it works with.

    :ivar told: what became of each promise, by name.
    :ivar covered: for how many each flush was that was for somebody.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durability, "SideThread", PaperThread)
        self.covered: list[int] = []
        self.reactor = PaperReactor()
        self.disk = Disk(self.reactor)
        self.ground = PaperGround()
        self.barrier = Barrier(
            self.reactor,  # type: ignore[arg-type]
            str(directory),
            self.disk.flush,
            self.ground,
            lambda promises, seconds: self.covered.append(promises),
        )
        thread = self.barrier._thread
        assert isinstance(thread, PaperThread)
        self.thread = thread
        self.told: dict[str, QueueError | None] = {}

    def promise(self, name: str) -> Promise:
        def tell(reason: QueueError | None) -> None:
            assert name not in self.told
            self.told[name] = reason

        return tell

    def joins(self, name: str) -> None:
        self.barrier.when_durable(self.promise(name))

    def flush_ends(self) -> None:
        """One flush, and the news of it."""
        self.thread.works()
        self.reactor.turn()

    def measured(self) -> None:
        """The flushes at the start are over."""
        for _ in range(MEASURED_FLUSHES):
            self.flush_ends()
        assert self.thread.jobs == []
        self.disk.flushes = 0


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    house = House(tmp_path, monkeypatch)
    house.barrier.start()
    yield house
    house.barrier.stop()
    assert not house.thread.running
    assert house.reactor.getDelayedCalls() == []


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as events:
        yield events


def test_a_promise_waits_for_its_flush(house: House) -> None:
    """Neither joining nor the thread's work gives it: the reactor has to hear of the flush."""
    house.measured()
    house.joins("a")
    assert house.told == {}
    house.thread.works()
    assert house.told == {}
    house.reactor.turn()
    assert house.told == {"a": None}


def test_a_flush_covers_who_had_joined_before_it(house: House) -> None:
    """Whoever joins while it is under way waits for the next one."""
    house.measured()
    house.joins("a")
    house.joins("b")
    house.flush_ends()
    assert house.told == {"a": None}
    house.flush_ends()
    assert house.told == {"a": None, "b": None}


def test_who_joins_behind_the_flush_is_not_covered_by_it(house: House) -> None:
    """Even if the reactor has not heard yet that it is over."""
    house.measured()
    house.joins("a")
    house.thread.works()
    house.joins("late")
    house.reactor.turn()
    assert house.told == {"a": None}
    house.flush_ends()
    assert house.told == {"a": None, "late": None}


def test_one_flush_for_all_who_gathered(house: House) -> None:
    """In the order they joined."""
    house.measured()
    house.joins("first")
    for number in range(100):
        house.joins(f"{number}")
    house.flush_ends()
    house.joins("last")
    house.flush_ends()
    assert list(house.told) == ["first", *(f"{number}" for number in range(100))]
    assert house.disk.flushes == 2
    house.flush_ends()
    assert house.told["last"] is None
    assert (house.disk.flushes, house.barrier.flushes) == (3, 3)


def test_it_is_told_for_how_many_a_flush_was(house: House) -> None:
    """Of those that measure the disk for nobody, nothing is told."""
    house.measured()
    house.joins("first")
    for number in range(3):
        house.joins(f"{number}")
    house.flush_ends()
    house.flush_ends()
    assert house.covered == [1, 3]


def test_who_joins_when_it_is_promised(house: House) -> None:
    """A promise may put the next parcel in: it is not covered by the flush that is over."""
    house.measured()
    house.barrier.when_durable(lambda _: house.joins("next"))
    house.flush_ends()
    assert house.told == {}
    house.flush_ends()
    assert house.told == {"next": None}


def test_the_disk_does_not_wait_for_those_who_are_told(house: House) -> None:
    """The next flush is under way while they still do something about their promise."""
    house.measured()
    jobs: list[int] = []
    house.barrier.when_durable(lambda _: jobs.append(len(house.thread.jobs)))
    house.joins("next")
    house.flush_ends()
    assert jobs == [1]


def test_an_idle_barrier_flushes_nothing(house: House) -> None:
    """Without parcels the disk has its rest."""
    house.measured()
    house.joins("a")
    house.flush_ends()
    assert house.thread.jobs == []


def test_a_failed_flush(house: House, events: list[LogEvent]) -> None:
    """All who wait are refused, those it covered and those who gathered; once is enough."""
    house.measured()
    house.joins("covered")
    house.joins("gathered")
    house.disk.failure = EIO
    house.flush_ends()
    assert list(house.told) == ["covered", "gathered"]
    assert [str(reason) for reason in house.told.values()] == [f"the disk failed: {EIO}"] * 2
    assert {type(reason) for reason in house.told.values()} == {MaybeStored}
    (event,) = events
    assert event["log_level"] is LogLevel.critical
    assert "Check the disk, then restart the machine." in formatEvent(event)


@pytest.mark.parametrize("failure", [EIO, ENOSPC], ids=["EIO", "ENOSPC"])
def test_after_a_failed_flush_nothing_is_promised_any_more(house: House, failure: OSError) -> None:
    """Though the next flush might succeed: the kernel reports an error once."""
    house.measured()
    house.joins("a")
    assert house.barrier.why_refused() is None
    house.disk.failure = failure
    house.flush_ends()
    house.disk.failure = None
    assert house.barrier.why_refused() == f"the disk failed: {failure}"
    house.joins("b")
    assert house.thread.jobs == []
    assert isinstance(house.told["b"], MaybeStored)


def test_the_barrier_has_a_bound(house: House) -> None:
    """One more is not to be stored, those who wait are promised; and there is room again later."""
    house.measured()
    house.joins("first")
    for number in range(LONGEST_WAITING):
        house.joins(f"{number}")
    assert house.barrier.why_refused() == f"{LONGEST_WAITING} calls wait for the disk already"
    house.joins("over")
    assert isinstance(house.told.pop("over"), MaybeStored)
    house.flush_ends()
    assert house.barrier.why_refused() is None
    house.joins("again")
    house.flush_ends()
    house.flush_ends()
    assert set(house.told.values()) == {None}
    assert len(house.told) == LONGEST_WAITING + 2


def test_one_who_cannot_bear_the_news(house: House, events: list[LogEvent]) -> None:
    """The others are told all the same, and the next flush is under way."""
    house.measured()

    def fails(reason: QueueError | None) -> None:
        raise RuntimeError("a bug")

    house.barrier.when_durable(fails)
    house.joins("gathered")
    house.barrier.when_durable(fails)
    house.joins("behind")
    house.flush_ends()
    house.flush_ends()
    assert house.told == {"gathered": None, "behind": None}
    assert [event["log_failure"].type for event in events] == [RuntimeError] * 2


def test_stopping_promises_what_waits(house: House) -> None:
    """The flush under way is finished first."""
    house.measured()
    house.joins("a")
    house.barrier._thread.stop()
    house.reactor.turn()
    assert house.told == {"a": None}


def test_who_gathered_behind_the_last_flush_is_told_too(house: House) -> None:
    """That there is no further one; and so is whoever comes when all is over."""
    house.measured()
    house.joins("covered")
    house.joins("gathered")
    house.barrier.stop()
    house.reactor.turn()
    house.joins("late")
    assert house.told.pop("covered") is None
    assert {name: str(reason) for name, reason in house.told.items()} == {
        "gathered": "the daemon is stopping",
        "late": "the daemon is stopping",
    }
    assert {type(reason) for reason in house.told.values()} == {MaybeStored}


def test_what_is_flushed_into_a_store_that_is_gone_is_not_promised(house: House) -> None:
    """Nor is anything that comes after it."""
    house.measured()
    house.joins("covered")
    house.joins("gathered")
    house.ground.gone = "it was deleted"
    house.flush_ends()
    house.joins("late")
    assert {str(reason) for reason in house.told.values()} == {"it was deleted"}
    assert list(house.told) == ["covered", "gathered", "late"]
    assert house.barrier.why_refused() == "it was deleted"
    assert house.thread.jobs == []


def test_where_the_store_is_known_to_be_gone_nothing_is_stored(house: House) -> None:
    """The barrier, or the broker's acknowledgement alone: whatever promises are made by."""
    house.measured()
    house.ground.lost = "it was deleted"
    alone = Acknowledged(house.ground)
    assert (house.barrier.why_refused(), alone.why_refused()) == ("it was deleted",) * 2
    told: list[QueueError | None] = []
    alone.when_durable(told.append)
    assert isinstance(told[0], MaybeStored)


def test_a_slow_disk_is_complained_about(house: House, events: list[LogEvent]) -> None:
    """At the start, with its time and with what can be done."""
    house.disk.seconds = SLOW_FLUSH_SECONDS * 2
    house.measured()
    (event,) = events
    assert event["log_level"] is LogLevel.warn
    assert "takes 200 ms" in formatEvent(event)
    assert '[queue] durability = "process"' in formatEvent(event)


def test_a_fast_disk_is_not(house: House, events: list[LogEvent]) -> None:
    """Up to the bound nobody is told."""
    house.disk.seconds = SLOW_FLUSH_SECONDS / 2
    house.measured()
    assert events == []


def test_one_hiccup_is_no_slow_disk(house: House, events: list[LogEvent]) -> None:
    """The slowest flush does not count, the one before it would."""
    house.disk.seconds = SLOW_FLUSH_SECONDS * 2
    house.flush_ends()
    house.disk.seconds = 0.0
    for _ in range(MEASURED_FLUSHES - 1):
        house.flush_ends()
    assert (house.thread.jobs, events) == ([], [])


def test_measuring_keeps_nobody_waiting(house: House) -> None:
    """A parcel waits for the flush under way and for its own, not for all that are to be timed."""
    house.joins("early")
    house.flush_ends()
    assert house.told == {}
    house.flush_ends()
    assert house.told == {"early": None}


def test_a_disk_that_fails_at_the_start(house: House) -> None:
    """It is found before the first parcel comes."""
    house.disk.failure = EIO
    house.flush_ends()
    assert house.barrier.why_refused() == f"the disk failed: {EIO}"


def test_a_disk_that_fails_at_the_start_while_a_call_waits(house: House) -> None:
    """The kernel reports an error once: no flush that comes after it is asked."""
    house.joins("a")
    house.disk.failure = EIO
    house.flush_ends()
    assert isinstance(house.told["a"], MaybeStored)
    assert house.thread.jobs == []


def test_a_missing_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The barrier does not start without it."""
    house = House(tmp_path / "missing", monkeypatch)
    with pytest.raises(FileNotFoundError):
        house.barrier.start()


def test_acknowledged_is_enough() -> None:
    """``durability = "process"`` promises at once."""
    told: list[QueueError | None] = []
    acknowledged = Acknowledged()
    acknowledged.start()
    assert acknowledged.why_refused() is None
    acknowledged.when_durable(told.append)
    acknowledged.stop()
    assert told == [None]


@pytest.mark.parametrize(
    ("replicas", "level", "words"),
    [
        (1, LogLevel.warn, "sync_interval: always"),
        (3, LogLevel.info, "the 3 servers that keep each call"),
    ],
)
def test_what_somebody_elses_server_is_relied_on_for(
    events: list[LogEvent], replicas: int, level: LogLevel, words: str
) -> None:
    """Its disk cannot be flushed from here, and the log says what stands in for that."""
    SomebodyElses(replicas).start()
    (event,) = events
    assert event["log_level"] is level
    assert words in formatEvent(event)


def test_the_kernels_reason() -> None:
    """A flush that cannot be done says why."""
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        syncfs(-1)
    assert caught.value.errno == errno.EBADF
