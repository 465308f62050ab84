"""Requests as they are stored, and the header fields that go along."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.call.headers import (
    FRAMING,
    HOP_BY_HOP,
    end_to_end,
    first,
    named_by_connection,
    replaced,
)
from faasd_async.call.http_form import StoredFields, UnreadableForm, read, write

NAMES = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
VALUES = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\x00\r\n"))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
TARGETS = st.from_regex(rb"/[!-~]{0,20}", fullmatch=True)
LIKELY = st.sampled_from([*sorted(HOP_BY_HOP | FRAMING), b"X-A", b"x-a", b"X-B", b"Host"])
LIKELY_FIELDS = st.lists(
    st.tuples(LIKELY | LIKELY.map(bytes.title) | LIKELY.map(bytes.upper), VALUES), max_size=6
)


@given(TARGETS, FIELDS, st.binary(max_size=60))
def test_a_stored_request_can_be_read_back(
    target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Byte for byte: target, fields in order and case, body."""
    assert read(write(target, headers, body)) == (target, headers, body)


@given(FIELDS, NAMES, VALUES)
def test_stored_fields_are_a_sequence_of_pairs(
    headers: list[tuple[bytes, bytes]], name: bytes, value: bytes
) -> None:
    """Whatever is asked of a list of them can be asked of these; so can be that there is one
    more."""
    _, fields, _ = read(write(b"/", headers, b""))
    assert isinstance(fields, StoredFields)
    more = fields.with_one_more((name, value))
    assert list(more) == [*headers, (name, value)]
    assert (len(more), more[-1], more[:1]) == (len(headers) + 1, (name, value), [*more][:1])
    assert list(reversed(more)) == [(name, value), *reversed(headers)]
    assert more != fields
    assert fields == tuple(headers)
    assert more.may_hold(name.lower())


@given(LIKELY_FIELDS)
def test_stored_fields_go_on_if_all_of_them_do(headers: list[tuple[bytes, bytes]]) -> None:
    """None is for one hop alone, none is written anew."""
    fields = StoredFields(b"".join(b"\r\n%b: %b" % field for field in headers))
    assert fields.go_on == (end_to_end(headers, without=(b"host",)) == headers)


def test_a_stored_request_is_http() -> None:
    """It can be sent as it lies there."""
    assert write(b"/a?b", [(b"x-one", b"1"), (b"X-Two", b"")], b"\r\n\r\n") == (
        b"POST /a?b HTTP/1.1\r\nx-one: 1\r\nX-Two: \r\nContent-Length: 4\r\n\r\n\r\n\r\n"
    )


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1 x\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nmore",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\nX: y\r\n\r\n",
    ],
)
def test_what_was_not_written_so(stored: bytes) -> None:
    """An error, not half a request."""
    with pytest.raises(UnreadableForm):
        read(stored)


@given(st.binary(max_size=80))
def test_reading_fails_in_one_way(stored: bytes) -> None:
    """Whatever lies there."""
    with suppress(UnreadableForm):
        read(b"POST " + stored)


@given(LIKELY_FIELDS)
def test_what_ends_here_goes_no_further(headers: list[tuple[bytes, bytes]]) -> None:
    """Hop-by-hop and framing fields, in any case; the others stay as they are, in their order."""
    kept = end_to_end(headers)
    dropped = HOP_BY_HOP | FRAMING | named_by_connection(headers)
    assert not {name.lower() for name, _ in kept} & dropped
    assert kept == [field for field in headers if field[0].lower() not in dropped]


@given(LIKELY_FIELDS)
def test_passing_on_twice_changes_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    """What is meant for the far end is so at every hop."""
    assert end_to_end(end_to_end(headers)) == end_to_end(headers)


def test_connection_names_more() -> None:
    """Over several fields and lists, in any case, with any white space."""
    headers = [
        (b"CONNECTION", b"close, X-One"),
        (b"connection", b" x-two ,,X-THREE"),
        (b"x-one", b""),
        (b"X-Two", b""),
        (b"x-Three", b""),
        (b"X-Four", b""),
    ]
    assert named_by_connection(headers) >= {b"close", b"x-one", b"x-two", b"x-three"}
    assert end_to_end(headers) == [(b"X-Four", b"")]


def test_more_may_be_left_out() -> None:
    """By lower-case name."""
    assert end_to_end([(b"Host", b"h"), (b"A", b"")], without=(b"host",)) == [(b"A", b"")]


@given(LIKELY_FIELDS, LIKELY)
def test_the_first_of_a_name(headers: list[tuple[bytes, bytes]], name: bytes) -> None:
    """Its value, or nothing."""
    values = [value for each, value in headers if each.lower() == name.lower()]
    assert first(headers, name.lower()) == (values[0] if values else None)


@given(LIKELY_FIELDS, LIKELY_FIELDS)
def test_replacing_leaves_nothing_of_a_name(
    headers: list[tuple[bytes, bytes]], fields: list[tuple[bytes, bytes]]
) -> None:
    """The new fields stand at the end, and nobody else's under their names."""
    result = replaced(headers, fields)
    names = {name.lower() for name, _ in fields}
    kept = result[: len(result) - len(fields)]
    assert result[len(kept) :] == fields
    assert kept == [field for field in headers if field[0].lower() not in names]
