"""Heads of requests."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.http.errors import Unsendable
from faasd_async.http.request import write_head


def test_written_as_it_is() -> None:
    """Target, names and values are not touched, whatever bytes they are."""
    head = write_head(b"GET", b"//x;?\xff", [(b"x-A", b"1"), (b"B", b""), (b"x-A", b"\xe4")])
    assert head == b"GET //x;?\xff HTTP/1.1\r\nx-A: 1\r\nB: \r\nx-A: \xe4\r\n\r\n"


@pytest.mark.parametrize("bad", [b"\r\nX: 1", b"\n", b"\r", b"\0"])
@pytest.mark.parametrize("place", ["method", "target", "name", "value"])
def test_nothing_breaks_out(bad: bytes, place: str) -> None:
    """CR, LF and NUL pass nowhere."""
    parts = {"method": b"GET", "target": b"/", "name": b"A", "value": b"1"}
    parts[place] += bad
    with pytest.raises(Unsendable):
        write_head(parts["method"], parts["target"], [(parts["name"], parts["value"])])


@pytest.mark.parametrize(("method", "target"), [(b"GET", b"/a b"), (b"G ET", b"/"), (b"GET", b" ")])
def test_request_line_has_three_words(method: bytes, target: bytes) -> None:
    """A space would make another target, or another version, of what follows it."""
    with pytest.raises(Unsendable):
        write_head(method, target, [])


class _Parsed:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.messages = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_message_complete(self) -> None:
        self.messages += 1


VALUES = st.binary(max_size=8) | st.sampled_from((b"1\r\n\r\nGET / HTTP/1.1\r\nA: 1", b"\r\nB: 1"))


@given(st.lists(VALUES, max_size=4))
def test_one_request_or_none(values: list[bytes]) -> None:
    """Whatever the values are, what is written has as many fields as it was given."""
    fields = [(b"X-%d" % number, value) for number, value in enumerate(values)]
    try:
        head = write_head(b"GET", b"/", fields)
    except Unsendable:
        assert any(set(value) & set(b"\r\n\0") for value in values)
        return
    parsed = _Parsed()
    try:
        httptools.HttpRequestParser(parsed).feed_data(head)
    except httptools.HttpParserError:
        return  # a control character that is none of the three
    assert parsed.messages == 1
    assert [name for name, _ in parsed.fields] == [name for name, _ in fields]
