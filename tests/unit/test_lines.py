"""Lines out of a stream of bytes."""

from __future__ import annotations

import pytest

from faasd_async.lines import LINE_BYTES, Lines

STREAMS = [
    (b"", []),
    (b"one", [b"one"]),
    (b"one\r\n\ntwo\n", [b"one", b"", b"two"]),
    (b"abcd\nabcd\r\nabcd", [b"abcd"] * 3),
    (b"abcde\nx", [b"abcd", b"e", b"x"]),
    (b"abcdefgh\r\n", [b"abcd", b"efgh"]),
    (b"abcdefghi", [b"abcd", b"efgh", b"i"]),
    (b"abcd\refgh\r\n\r\n", [b"abcd", b"\ref" + b"g", b"h", b""]),
    (b"abcd\r", [b"abcd", b"\r"]),
]


def cut(*pieces: bytes) -> list[bytes]:
    lines = Lines(4)
    found = [line for piece in pieces for line in lines.feed(piece)]
    return [*found, *lines.finish(), *lines.finish()]


@pytest.mark.parametrize(("stream", "expected"), STREAMS)
def test_lines_are_the_same_wherever_they_are_cut(stream: bytes, expected: list[bytes]) -> None:
    """A long line comes in the same parts, with its end in the same read or in a later one."""
    assert cut(stream) == expected
    assert cut(*(bytes([each]) for each in stream)) == expected
    for at in range(len(stream)):
        assert cut(stream[:at], stream[at:]) == expected


def test_a_long_line_comes_in_parts_at_once() -> None:
    """It is not gathered, whether its end is there or not."""
    lines = Lines()
    long = b"x" * (2 * LINE_BYTES + 1)
    assert [len(line) for line in lines.feed(long)] == [LINE_BYTES] * 2
    assert [len(line) for line in lines.feed(long + b"\n")] == [LINE_BYTES] * 2 + [2]
