"""Subjects, and the streams and consumers that go by them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.ending import Kind
from faasd_async.call.ids import CallKey, TokenTooLong
from faasd_async.call.request import CallbackName
from faasd_async.nats.jetstream import ConsumerConfig, StreamConfig
from faasd_async.queue.interface import OfFunction, OfQueue, Selection, Source
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.quotas import Quotas
from faasd_async.queue.jetstream.subjects import (
    CALLBACKS,
    CALLS,
    DEAD,
    LATER,
    OUTCOMES,
    ForeignSubject,
    about_subject,
    belongs_to_mode,
    callback_subject,
    consumer_of,
    dead_callback_subject,
    dead_letters_like,
    filter_of,
    posting_subject,
    queued_subject,
    read_about_subject,
    read_callback_subject,
    read_queued_subject,
    source_of,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
KEYS = st.builds(CallKey, NAMES, NAMES)
KINDS = st.sampled_from(["call", "later", "due", "dead"])
LAYOUT = Layout(
    calls_bytes=1,
    callbacks_bytes=10,
    later_bytes=100,
    outcomes_bytes=1000,
    dead_bytes=10000,
    replicas=3,
    ack_wait_seconds=30.5,
)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of a filter's, as NATS has it."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for place, each in enumerate(wanted):
        if each == ">":
            return len(tokens) > place
        if place >= len(tokens) or each not in ("*", tokens[place]):
            return False
    return len(wanted) == len(tokens)


def stream(name: str) -> StreamConfig:
    (found,) = [each for each in LAYOUT.streams if each.name == name]
    return found


@given(KINDS, NAMES, NAMES, KEYS)
def test_a_queued_subject_can_be_read(kind: str, queue: str, function: str, key: CallKey) -> None:
    """Queue, function and key, whatever characters they have."""
    subject = queued_subject(kind, queue, function, key)
    assert read_queued_subject(subject) == (queue, function, key)
    assert not set(subject) & set("*> \t\r\n")


CALLBACK_NAMES = st.builds(CallbackName, NAMES, KEYS, st.integers(0, 3), st.integers(0, 3))


@given(CALLBACK_NAMES)
def test_a_callbacks_subject_can_be_read(name: CallbackName) -> None:
    """Function and key, whatever generation it is of."""
    assert read_callback_subject(callback_subject(name)) == (name.function, name.key)


@given(CALLBACK_NAMES, CALLBACK_NAMES)
def test_each_callback_has_its_own_note(one: CallbackName, other: CallbackName) -> None:
    """And two that may wait at the same time have subjects of their own."""
    other = other._replace(function=one.function, key=one.key)
    for subject in (posting_subject, callback_subject):
        assert (subject(one) == subject(other)) == (one == other)


@given(st.sampled_from(["callback", "outcome", "attempt"]), NAMES, KEYS)
def test_a_subject_about_a_call_can_be_read(kind: str, function: str, key: CallKey) -> None:
    """Function and key."""
    assert read_about_subject(about_subject(kind, function, key)) == (function, key)


@pytest.mark.parametrize(
    "subject", ["", "faas.call.q.f.c", "faas.call.q.f.c.a.x", "x.call.q.f.c.a"]
)
def test_foreign_subjects(subject: str) -> None:
    """Nothing is made of what this daemon would not have written."""
    with pytest.raises(ForeignSubject):
        read_queued_subject(subject)
    with pytest.raises(ForeignSubject):
        read_about_subject(subject + ".a.b.c")


def test_a_subject_has_room_for_a_name_or_says_so() -> None:
    """An over-long token is refused before anything is stored."""
    with pytest.raises(TokenTooLong):
        queued_subject("call", "q", "f" * 129, CallKey("c", "0"))


@given(NAMES, NAMES, KEYS, NAMES)
def test_a_filter_takes_its_sources_calls(
    queue: str, function: str, key: CallKey, other: str
) -> None:
    """All of them and no others."""
    subject = queued_subject("call", queue, function, key)
    assert matches(filter_of(OfFunction(function)), subject)
    assert matches(filter_of(OfQueue(queue)), subject)
    assert matches(filter_of(OfFunction(other)), subject) == (other == function)
    assert matches(filter_of(OfQueue(other)), subject) == (other == queue)


@given(NAMES, NAMES, KEYS, NAMES)
def test_dead_letters_are_found_by_their_subjects(
    queue: str, function: str, key: CallKey, other: str
) -> None:
    """By function, call id and acceptance, by kind or whatever kind they are of."""
    subjects: dict[Kind, str] = {
        "call": queued_subject("dead", queue, function, key),
        "callback": dead_callback_subject(function, key),
    }
    for kind, subject in subjects.items():
        assert matches(dead_letters_like(Selection()), subject)
        assert matches(dead_letters_like(Selection(*key, function, kind)), subject)
        for meant in ("call", "callback"):
            assert matches(dead_letters_like(Selection(kind=meant)), subject) == (meant == kind)
        for part, own in (("function", function), ("call_id", key[0]), ("accept", key[1])):
            selection = replace(Selection(), **{part: other})
            assert matches(dead_letters_like(selection), subject) == (other == own)


@given(NAMES, NAMES)
def test_consumers_have_names_of_their_own(one: str, other: str) -> None:
    """Two sources never share one, a function and a queue of the same name neither."""
    assert (consumer_of(OfFunction(one)) == consumer_of(OfFunction(other))) == (one == other)
    assert consumer_of(OfFunction(one)) != consumer_of(OfQueue(other))


@given(NAMES)
def test_a_consumer_tells_its_source(name: str) -> None:
    """The one it was made for; other consumers have none."""
    for source in (OfFunction(name), OfQueue(name)):
        assert source_of(consumer_of(source)) == source
    assert source_of(LAYOUT.callback_consumer.name) is None


@pytest.mark.parametrize(
    ("source", "static"),
    [(OfFunction("f"), False), (OfQueue("q"), True), (OfQueue("call-f"), True)],
)
def test_consumers_belong_to_a_mode(source: Source, static: bool) -> None:
    """So that a change of mode can tell whose are to go."""
    assert belongs_to_mode(consumer_of(source), static)
    assert not belongs_to_mode(consumer_of(source), not static)


@pytest.mark.parametrize("static", [True, False])
def test_other_consumers_belong_to_no_mode(static: bool) -> None:
    """Those of callbacks and of calls that are due stay through a change."""
    assert not belongs_to_mode(LAYOUT.callback_consumer.name, static)
    assert not belongs_to_mode(LAYOUT.due_consumer.name, static)


def test_each_subject_has_one_stream() -> None:
    """JetStream refuses streams that overlap."""
    key = CallKey("c", "0")
    homes = {
        queued_subject("call", "q", "f", key): CALLS,
        queued_subject("later", "q", "f", key): LATER,
        queued_subject("due", "q", "f", key): LATER,
        queued_subject("dead", "q", "f", key): DEAD,
        dead_callback_subject("f", key): DEAD,
        about_subject("callback", "f", key): CALLBACKS,
        about_subject("outcome", "f", key): OUTCOMES,
        about_subject("attempt", "f", key): OUTCOMES,
    }
    for subject, home in homes.items():
        found = [
            each.name
            for each in LAYOUT.streams
            if any(matches(pattern, subject) for pattern in each.subjects)
        ]
        assert found == [home]


@pytest.mark.parametrize(("name", "limit"), [(CALLS, 1), (CALLBACKS, 10)])
def test_work_that_does_not_fit_is_refused(name: str, limit: int) -> None:
    """Nothing that was promised makes room for something new."""
    config = stream(name)
    assert (config.retention, config.discard, config.max_bytes) == ("workqueue", "new", limit)
    assert config.storage == "file"


def test_calls_for_later_are_never_dropped() -> None:
    """Schedules exclude ``discard: new``: so there is no limit that would drop the oldest."""
    config = stream(LATER)
    assert config.allow_msg_schedules
    assert config.retention == "workqueue"
    assert (config.max_bytes, config.max_msgs, config.max_age) == (-1, -1, 0)


@pytest.mark.parametrize(("name", "limit"), [(OUTCOMES, 1000), (DEAD, 10000)])
def test_records_make_room_for_newer_ones(name: str, limit: int) -> None:
    """By bytes and by number; the oldest go first."""
    config = stream(name)
    assert (config.retention, config.discard, config.max_bytes) == ("limits", "old", limit)
    assert config.max_msgs > 0


def test_outcomes_may_have_a_time_to_live() -> None:
    """Each as long as its function keeps results."""
    assert stream(OUTCOMES).allow_msg_ttl


def test_every_stream_is_on_disk_as_often_as_asked() -> None:
    """Replicas are the operator's to choose."""
    assert {each.storage for each in LAYOUT.streams} == {"file"}
    assert {each.num_replicas for each in LAYOUT.streams} == {3}


