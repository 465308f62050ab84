"""Pauses and backlog: what every kind of queue keeps of them, and the one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Delivery, Depth, OfFunction, OfQueue, Source, is_of
from faasd_async.queue.jetstream.subjects import (
    ForeignSubject,
    filter_of,
    pause_subject,
    read_pause_subject,
)
from faasd_async.queue.memory import MemoryQueue
from faasd_async.queue.paused import Paused

F, G, Q = OfFunction("f"), OfFunction("g"), OfQueue("q")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
SOURCES: st.SearchStrategy[Source] = st.builds(OfFunction, NAMES) | st.builds(OfQueue, NAMES)
T = TypeVar("T")


def result_of(deferred: Deferred[T]) -> T:
    results: list[T] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def call(call_id: str, function: str = "f", queue: str = "q", at_ns: int = 1) -> QueueRequest:
    return QueueRequest(function, queue, CallKey(call_id, "0"), at_ns, b"/", (), b"body")


@pytest.fixture
def queue() -> Iterator[MemoryQueue]:
    clock = Clock()
    queue = MemoryQueue(clock, lease_seconds=30.0)
    yield queue
    queue.stop()
    assert clock.getDelayedCalls() == []


def take(queue: MemoryQueue, count: int, source: Source = F) -> list[Delivery[QueueRequest]]:
    taken: list[Delivery[QueueRequest]] = []
    queue.take_calls(source, taken.append, lambda: count - len(taken)).stop()
    return taken


# -- pauses


def test_a_call_waits_for_its_function_and_for_its_queue() -> None:
    """Either holds it."""
    paused = Paused()
    paused.become({F, OfQueue("slow")})
    assert F in paused
    assert OfQueue("f") not in paused
    assert paused.hold("f", "q")
    assert paused.hold("g", "slow")
    assert not paused.hold("g", "f")


def test_a_change_is_told_and_nothing_else() -> None:
    """Whoever listens need not look what is new."""
    paused, told = Paused(), list[frozenset[Source]]()
    paused.when_changed = lambda: told.append(paused.sources)
    for sources in (set(), {F}, {F}, {F, Q}, {Q}):
        paused.become(sources)
    assert told == [{F}, {F, Q}, {Q}]


def test_pauses_in_memory(queue: MemoryQueue) -> None:
    """Each is ordered by itself, and may be ordered twice."""
    for source in (F, Q, F):
        result_of(queue.pauses.pause(source))
    result_of(queue.pauses.resume(Q))
    result_of(queue.pauses.resume(G))
    assert queue.pauses.sources == {F}


@given(SOURCES)
def test_a_pause_has_a_subject(source: Source) -> None:
    """Which tells what it is about."""
    subject = pause_subject(source)
    assert read_pause_subject(subject) == source
    assert subject.startswith("faas.control.paused.")
    assert not set(subject) & set("*> ")


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "faas.control.paused",
        "faas.control.paused.f",
        "faas.control.paused.call.f",
        "faas.control.paused.queue.q.r",
        "x.faas.control.paused.queue.q",
    ],
)
def test_foreign_pauses(subject: str) -> None:
    """Nothing is made of what this daemon would not have written."""
    with pytest.raises(ForeignSubject):
        read_pause_subject(subject)


# -- the backlog


@pytest.mark.parametrize("kind", ["call", "later", "due"])
def test_a_filter_for_each_place(kind: str) -> None:
    """Where calls wait, in either order of names."""
    assert filter_of(F, kind) == f"faas.{kind}.*.f.>"
    assert filter_of(Q, kind) == f"faas.{kind}.q.>"


def test_whose_a_call_is() -> None:
    """Its function's and its queue's."""
    assert [is_of(call("1"), source) for source in (F, Q, G, OfQueue("f"))] == [
        True,
        True,
        False,
        False,
    ]


def test_how_many_there_are(queue: MemoryQueue) -> None:
    """Those that were never handed out, those that were, and those that are put off."""
    for each in (call("1"), call("2"), call("3"), call("4", "g")):
        queue.put_call(each)
    queue.put_later(call("5"), 60.0)
    queue.put_later(call("6", "g"), 60.0)
    given_back, _ = take(queue, 2)
    given_back.give_back(10.0)
    assert result_of(queue.backlog.depths([F, G, Q])) == [Depth(1, 2), Depth(1, 0), Depth(2, 2)]
    assert result_of(queue.backlog.scheduled()) == {("q", "f"): 1, ("q", "g"): 1}


def test_how_old_the_oldest_is(queue: MemoryQueue) -> None:
    """What is put off is not waiting for anybody."""
    queue.put_call(call("1", at_ns=20))
    queue.put_call(call("2", at_ns=10))
    queue.put_later(call("3", at_ns=5), 60.0)
    assert result_of(queue.backlog.oldest_ns([F, G])) == [10, None]


def test_a_purge_takes_all_of_a_source(queue: MemoryQueue) -> None:
    """Wherever it is, and nothing else."""
    for number in range(4):
        queue.put_call(call(f"{number}"))
    queue.put_call(call("other", "g"))
    queue.put_later(call("later"), 1.0)
    in_hand, given_back = take(queue, 2)
    given_back.give_back(1.0)
    assert result_of(queue.backlog.holds(in_hand.parcel))
    assert result_of(queue.backlog.purge(F)) == 5
    assert not result_of(queue.backlog.holds(in_hand.parcel))
    in_hand.settle()
    assert take(queue, 10) == []
    assert [each.parcel.key.call_id for each in take(queue, 10, G)] == ["other"]


def test_what_is_purged_does_not_come_back() -> None:
    """Neither when its lease is over, nor when it is given back, nor in its time."""
    clock = Clock()
    queue = MemoryQueue(clock, lease_seconds=30.0)
    for number in range(3):
        queue.put_call(call(f"{number}"))
    queue.put_later(call("later"), 1.0)
    _, given_back, late = take(queue, 3)
    given_back.give_back(1.0)
    queue.backlog.purge(Q)
    late.give_back()
    clock.advance(31)
    assert take(queue, 10) == []


def test_a_parcel_that_is_lightened_comes_whole_again(queue: MemoryQueue) -> None:
    """Only this delivery of it has no body any more."""
    queue.put_call(call("1"))
    (delivery,) = take(queue, 1)
    delivery.lighten()
    assert delivery.parcel.body == b""
    assert delivery.parcel.key == CallKey("1", "0")
    delivery.give_back()
    queue._calls.clock.advance(0)  # type: ignore[attr-defined]
    (again,) = take(queue, 1)
    assert again.parcel.body == b"body"
