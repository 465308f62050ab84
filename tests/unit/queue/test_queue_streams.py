"""Bringing the streams up, with a broker of paper."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from msgspec import structs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.errors import QueueFull, StartError
from faasd_async.nats.jetstream import (
    ResourcesExceeded,
    StreamConfig,
    StreamInfo,
    StreamNotFound,
    StreamState,
)
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.streams import StoreDisk, Streams

MIB = 2**20
GIB = 2**30
LAYOUT = Layout(
    calls_bytes=2 * GIB,
    callbacks_bytes=2 * GIB,
    later_bytes=2 * GIB,
    outcomes_bytes=512 * MIB,
    dead_bytes=512 * MIB,
    replicas=1,
    ack_wait_seconds=30.0,
)


class PaperJetStream:
    """Has the streams that the test gives it.

    :ivar ensured: the streams as they were asked for.
    :ivar is_old: it has never heard of schedules.
    """

    def __init__(self) -> None:
        self.there: dict[str, StreamInfo] = {}
        self.ensured: dict[str, StreamConfig] = {}
        self.is_old = False

    def has(self, config: StreamConfig, size_bytes: int, messages: int = 1) -> StreamInfo:
        state = StreamState(messages, size_bytes, 1, 41 + messages, 0)
        self.there[config.name] = StreamInfo(config, datetime.now(UTC), state)
        return self.there[config.name]

    def stream_info(self, name: str) -> Deferred[StreamInfo]:
        if name not in self.there:
            return fail(StreamNotFound(404, 10059, "stream not found"))
        return succeed(self.there[name])

    def ensure_stream(self, config: StreamConfig) -> Deferred[StreamInfo]:
        self.ensured[config.name] = config
        if self.is_old:
            config = structs.replace(config, allow_msg_schedules=False)
        return succeed(self.there.get(config.name) or self.has(config, 0, 0))


class House:
    """Streams on a disk."""

    def __init__(self) -> None:
        self.jetstream = PaperJetStream()
        self.free_bytes: int | None = 100 * GIB
        disk = StoreDisk(lambda: self.free_bytes, 256 * MIB)
        self.streams = self.make(disk)

    def make(self, disk: StoreDisk | None) -> Streams:
        return Streams(self.jetstream, LAYOUT, disk)  # type: ignore[arg-type]

    def brings_up(self) -> dict[str, int]:
        result: list[dict[str, int]] = []
        Deferred.fromCoroutine(self.streams.bring_up()).addCallback(result.append)
        (sequences,) = result
        return sequences


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    with capturedLogs() as events:
        yield events


def test_where_there_is_room(house: House, events: list[LogEvent]) -> None:
    """The quotas are those that were asked for, and nobody is told anything."""
    sequences = house.brings_up()
    assert house.streams.layout == LAYOUT
    assert house.jetstream.ensured == {each.name: each for each in LAYOUT.streams}
    assert sequences == dict.fromkeys(house.jetstream.ensured, 41)
    assert events == []


def test_where_there_is_not(house: House, events: list[LogEvent]) -> None:
    """They shrink, and one line names each setting, what it was and what it is."""
    house.free_bytes = 2 * GIB
    house.brings_up()
    ensured = house.jetstream.ensured
    assert ensured["FAAS_CALLS"].max_bytes == house.streams.layout.calls_bytes < GIB
    (event,) = events
    assert event["log_level"] is LogLevel.warn
    line = formatEvent(event)
    assert "the disk has 2048 MiB free" in line
    assert "[queue] max_bytes (calls) is 2048 MiB and becomes" in line
    assert "[queue] dead_letters_max_bytes is 512 MiB and becomes" in line


def test_what_waits_already_keeps_its_room(house: House) -> None:
    """On a disk that is full of it."""
    house.jetstream.has(LAYOUT.streams[0], 1500 * MIB)
    house.free_bytes = 0
    house.brings_up()
    assert house.jetstream.ensured["FAAS_CALLS"].max_bytes == 1500 * MIB


def test_the_same_is_told_once(house: House, events: list[LogEvent]) -> None:
    """The streams are brought up after every reconnection; that is no news."""
    house.free_bytes = 2 * GIB
    house.brings_up()
    house.brings_up()
    assert len(events) == 1


def test_somebody_elses_server_has_less_room(house: House) -> None:
    """It says so by a number; the operator is told what to change."""
    refusal = ResourcesExceeded(503, 10047, "insufficient storage resources available")
    house.jetstream.ensure_stream = lambda config: fail(refusal)  # type: ignore[method-assign]
    failed: list[object] = []
    bringing = Deferred.fromCoroutine(house.streams.bring_up())
    bringing.addErrback(lambda failure: failed.append(failure.value))
    (reason,) = failed
    assert isinstance(reason, QueueFull)
    assert "FAAS_CALLS" in str(reason)
    assert "lower them, or raise its max_file_store" in str(reason)


def test_there_is_more_room_at_the_next_start(house: House, events: list[LogEvent]) -> None:
    """Each time is as the first: what was small grows again."""
    house.free_bytes = 2 * GIB
    house.brings_up()
    house.free_bytes = 100 * GIB
    house.brings_up()
    assert house.streams.layout == LAYOUT
    assert len(events) == 1


@pytest.mark.parametrize("disk", [None, StoreDisk(lambda: None, 256 * MIB)])
def test_a_disk_that_is_not_known(house: House, disk: StoreDisk | None) -> None:
    """Another machine's, or one that cannot be measured: the quotas stay as they are."""
    house.streams = house.make(disk)
    house.brings_up()
    assert house.streams.layout == LAYOUT


def test_a_stream_that_acknowledges_before_it_writes(house: House) -> None:
    """Is refused by name, and nothing is changed."""
    careless = StreamConfig(name="FAAS_CALLS", persist_mode="async")
    house.jetstream.has(careless, 0)
    failed: list[object] = []
    bringing = Deferred.fromCoroutine(house.streams.bring_up())
    bringing.addErrback(lambda failure: failed.append(failure.value))
    (reason,) = failed
    assert isinstance(reason, StartError)
    assert "FAAS_CALLS has persist_mode: async" in str(reason)
    assert house.jetstream.ensured == {}


def test_what_the_streams_hold(house: House) -> None:
    """Each with its bytes, its messages and its quota; what the daemons agree on is no news."""
    house.brings_up()
    house.jetstream.has(LAYOUT.streams[0], 3000, 7)
    told: dict[str, tuple[int, ...]] = {}
    reporting = house.streams.report(lambda name, *numbers: told.update({name: numbers}))
    assert Deferred.fromCoroutine(reporting).called
    assert told == {
        "FAAS_CALLS": (3000, 7, 2 * GIB),
        "FAAS_LATER": (0, 0, 2 * GIB),
        "FAAS_CALLBACKS": (0, 0, 2 * GIB),
        "FAAS_OUTCOMES": (0, 0, 512 * MIB),
        "FAAS_DEAD": (0, 0, 512 * MIB),
    }


@pytest.mark.parametrize("is_old", [False, True])
def test_a_broker_that_cannot_put_messages_off_is_recognised(is_old: bool) -> None:
    """It makes the stream all the same, and leaves out what it does not know."""
    jetstream = PaperJetStream()
    jetstream.is_old = is_old
    streams = Streams(jetstream, LAYOUT, None)  # type: ignore[arg-type]
    Deferred.fromCoroutine(streams.bring_up())
    assert streams.keeps_schedules is not is_old
