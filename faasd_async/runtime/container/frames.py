"""The two streams of a container as the engine sends them in one: frames, each with a head.

A head is of eight bytes: which stream (1 standard output, 2 standard error), three of no meaning,
and the length of what follows, most significant byte first. Source: Docker's API, "attach".
"""

from __future__ import annotations

from collections.abc import Callable

HEAD_BYTES = 8

STDOUT, STDERR = 1, 2


class Frames:
    """Takes the frames apart, however they come in pieces; nothing of them is kept.

    :param received: is told of each piece of a frame: its stream and what it holds.
    """

    def __init__(self, received: Callable[[int, bytes], object]) -> None:
        self._received = received
        self._head = b""
        self._stream = 0
        self._left_bytes = 0

    def feed(self, piece: bytes) -> None:
        while piece:
            if self._left_bytes:
                content, piece = piece[: self._left_bytes], piece[self._left_bytes :]
                self._left_bytes -= len(content)
                self._received(self._stream, content)
                continue
            wanted = HEAD_BYTES - len(self._head)
            self._head, piece = self._head + piece[:wanted], piece[wanted:]
            if len(self._head) == HEAD_BYTES:
                self._stream = self._head[0]
                self._left_bytes = int.from_bytes(self._head[4:], "big")
                self._head = b""
