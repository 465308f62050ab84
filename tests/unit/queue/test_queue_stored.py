"""Parcels and records as JetStream messages."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from faasd_async.call.callback_url import CallbackUrl, parse
from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, Withheld
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.call.request import NOT_TRIED, CallbackRequest, Outcome, QueueRequest
from faasd_async.nats.wire import Headers, decode_headers, encode_headers
from faasd_async.queue.jetstream.stored import callbacks, calls
from faasd_async.queue.jetstream.stored.callbacks import (
    read_callback,
    read_fresh_callback,
    write_callback,
)
from faasd_async.queue.jetstream.stored.calls import read_request, read_waiting, write_request
from faasd_async.queue.jetstream.stored.dead_letters import (
    read_dead_callback,
    read_dead_letter,
    write_dead_callback,
    write_dead_letter,
)
from faasd_async.queue.jetstream.stored.message import FORMAT, Fields, FromTheFuture, Unreadable
from faasd_async.queue.jetstream.stored.records import (
    generation_of,
    read_ending,
    read_history,
    read_posting,
    write_ending,
    write_history,
    write_posting,
    written_in,
)
from faasd_async.queue.jetstream.subjects import (
    about_subject,
    callback_subject,
    dead_callback_subject,
    queued_subject,
)

TOKENS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
KEYS = st.builds(CallKey, TOKENS, TOKENS)
FIELD_NAMES = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True)
FIELDS = st.lists(
    st.tuples(FIELD_NAMES, st.binary(max_size=12).map(lambda raw: raw.translate(None, b"\0\r\n"))),
    max_size=4,
)
BODIES = st.binary(max_size=40)
TIMES = st.integers(min_value=0, max_value=2**62)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STATUSES = st.integers(min_value=0, max_value=999)
SECONDS = st.floats(min_value=0, max_value=1e6, allow_nan=False)
URLS = st.sampled_from([b"http://u:p@h:1/a?b", b"https://h", b"http://h/x?"]).map(parse)
HISTORIES = st.builds(
    History,
    attempts=st.lists(st.builds(Attempt, TIMES, STATUSES, SECONDS, TEXTS), max_size=3).map(tuple),
    crashes=st.integers(0, 9),
    deliveries=st.integers(0, 9),
    not_before_ns=TIMES,
)
REQUESTS = st.builds(
    QueueRequest,
    function=TOKENS,
    queue=TOKENS,
    key=KEYS,
    start_time_ns=TIMES,
    target=st.from_regex(rb"/[!-~]{0,12}", fullmatch=True),
    headers=FIELDS,
    body=BODIES,
    callback=st.none() | URLS,
    history=st.just(NOT_TRIED) | HISTORIES,
    generation=st.integers(0, 5),
    on_failure=st.none() | URLS,
    not_before_ns=TIMES,
    expires_ns=TIMES,
    max_attempts=st.integers(0, 9),
)
OUTCOMES = st.builds(Outcome, STATUSES, FIELDS, BODIES, SECONDS, TEXTS)
STATES = st.sampled_from(["succeeded", "failed", "dead", "cancelled", "expired"])
REASONS = st.sampled_from(["exhausted", "failed", "crashed", "expired", "orphaned"])
ENDINGS = st.builds(Ending, STATES, OUTCOMES, HISTORIES, TIMES, st.none() | REASONS)
CALLBACKS = st.builds(
    CallbackRequest, TOKENS, KEYS, URLS, FIELDS, BODIES, st.integers(0, 5), st.integers(0, 5)
)
POSTINGS = st.builds(
    Posting,
    st.sampled_from(["waiting", "delivered", "given_up"]),
    st.integers(0, 99),
    TIMES,
    STATUSES,
    TEXTS,
)
DEAD_CALLBACKS = st.builds(
    DeadCallback,
    CALLBACKS,
    st.sampled_from(["exhausted", "gone"]),
    STATUSES,
    TEXTS,
    st.integers(0, 99),
    TIMES,
)
LETTERS = st.builds(DeadLetter, REQUESTS, REASONS, STATUSES, TEXTS, TIMES)

A_CALLBACK = CallbackRequest("f", CallKey("c", "0"), parse(b"http://h"), (), b"")
A_CALL = QueueRequest("f", "q", CallKey("c", "0"), 7, b"/", (), b"body")


class Stored(msgspec.Struct, frozen=True):
    """A message, its headers as they travel."""

    subject: bytes
    headers: Headers
    payload: bytes

    @property
    def header_block(self) -> bytes:
        return encode_headers(self.headers.pairs)


def stored(subject: str, written: tuple[Fields, bytes]) -> Stored:
    fields, payload = written
    assert all(name.startswith(b"Faas-") and value.isascii() for name, value in fields)
    return Stored(subject.encode(), decode_headers(encode_headers(fields)), payload)


def subject_of(request: QueueRequest, kind: str = "call") -> str:
    return queued_subject(kind, request.queue, request.function, request.key)


def about_f(kind: str = "outcome") -> str:
    return about_subject(kind, "f", CallKey("c", "0"))


def altered(message: Stored, name: bytes, value: bytes | None) -> Stored:
    pairs = [pair for pair in message.headers.pairs if pair[0] != name]
    if value is not None:
        pairs.append((name, value))
    return replace(message, headers=decode_headers(encode_headers(pairs)))


@given(REQUESTS)
def test_a_call_can_be_read_back(request: QueueRequest) -> None:
    """All of it: ids from the subject, the rest from headers and payload."""
    message = stored(subject_of(request), write_request(request))
    assert read_request(message) == request
    assert read_waiting(message) == request


@pytest.mark.parametrize("callback", [None, parse(b"http://u:p@h:81/back?x=1")])
def test_most_calls_are_read_at_a_glance(
    callback: CallbackUrl | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which no more is noted than when they came, and where their end is told."""
    request = replace(A_CALL, callback=callback)
    monkeypatch.setattr(calls, "read_request", None)
    assert read_waiting(stored(subject_of(request), write_request(request))) == request


