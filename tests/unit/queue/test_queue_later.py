"""How many calls may wait for their time: the broker has no limit for them, so the daemon looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import AlreadyStored, NoSchedules, QueueFull, QueueUnavailable
from faasd_async.nats.jetstream import StreamConfig, StreamInfo, StreamState
from faasd_async.queue.jetstream.later import MOVING, Later
from faasd_async.queue.jetstream.stored.calls import write_request

REQUEST = QueueRequest(
    function="f",
    queue="q",
    key=CallKey("call-1", "0"),
    start_time_ns=1,
    target=b"/",
    headers=[],
    body=b"x" * 100,
)


def _put(_: QueueRequest) -> Deferred[None]:
    return succeed(None)


class PaperStore:
    """Holds as much as the test says.

    :ivar put: the subjects of what was put.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.put: list[str] = []
        self.jetstream = self

    def stream_info(self, name: str) -> Deferred[StreamInfo]:
        state = StreamState(self.messages, self.bytes, 1, 1, 0)
        return succeed(StreamInfo(StreamConfig(name=name), datetime.now(UTC), state))

    def put_durably(self, subject: str, fields: object, payload: bytes) -> Deferred[None]:
        self.put.append(subject)
        return succeed(None)


@pytest.mark.parametrize(
    ("messages", "size_bytes", "words"),
    [(9, 1000, None), (10, 1000, "10 calls wait"), (9, 1001, "1001 bytes of calls wait")],
)
def test_a_quota_in_messages_and_in_bytes(
    messages: int, size_bytes: int, words: str | None
) -> None:
    """Up to both a call is put off; past either it is refused, and nothing is put."""
    store = PaperStore()
    store.messages, store.bytes = messages, size_bytes
    most_bytes = 1000 + len(write_request(REQUEST)[1])
    later = Later(store, most_bytes, 10, _put, _put, lambda: 0.0)  # type: ignore[arg-type]
    failed: list[Exception] = []
    putting = Deferred.fromCoroutine(later.put(REQUEST, 60.0))
    putting.addErrback(lambda failure: failed.append(failure.value))
    if words is None:
        assert (store.put, failed) == (["faas.later.q.f.call-1.0"], [])
    else:
        (reason,) = failed
        assert isinstance(reason, QueueFull)
        assert words in str(reason)
        assert store.put == []


class SlowStore(PaperStore):
    """Answers when the test says so.

    :ivar looks: who has asked what there is.
    :ivar puts: who waits for an acknowledgement.
    """

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[Deferred[StreamInfo]] = []
        self.puts: list[Deferred[None]] = []

    def stream_info(self, name: str) -> Deferred[StreamInfo]:
        self.looks.append(Deferred())
        return self.looks[-1]

    def tells(self) -> None:
        """What there is now."""
        looks, self.looks = self.looks, []
        for look in looks:
            super().stream_info("").chainDeferred(look)

    def put_durably(self, subject: str, fields: object, payload: bytes) -> Deferred[None]:
        super().put_durably(subject, fields, payload)
        self.puts.append(Deferred())
        return self.puts[-1]

    def acknowledges(self) -> None:
        """All that was put."""
        puts, self.puts = self.puts, []
        for put in puts:
            self.messages += 1
            put.callback(None)


def test_those_that_come_at_once_have_one_quota() -> None:
    """Whether they wait for the same look, are on their way to the broker, or arrive there while
    it is asked: no more are put than there is room for."""
    store, now = SlowStore(), [0.0]
    later = Later(store, 10**6, 5, _put, _put, lambda: now[0])  # type: ignore[arg-type]
    refused: list[Failure] = []

    def come(count: int) -> None:
        for _ in range(count):
            Deferred.fromCoroutine(later.put(REQUEST, 60.0)).addErrback(refused.append)

    come(4)
    assert len(store.looks) == 1
    store.tells()
    assert len(store.put) == 4
    now[0] += 10.0
    come(4)
    store.acknowledges()
    # What it says is from before they arrived.
    store.messages = 0
    store.tells()
    assert (len(store.put), len(refused)) == (5, 3)
    assert all(failure.check(QueueFull) for failure in refused)


def test_a_broker_that_keeps_no_schedules_puts_nothing_off() -> None:
    """It is said which one would, and nothing is put."""
    store = PaperStore()
    later = Later(store, 1000, 10, _put, _put, lambda: 0.0)  # type: ignore[arg-type]
    later.possible = False
    failed: list[str] = []
    putting = Deferred.fromCoroutine(later.put(REQUEST, 60.0))
    putting.addErrback(lambda failure: failed.append(failure.trap(NoSchedules).__name__))
    assert (failed, store.put) == (["NoSchedules"], [])


class Due:
    """A delivery of a call whose time has come."""

    delivered, inherited, left_behind = 1, False, False

    def __init__(self, parcel: QueueRequest) -> None:
        self.parcel = parcel
        self.ends: list[str] = []

    def settle_moved(self) -> None:
        self.settle()

    def settle(self) -> None:
        self.ends.append("settled")

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self.ends.append(f"given back for {delay_seconds:g} s")


TRIED = History((Attempt(1, 503, 0.5),))


@pytest.mark.parametrize(
    ("changes", "only"),
    [
        ({}, False),
        ({"key": CallKey("call-1", "k1")}, True),
        ({"key": CallKey("call-1", "k1"), "history": TRIED}, False),
        ({"key": CallKey("call-1", "k1"), "generation": 1}, False),
    ],
)
def test_a_keyed_call_comes_back_alone(changes: dict[str, Any], only: bool) -> None:
    """If another lies there under its key; when it comes back to be tried again, it always does:
    what lies there may be itself, from before."""
    ways: list[str] = []

    def put(way: str) -> Callable[[QueueRequest], Deferred[None]]:
        return lambda _: succeed(ways.append(way))

    later = Later(PaperStore(), 1000, 10, put("any"), put("only"), lambda: 0.0)  # type: ignore[arg-type]
    due = Due(replace(REQUEST, **changes))
    later.take_due(due)  # type: ignore[arg-type]
    assert (ways, due.ends) == (["only" if only else "any"], ["settled"])


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        (AlreadyStored("there"), "settled"),
        (QueueUnavailable("away"), "given back for 5 s"),
    ],
)
def test_a_keyed_call_that_does_not_come_back(reason: Exception, end: str) -> None:
    """One that is there already is done with; one that cannot be moved comes again."""
    later = Later(PaperStore(), 1000, 10, _put, lambda _: fail(reason), lambda: 0.0)  # type: ignore[arg-type]
    due = Due(replace(REQUEST, key=CallKey("call-1", "k1")))
    later.take_due(due)  # type: ignore[arg-type]
    assert due.ends == [end]
    assert later.room() == MOVING
