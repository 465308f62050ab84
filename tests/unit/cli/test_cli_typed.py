"""What people type, what comes in pieces, and what a terminal must not obey."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.cli.events import EventReader
from faasd_async.cli.fields import FIELD, PAIR
from faasd_async.cli.screen import plain


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ("X-A: b", ("X-A", "b")),
        ("X-A:b", ("X-A", "b")),
        ("X-A=b", ("X-A", "b")),
        ("X-Callback-Url: http://h:1/?a=b", ("X-Callback-Url", "http://h:1/?a=b")),
        ("X-A=b: c", ("X-A", "b: c")),
        ("X-A:", ("X-A", "")),
    ],
)
def test_a_header_field(typed: str, field: tuple[str, str]) -> None:
    """As curl has it, and as faas-cli does; what comes first ends the name."""
    assert FIELD.convert(typed, None, None) == field


@pytest.mark.parametrize("typed", ["", ":b", "X A: b", "X-A", "X-A: b\r\nX-B: c", "X-A: \x00"])
def test_no_header_field(typed: str) -> None:
    """What would be none, or two, is refused."""
    with pytest.raises(click.BadParameter):
        FIELD.convert(typed, None, None)


def test_a_pair() -> None:
    """A name and a value, which may be empty; a name may not."""
    assert PAIR.convert("a=b=c", None, None) == ("a", "b=c")
    assert PAIR.convert("a=", None, None) == ("a", "")
    with pytest.raises(click.BadParameter):
        PAIR.convert("=b", None, None)


@given(st.data())
def test_events_come_in_any_pieces(data: st.DataObject) -> None:
    """Wherever the bytes are cut: comments and fields of other names are passed over."""
    stream = b"retry: 1\n\nid: 1\nevent: a\ndata: one\n\n:\n\ndata: two\ndata: three\n\ndata: no"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = EventReader()
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [text for piece in pieces for text in reader.feed(piece)] == ["one", "two\nthree"]


def test_an_event_without_an_end() -> None:
    """There is an end to patience."""
    reader = EventReader()
    assert reader.feed(b"x" * 1024 * 1024) == []
    with pytest.raises(ValueError, match="without an end"):
        reader.feed(b"x")


@given(st.text())
def test_nothing_that_a_terminal_obeys(text: str) -> None:
    """Whatever it was, what is printed is printable."""
    assert plain(text).isprintable()