@given(FIELDS)
def test_no_header_of_a_callers_becomes_one_of_the_brokers(
    headers: list[tuple[bytes, bytes]],
) -> None:
    """They stand in the payload, whatever they are called."""
    forged = replace(A_CALL, headers=[*headers, (b"Nats-Msg-Id", b"x"), (b"Faas-Format", b"9")])
    fields, payload = write_request(forged)
    assert fields == write_request(A_CALL)[0]
    assert b"Nats-Msg-Id: x\r\n" in payload


@given(CALLBACKS)
def test_a_callback_can_be_read_back(callback: CallbackRequest) -> None:
    """Its URL with the credentials, and how often it and its call were replayed."""
    subject = callback_subject(callback.name)
    fields, payload = write_callback(callback)
    message = stored(subject, (fields, payload))
    assert read_callback(message) == callback
    put = [*fields, (b"Nats-Msg-Id", b"x"), (b"Nats-Expected-Last-Subject-Sequence", b"0")]
    message = replace(message, headers=decode_headers(encode_headers(put)))
    assert read_fresh_callback(message, 7) == replace(callback, since_ns=7)


def test_most_callbacks_are_read_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were not replayed, nor their calls."""
    monkeypatch.setattr(callbacks, "read_callback", None)
    message = stored(callback_subject(A_CALLBACK.name), write_callback(A_CALLBACK))
    assert read_fresh_callback(message, 0) == A_CALLBACK


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"http://u:p@h/a?b=c?d", b"/a?b=c?d"),
        (b"http://h", b"/"),
        (b"http://h?q", b"/?q"),
        (b"http://h/?", b"/"),
    ],
)
def test_a_stored_callback_is_the_request_it_will_be(url: bytes, target: bytes) -> None:
    """Without credentials in its target."""
    callback = CallbackRequest("f", CallKey("c", "0"), parse(url), (), b"")
    _, payload = write_callback(callback)
    assert payload.split(b"\r\n")[0] == b"POST %b HTTP/1.1" % target


@given(ENDINGS)
def test_an_ending_can_be_read_back(ending: Ending) -> None:
    """With the whole answer, bytes in its headers and line breaks in its body included."""
    assert read_ending(stored(about_f(), write_ending(ending, with_result=True))) == ending


@given(ENDINGS)
def test_an_ending_without_its_result(ending: Ending) -> None:
    """Keeps everything but the answer's headers and body."""
    without = replace(ending, outcome=replace(ending.outcome, headers=[], body=b""))
    assert read_ending(stored(about_f(), write_ending(ending, with_result=False))) == without


