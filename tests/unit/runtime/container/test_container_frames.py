"""The two streams of a container, taken apart."""

from __future__ import annotations

from faasd_async.runtime.container.frames import STDERR, STDOUT, Frames

SENT = (
    b"\x01\0\0\0\0\0\0\x05hello" + b"\x02\0\0\0\0\0\0\x00" + b"\x02\0\0\0\0\0\x01\x01" + b"x" * 257
)


def test_frames_at_every_cut() -> None:
    """However the bytes come in pieces, each stream has its own."""
    for cut in range(len(SENT) + 1):
        streams = {STDOUT: b"", STDERR: b""}

        def received(stream: int, piece: bytes, streams: dict[int, bytes] = streams) -> None:
            streams[stream] += piece

        frames = Frames(received)
        frames.feed(SENT[:cut])
        frames.feed(SENT[cut:])
        assert streams == {STDOUT: b"hello", STDERR: b"x" * 257}


def test_a_piece_is_handed_on_at_once() -> None:
    """What is there of a frame is not kept until the rest comes."""
    pieces = []
    Frames(lambda stream, piece: pieces.append((stream, piece))).feed(SENT[:10])
    assert pieces == [(STDOUT, b"he")]