def test_what_a_disk_has_to_hold() -> None:
    """All quotas together."""
    assert LAYOUT.quotas.total == 11111


def test_a_layout_within_other_quotas() -> None:
    """Each stream has its own, and all else stays as it was."""
    smaller = LAYOUT.within(Quotas(calls=5, later=4, callbacks=3, outcomes=2, dead=1))
    assert {each.name: each.max_bytes for each in smaller.streams if each.max_bytes > 0} == {
        CALLS: 5,
        CALLBACKS: 3,
        OUTCOMES: 2,
        DEAD: 1,
    }
    assert smaller.later_bytes == 4
    assert smaller.within(LAYOUT.quotas) == LAYOUT


@pytest.mark.parametrize(
    ("config", "subjects"),
    [
        (LAYOUT.consumer(OfFunction("f.g")), "faas.call.*.f_2Eg.>"),
        (LAYOUT.consumer(OfQueue("q")), "faas.call.q.>"),
        (LAYOUT.callback_consumer, "faas.callback.>"),
        (LAYOUT.due_consumer, "faas.due.>"),
    ],
)
def test_consumers_lend_what_they_hand_out(config: ConsumerConfig, subjects: str) -> None:
    """Durably, until it is settled or the lease is over."""
    assert config.durable_name == config.name
    assert (config.ack_policy, config.ack_wait) == ("explicit", 30_500_000_000)
    assert config.filter_subject == subjects
    assert config.max_deliver == -1
