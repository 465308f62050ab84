"""A body that is read from somewhere else while it is sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from faasd_async.http.flowing import FlowingBody


class Pieces:
    """A body whose pieces come when they are told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[bytes]] = []
        self.closed = False

    def read(self) -> Deferred[bytes]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def close(self) -> None:
        self.closed = True


class Transport:
    """Asks a pull producer for a first piece; then the test does."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)


def begun() -> tuple[FlowingBody, Pieces, Transport, list[object]]:
    pieces, transport, told = Pieces(), Transport(), list[object]()
    body = FlowingBody(pieces, told.append)
    body.begin(transport, lambda: told.append("done"))  # type: ignore[arg-type]
    return body, pieces, transport, told


def test_a_piece_is_asked_for_when_the_one_before_is_sent() -> None:
    """And never two at a time."""
    body, pieces, transport, told = begun()
    body.resumeProducing()
    assert len(pieces.asked) == 1
    pieces.asked[0].callback(b"one")
    assert (transport.written, len(pieces.asked)) == ([b"one"], 1)
    body.resumeProducing()
    pieces.asked[1].callback(b"")
    assert (transport.written, told) == ([b"one"], ["done"])
    assert transport.producer is None
    assert pieces.closed


def test_a_body_that_is_not_whole_is_told_of() -> None:
    """Nothing more is asked for."""
    body, pieces, _, told = begun()
    reason = ValueError("gone")
    pieces.asked[0].errback(reason)
    body.resumeProducing()
    assert told == [reason]
    assert len(pieces.asked) == 1


def test_a_connection_that_is_gone_wants_nothing_more() -> None:
    """The pieces are let go of."""
    body, pieces, _, told = begun()
    body.stopProducing()
    assert pieces.closed
    pieces.asked[0].errback(ValueError("closed"))
    assert told == []
