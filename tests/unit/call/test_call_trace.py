"""W3C's Trace Context: what is carried on, what is dropped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.trace import carried, child_of, of_callback, trace_id_of, valid

TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
SENT = b"00-%b-%b-01" % (TRACE, PARENT)
STATE = (b"tracestate", b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")


@pytest.mark.parametrize(
    ("written", "flags"),
    [
        (SENT, b"01"),
        (b" %b\t" % SENT, b"01"),
        (SENT[:-2] + b"00", b"00"),
        (SENT[:-2] + b"ff", b"ff"),
        (b"cc" + SENT[2:], b"01"),
        (b"cc" + SENT[2:-2] + b"ff-what-the-future-brings", b"03"),
    ],
)
def test_a_child(written: bytes, flags: bytes) -> None:
    """The trace stays, the span is a new one; of a version to come the part that is known."""
    found = re.fullmatch(rb"00-(.{32})-([0-9a-f]{16})-(..)", child_of(written) or b"")
    assert found
    assert (found[1], found[3]) == (TRACE, flags)
    assert found[2] != PARENT
    assert child_of(written) != child_of(written)
    assert trace_id_of(child_of(written) or b"") == TRACE.decode()


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"00",
        SENT.upper(),
        SENT[:-1],
        SENT + b"-more",
        SENT + b"0",
        b"ff" + SENT[2:],
        b"cc" + SENT[2:] + b"more",
        b"00-" + b"0" * 32 + SENT[35:],
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        SENT.replace(b"-", b"_"),
        SENT.replace(b"a", b"g"),
    ],
)
def test_what_is_malformed_is_dropped(written: bytes) -> None:
    """And the state with it; a call may begin a trace of its own then."""
    headers = [(b"A", b"b"), (b"Traceparent", written), STATE]
    assert child_of(written) is None
    assert valid(written) == b""
    assert carried(headers, begins=False) == ([(b"A", b"b")], b"")
    kept, begun = carried(headers, begins=True)
    assert kept == [(b"A", b"b"), (b"traceparent", begun)]
    assert valid(begun) == begun


def test_it_is_carried_in_its_place() -> None:
    """Order and case of the fields stay, and the state as it is."""
    headers = [(b"TraceParent", SENT), STATE, (b"A", b"b"), STATE]
    kept, own = carried(headers, begins=True)
    assert kept == [(b"TraceParent", own), STATE, (b"A", b"b"), STATE]
    assert own[:36] == SENT[:36] != own


def test_two_are_none() -> None:
    """Nobody knows which one it is."""
    assert carried([(b"traceparent", SENT)] * 2, begins=False) == ([], b"")


def test_a_callback_has_one_span_however_often_it_is_written() -> None:
    """By its name; another one has another."""
    fields = of_callback(SENT, [STATE], b"msg_1")
    assert fields == of_callback(SENT, [STATE], b"msg_1")
    assert [name for name, _ in fields] == [b"traceparent", b"tracestate"]
    assert fields[1] == STATE
    assert of_callback(SENT, (), b"msg_2")[0] != fields[0]


@given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-.{0,9}"))
def test_no_bytes_break_the_reader(written: bytes) -> None:
    """What comes out is always well formed, and no line break in it."""
    child = child_of(written)
    assert child is None or re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", child)
