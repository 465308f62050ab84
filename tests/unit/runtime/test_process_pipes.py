"""The daemon's ends of pipes; the test is the reactor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from faasd_async.runtime.process.pipes import PIECE_BYTES, PipeReader, PipeWriter

DONE = Failure(ConnectionDone())


class Reactor(Clock):
    """Keeps what it is asked to watch."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[IReadDescriptor] = set()
        self.writers: set[IWriteDescriptor] = set()
        self.addReader = self.readers.add
        self.removeReader = self.readers.discard
        self.addWriter = self.writers.add
        self.removeWriter = self.writers.discard


class Pipe:
    """A pipe with both ends."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.reading: IO[bytes] = os.fdopen(reading, "rb", buffering=0)
        self.writing: IO[bytes] = os.fdopen(writing, "wb", buffering=0)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reading.close()
    pipe.writing.close()


class Reading:
    """A reader and what it told."""

    def __init__(self, reactor: Reactor, pipe: Pipe) -> None:
        self.pieces: list[bytes] = []
        self.ends = 0
        self.reader = PipeReader(reactor, pipe.reading, self.pieces.append, self._ended)

    def _ended(self) -> None:
        self.ends += 1


@pytest.fixture
def reading(reactor: Reactor, pipe: Pipe) -> Reading:
    return Reading(reactor, pipe)


def test_reading(reactor: Reactor, pipe: Pipe, reading: Reading) -> None:
    """Pieces are passed on until the pipe's other end is closed."""
    assert reading.reader in reactor.readers
    pipe.writing.write(b"one")
    reading.reader.doRead()
    pipe.writing.close()
    assert (reading.pieces, reading.ends) == ([b"one"], 0)
    reading.reader.doRead()
    assert (reading.ends, reactor.readers) == (1, set())
    assert reading.reader.closed
    assert reading.reader.fileno() == -1


def test_nothing_to_read(pipe: Pipe, reading: Reading) -> None:
    """Being asked in vain is not an end."""
    reading.reader.doRead()
    assert (reading.pieces, reading.ends) == ([], 0)


def test_pause(reactor: Reactor, reading: Reading) -> None:
    """A paused pipe is not watched."""
    reading.reader.pause()
    assert not reactor.readers
    reading.reader.resume()
    assert reactor.readers == {reading.reader}


def test_end_that_is_another_pipe_s(reactor: Reactor, pipe: Pipe, reading: Reading) -> None:
    """An end that the reactor saw on the same number before is not believed."""
    reactor.removeReader(reading.reader)
    reading.reader.connectionLost(DONE)
    assert reading.ends == 0
    assert reading.reader in reactor.readers


def test_end_reported_with_bytes_left(pipe: Pipe, reading: Reading) -> None:
    """An end of our own is found after the bytes before it."""
    pipe.writing.write(b"last")
    pipe.writing.close()
    reading.reader.connectionLost(DONE)
    reading.reader.connectionLost(DONE)
    assert (reading.pieces, reading.ends) == ([b"last"], 1)


def test_end_with_what_is_there(pipe: Pipe, reading: Reading) -> None:
    """What the pipe holds is read, and what comes later is not waited for."""
    pipe.writing.write(b"x" * 10)
    reading.reader.end_with_what_is_there()
    assert reading.ends == 0
    pipe.writing.write(b"later")
    reading.reader.doRead()
    assert (reading.pieces, reading.ends) == ([b"x" * 10], 1)


def test_end_with_nothing_there(reading: Reading) -> None:
    """An empty pipe ends at once."""
    reading.reader.end_with_what_is_there()
    assert reading.ends == 1


def test_closing_from_within(reactor: Reactor, pipe: Pipe) -> None:
    """Whoever is given a piece may close the pipe."""
    pieces: list[bytes] = []

    def take(piece: bytes) -> None:
        pieces.append(piece)
        reader.close()

    reader = PipeReader(reactor, pipe.reading, take, lambda: None)
    pipe.writing.write(b"one")
    reader.doRead()
    assert (pieces, reader.closed) == ([b"one"], True)


def test_writing(reactor: Reactor, pipe: Pipe) -> None:
    """The content goes in as fast as it is read, and the pipe is closed behind it."""
    content = os.urandom(3 * PIECE_BYTES + 5)
    writer = PipeWriter(reactor, pipe.writing, content)
    received = b""
    while reactor.writers:
        writer.doWrite()
        if reactor.writers:
            writer.doWrite()  # into a full pipe
        received += pipe.reading.read(PIECE_BYTES)
    reactor.advance(0)
    while piece := pipe.reading.read(PIECE_BYTES):
        received += piece
    assert received == content
    assert pipe.writing.closed


def test_writing_nothing(reactor: Reactor, pipe: Pipe) -> None:
    """Without content the reader sees an end at once."""
    PipeWriter(reactor, pipe.writing, b"")
    reactor.advance(0)
    assert pipe.reading.read() == b""
    assert not reactor.writers


def test_nobody_reads(reactor: Reactor, pipe: Pipe) -> None:
    """A reader that closes early is none of our business."""
    pipe.reading.close()
    writer = PipeWriter(reactor, pipe.writing, b"content")
    writer.doWrite()
    reactor.advance(0)
    assert pipe.writing.closed
    assert not reactor.writers


def test_a_number_that_is_given_away(reactor: Reactor, pipe: Pipe, reading: Reading) -> None:
    """The reactor may have more to report of it in this turn: nobody gets it before the next."""
    number = pipe.reading.fileno()
    reading.reader.close()
    assert (reading.reader.fileno(), reading.ends) == (-1, 1)
    assert os.fstat(number)
    reactor.advance(0)
    assert pipe.reading.closed


def test_lost_reader_that_is_another_pipe_s(reactor: Reactor, pipe: Pipe) -> None:
    """A loss that the reactor saw on the same number before is not believed."""
    writer = PipeWriter(reactor, pipe.writing, b"x" * (2 * PIECE_BYTES))
    reactor.removeWriter(writer)
    writer.connectionLost(DONE)
    assert writer in reactor.writers
    assert not pipe.writing.closed
