"""The parser: whole frames, once each, wherever the bytes are split; and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faasd_async.nats.wire import (
    Event,
    Message,
    Parser,
    ProtocolError,
    ServerErr,
    ServerInfo,
    Signal,
    commands,
    encode_headers,
)
from faasd_async.nats.wire.parser import CONTROL_LINE_BYTES, INFO_LINE_BYTES

STATUS = b"NATS/1.0 503\r\n\r\n"
FRAMES: list[tuple[bytes, Event]] = [
    (b"PING\r\n", Signal.PING),
    (b"PONG\r\n", Signal.PONG),
    (b"+OK\r\n", Signal.OK),
    (b"-ERR 'Stale Connection'\r\n", ServerErr("Stale Connection")),
    (
        b'INFO {"server_id":"S","max_payload":5,"ldm":true} \r\n',
        ServerInfo(server_id="S", max_payload_bytes=5, lame_duck=True),
    ),
    (b"MSG a.b 1 5\r\nhello\r\n", Message(b"a.b", b"1", b"", b"", b"hello")),
    (b"MSG a.b 12 re.ply 5\r\nhello\r\n", Message(b"a.b", b"12", b"re.ply", b"", b"hello")),
    (b"MSG a 1 0\r\n\r\n", Message(b"a", b"1", b"", b"", b"")),
    (
        b"MSG a 1 14\r\nMSG a 1 2\r\nhi\r\n"[:-2] + b"x\r\n",
        Message(b"a", b"1", b"", b"", b"MSG a 1 2\r\nhix"),
    ),
    (b"HMSG a 1 16 16\r\n" + STATUS + b"\r\n", Message(b"a", b"1", b"", STATUS, b"")),
    (b"HMSG a 1 r 16 18\r\n" + STATUS + b"hi\r\n", Message(b"a", b"1", b"r", STATUS, b"hi")),
]


def events(parser: Parser, *reads: bytes) -> list[Event]:
    return [event for data in reads for event in parser.receive(data)]


@pytest.mark.parametrize(("frame", "event"), FRAMES)
def test_every_split_point(frame: bytes, event: Event) -> None:
    """A frame split anywhere is one event, and none before its last byte."""
    for split in range(1, len(frame)):
        parser = Parser()
        assert events(parser, frame[:split]) == [], split
        assert events(parser, frame[split:]) == [event], split
        assert parser.held_bytes == 0


@pytest.mark.parametrize(("frame", "event"), FRAMES)
def test_byte_by_byte(frame: bytes, event: Event) -> None:
    """A frame that trickles in is one event."""
    parser = Parser()
    assert events(parser, *(frame[i : i + 1] for i in range(len(frame)))) == [event]


def test_every_pair_of_splits() -> None:
    """All frames in one stream, split at two places, are the same events in the same order."""
    stream = b"".join(frame for frame, _ in FRAMES)
    expected = [event for _, event in FRAMES]
    for first in range(0, len(stream), 3):
        for second in range(first, len(stream), 7):
            reads = stream[:first], stream[first:second], stream[second:]
            assert events(Parser(), *reads) == expected


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans(), st.booleans()), max_size=8),
    st.lists(st.integers(min_value=0, max_value=3000)),
)
def test_any_payload_at_any_splits(
    messages: list[tuple[bytes, bool, bool]], cuts: list[int]
) -> None:
    """Payloads of any bytes survive any cutting."""
    stream, expected = b"", []
    for payload, with_reply, with_headers in messages:
        reply = b"r.1" if with_reply else b""
        block = encode_headers([(b"A", b"b")]) if with_headers else b""
        sent = commands.publish(b"s.u", payload, reply, block)
        verb, _, rest = sent.partition(b" s.u ")
        stream += verb.replace(b"PUB", b"MSG") + b" s.u 7 " + rest
        expected.append(Message(b"s.u", b"7", reply, block, payload))
    cuts = sorted(cut for cut in cuts if cut < len(stream))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(Parser(), *reads) == expected


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_garbage(reads: list[bytes]) -> None:
    """Any bytes are either frames, an unfinished frame within its bound, or a ProtocolError."""
    parser = Parser(payload_limit_bytes=128)
    try:
        events(parser, *reads)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            events(parser, b"PING\r\n")
    assert parser.held_bytes <= INFO_LINE_BYTES + 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b" \r\n",
        b"PINGPONG\r\n",
        b"PING PONG\r\n",
        b"msg a 1 0\r\n\r\n",
        b"MSG a 1\r\n",
        b"MSG a 1 r x 5\r\nhello\r\n",
        b"MSG a 1 -5\r\n",
        b"MSG a 1 +5\r\nhello\r\n",
        b"MSG a 1 1_0\r\n",
        b"MSG a 1 0x5\r\n",
        b"HMSG a 1 5\r\nhello\r\n",
        b"HMSG a 1 6 5\r\nhello\r\n",
        b"HMSG a 1 r q 5 5\r\nhello\r\n",
        b"HMSG a 1 x 5\r\nhello\r\n",
        b"MSG a 1 5\r\nhello!\r",
        b"MSG a 1 5\r\nhello\n\n",
        b"INFO {\r\n",
        b"INFO []\r\n",
        b'INFO {"max_payload":"much"}\r\n',
        b"INFO " + b"[" * 20000 + b"\r\n",
    ],
)
def test_no_frame(garbage: bytes) -> None:
    """What is no frame is refused, after the good frame before it, and for good."""
    parser = Parser()
    seen: list[Event] = []
    with pytest.raises(ProtocolError):
        seen.extend(parser.receive(b"PING\r\n" + garbage))
    assert seen == [Signal.PING]
    with pytest.raises(ProtocolError):
        events(parser, b"PING\r\n")


def test_control_line_bound() -> None:
    """A line without an end is refused as soon as it is over its bound, however it trickles in."""
    parser = Parser()
    events(parser, b"-ERR '" + b"x" * (CONTROL_LINE_BYTES - 6))
    with pytest.raises(ProtocolError):
        events(parser, b"xx")
    with pytest.raises(ProtocolError):
        events(Parser(), b"MSG " + b"x" * CONTROL_LINE_BYTES + b" 1 0\r\n\r\n")


def test_info_line_may_be_long() -> None:
    """INFO alone may be longer, and has a bound, too."""
    long = b'INFO {"server_name":"%b"}\r\n' % (b"x" * 50_000)
    (info,) = events(Parser(), long[:10_000], long[10_000:])
    assert isinstance(info, ServerInfo)
    with pytest.raises(ProtocolError):
        events(Parser(), b"INFO " + b"x" * (INFO_LINE_BYTES + 2))


def test_payload_bound() -> None:
    """A payload over the limit is refused by its announcement, before any of it is held."""
    parser = Parser(payload_limit_bytes=10)
    assert len(events(parser, b"MSG a 1 10\r\n0123456789\r\n")) == 1
    with pytest.raises(ProtocolError):
        events(parser, b"MSG a 1 11\r\n")


def test_large_payload_is_joined_once() -> None:
    """While a payload comes in, its pieces are kept as they came."""
    parser = Parser()
    events(parser, b"MSG a 1 1000000\r\n")
    for _ in range(10):
        assert events(parser, b"x" * 100_000) == []
    assert parser.held_bytes == len("MSG a 1 1000000\r\n") + 1_000_000
    assert len(parser._pieces) == 11
    (message,) = events(parser, b"\r\n")
    assert isinstance(message, Message)
    assert len(message.payload) == 1_000_000


def test_left_iteration_goes_on() -> None:
    """A reader that stops half way gets the rest with the next read."""
    parser = Parser()
    for event in parser.receive(b"PING\r\nPONG\r\n+OK\r\n"):
        assert event is Signal.PING
        break
    assert events(parser, b"PING\r\n") == [Signal.PONG, Signal.OK, Signal.PING]