@given(HISTORIES)
def test_a_history_can_be_read_back(history: History) -> None:
    """As it was noted."""
    assert read_history(stored(about_f("attempt"), write_history(history))) == history


@given(LETTERS)
def test_a_dead_letter_can_be_read_back(letter: DeadLetter) -> None:
    """The call whole, and why it is dead."""
    subject = subject_of(letter.request, "dead")
    assert read_dead_letter(stored(subject, write_dead_letter(letter))) == letter


@given(DEAD_CALLBACKS)
def test_a_dead_callback_can_be_read_back(letter: DeadCallback) -> None:
    """The callback whole, and why it is dead."""
    subject = dead_callback_subject(letter.callback.function, letter.callback.key)
    assert read_dead_callback(stored(subject, write_dead_callback(letter))) == letter


@pytest.mark.parametrize("generation", [0, 3])
def test_a_record_says_which_generation_it_is_of(generation: int) -> None:
    """The one before the first replay says nothing."""
    fields, payload = write_history(History())
    message = stored(about_f("attempt"), ([*fields, *written_in(generation)], payload))
    assert generation_of(message) == generation


@given(POSTINGS)
def test_a_posting_can_be_read_back(posting: Posting) -> None:
    """What was tried of a callback, and when it is due."""
    assert read_posting(stored(about_f("posting"), write_posting(posting))) == posting


@pytest.mark.parametrize("why", ["unwanted", "large", "brief"])
def test_an_answer_that_is_there_for_the_callback_alone(why: Withheld) -> None:
    """It is whole, and marked: with the reason, which an earlier version did not write."""
    ending = Ending("failed", Outcome(500, [(b"A", b"b")], b"body", 1), History(), 1)
    written = write_ending(ending, with_result=True, withheld=why)
    assert read_ending(stored(about_f(), written)) == replace(ending, withheld=why)
    fields, payload = written
    earlier = payload.replace(b',"withheld":"%b"' % why.encode(), b"")
    assert len(earlier) < len(payload)
    found = read_ending(stored(about_f(), (fields, earlier)))
    assert found == replace(ending, withheld="unsaid")


def test_an_answer_that_is_kept_no_longer_is_there_for_the_callback_alone() -> None:
    """From that moment on; before, it is everybody's."""
    ending = Ending("failed", Outcome(500, [(b"A", b"b")], b"body", 1), History(), 1)
    message = stored(about_f(), write_ending(ending, with_result=True, kept_until_ns=100))
    assert read_ending(message, 99) == ending
    assert read_ending(message, 100) == replace(ending, withheld="over")


READERS = {
    "call": (read_request, stored(subject_of(A_CALL), write_request(A_CALL))),
    "waiting call": (read_waiting, stored(subject_of(A_CALL), write_request(A_CALL))),
    "fresh callback": (
        partial(read_fresh_callback, since_ns=7),
        stored(callback_subject(A_CALLBACK.name), write_callback(A_CALLBACK)),
    ),
    "callback": (
        read_callback,
        stored(
            about_f("callback"),
            write_callback(A_CALLBACK),
        ),
    ),
    "ending": (
        read_ending,
        stored(
            about_f(),
            write_ending(
                Ending("failed", Outcome(500, (), b"", 1), History(), 1), with_result=True
            ),
        ),
    ),
    "history": (read_history, stored(about_f("attempt"), write_history(History()))),
    "posting": (read_posting, stored(about_f("posting"), write_posting(Posting()))),
    "dead callback": (
        read_dead_callback,
        stored(
            dead_callback_subject("f", CallKey("c", "0")),
            write_dead_callback(DeadCallback(A_CALLBACK, "gone", 410, "", 1, 1)),
        ),
    ),
    "dead letter": (
        read_dead_letter,
        stored(
            subject_of(A_CALL, "dead"), write_dead_letter(DeadLetter(A_CALL, "failed", 500, "", 1))
        ),
    ),
}

