"""Header blocks: written so that nothing can be smuggled in, read as servers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.nats.wire import BadHeader, Headers, decode_headers, encode_headers

visible = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":")
names = st.text(visible, min_size=1).map(str.encode)
values = st.lists(st.sampled_from(sorted(set(range(256)) - set(b"\r\n\0")))).map(bytes)


def test_encode() -> None:
    """Pairs are written in their order and case."""
    block = encode_headers([(b"Nats-Msg-Id", b"7"), (b"x", b"")])
    assert block == b"NATS/1.0\r\nNats-Msg-Id: 7\r\nx: \r\n\r\n"


@given(st.lists(st.tuples(names, values)))
def test_round_trip(pairs: list[tuple[bytes, bytes]]) -> None:
    """What was written is read, but for blanks around a value."""
    expected = tuple((name, value.strip(b" \t")) for name, value in pairs)
    assert decode_headers(encode_headers(pairs)).pairs == expected


@pytest.mark.parametrize("value", [b"a\r\nNats-TTL: 1", b"a\nb", b"\r", b"\0"])
def test_value_cannot_break_out(value: bytes) -> None:
    """CR, LF and NUL in a value are refused."""
    with pytest.raises(BadHeader):
        encode_headers([(b"A", value)])


@pytest.mark.parametrize("name", [b"", b"a:b", b"a b", b"a\r\n", b"a\n", b"\xc3\xa4", b"a\0"])
def test_name(name: bytes) -> None:
    """A name is visible ASCII without a colon."""
    with pytest.raises(BadHeader):
        encode_headers([(name, b"v")])


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        (b"", Headers(None, "", ())),
        (b"NATS/1.0\r\n\r\n", Headers(None, "", ())),
        (b"NATS/1.0 503\r\n\r\n", Headers(503, "", ())),
        (b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", Headers(100, "Idle Heartbeat", ())),
        (
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\nB:2\r\n\r\n",
            Headers(408, "Request Timeout", ((b"Nats-Pending-Messages", b"1"), (b"B", b"2"))),
        ),
    ],
)
def test_decode(block: bytes, headers: Headers) -> None:
    """Blocks as servers write them, with an inline status and without."""
    assert decode_headers(block) == headers


@pytest.mark.parametrize(
    "block",
    [
        b"NATS/1.0",
        b"NATS/1.0\r\nA: b\r\n",
        b"NATS/2.0\r\n\r\n",
        b"NATS/1.0 50\r\n\r\n",
        b"NATS/1.0\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\n: v\r\n\r\n",
    ],
)
def test_decode_refuses(block: bytes) -> None:
    """A block that does not follow the grammar is refused."""
    with pytest.raises(BadHeader):
        decode_headers(block)


def test_get() -> None:
    """The first value under exactly this name, or the default."""
    headers = decode_headers(encode_headers([(b"A", b"1"), (b"A", b"2"), (b"a", b"3")]))
    assert (headers.get(b"A"), headers.get(b"a"), headers.get(b"b", b"?")) == (b"1", b"3", b"?")