readers = pytest.mark.parametrize(("read", "message"), READERS.values(), ids=READERS)


@readers
def test_a_newer_format_is_left_to_a_newer_version(read: object, message: Stored) -> None:
    """It is whole, and is not to be thrown away; the error names both formats."""
    assert callable(read)
    newer = altered(message, b"Faas-Format", b"%d" % (FORMAT + 1))
    with pytest.raises(FromTheFuture, match=f"format {FORMAT + 1}; .* up to {FORMAT}"):
        read(newer)


@readers
@pytest.mark.parametrize("written", [None, b"", b"x", b"-1", b"1.0"])
def test_without_a_format_it_is_unreadable(
    read: object, message: Stored, written: bytes | None
) -> None:
    """Somebody else wrote it."""
    assert callable(read)
    with pytest.raises(Unreadable, match=re.escape(repr(message.subject))):
        read(altered(message, b"Faas-Format", written))


@readers
@pytest.mark.parametrize("payload", [b"", b"{}", b"nonsense", b"\xff", b'{"state":"odd"}\n'])
def test_a_payload_that_is_none(read: object, message: Stored, payload: bytes) -> None:
    """Unreadable, and nothing else is raised; what was tried may say nothing that is known."""
    assert callable(read)
    if read is read_history and payload.startswith(b"{"):
        assert read(replace(message, payload=payload)) == History()
        return
    if read is read_posting and payload == b"{}":
        assert read(replace(message, payload=payload)) == Posting()
        return
    with pytest.raises(Unreadable):
        read(replace(message, payload=payload))


@pytest.mark.parametrize("kind", ["call", "callback", "dead callback", "dead letter"])
def test_a_foreign_subject_is_unreadable(kind: str) -> None:
    """A subject says what a parcel is."""
    read, message = READERS[kind]
    with pytest.raises(Unreadable):
        read(replace(message, subject=b"faas.odd"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Faas-Start-Time", None),
        (b"Faas-Start-Time", b"soon"),
        (b"Faas-Generation", b"x"),
        (b"Faas-History", b"[]"),
        (b"Faas-History", b"{"),
        (b"Faas-Callback-Url", b"ftp://h/"),
        (b"Faas-On-Failure-Url", b"ftp://h/"),
    ],
)
def test_a_note_that_makes_no_sense(name: bytes, value: bytes | None) -> None:
    """Unreadable: a call is taken with all that belongs to it or not at all."""
    _, message = READERS["call"]
    with pytest.raises(Unreadable):
        read_request(altered(message, name, value))


def test_a_callback_needs_a_url() -> None:
    """Without one it is none."""
    _, message = READERS["callback"]
    with pytest.raises(Unreadable):
        read_callback(altered(message, b"Faas-Callback-Url", None))


def test_a_dead_letter_needs_its_death() -> None:
    """Without it nobody knows why it is here."""
    _, message = READERS["dead letter"]
    with pytest.raises(Unreadable):
        read_dead_letter(altered(message, b"Faas-Death", None))


def ours(message: Stored) -> list[bytes]:
    return [name for name, _ in message.headers.pairs]


@readers
def test_any_record_is_read_or_refused(read: object, message: Stored) -> None:
    """Whatever stands in one of its headers, or in its body: nothing else comes of it."""
    assert callable(read)
    values = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\0\r\n"))
    values |= st.sampled_from([b"{}", b"[]", b"null", b"1", b"-1", b"1e400", b'{"attempts":[{}]}'])

    # Within, for pytest-twisted wraps a test that hypothesis runs once for each parameter.
    @given(st.sampled_from(ours(message)), st.none() | values, st.none() | st.binary(max_size=60))
    def trial(name: bytes, value: bytes | None, payload: bytes | None) -> None:
        odd = altered(message, name, value)
        if payload is not None:
            odd = replace(odd, payload=payload)
        with suppress(Unreadable, FromTheFuture):
            read(odd)

    trial()
