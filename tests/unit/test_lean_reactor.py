"""The reactor without log contexts, turn by turn."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.logger import capturedLogs

from faasd_async.lean_reactor import LeanReactor


class Reader(FileDescriptor):
    """One end of a connection, at which something has come.

    :ivar heard: how often it was told.
    """

    def __init__(self, reactor: LeanReactor) -> None:
        super().__init__(reactor)  # type: ignore[arg-type]
        self._end, other = socket.socketpair()
        other.send(b"x")
        self._other = other
        self.heard = 0
        self.lost = 0
        self.others: list[Reader] = []
        self.startReading()

    def fileno(self) -> int:
        return self._end.fileno()

    def doRead(self) -> None:
        self.heard += 1
        for other in self.others:
            other.stopReading()

    def connectionLost(self, reason: object) -> None:  # type: ignore[override]
        self.lost += 1

    def close(self) -> None:
        self.stopReading()
        self._end.close()
        self._other.close()


class Failing(Reader):
    def doRead(self) -> None:
        raise RuntimeError("a bug")


@pytest.fixture
def reactor() -> Iterator[LeanReactor]:
    reactor = LeanReactor()  # type: ignore[no-untyped-call]
    yield reactor
    for reader in reactor.removeAll():  # type: ignore[no-untyped-call]
        reader.connectionLost(None)
    reactor._poller.close()


def test_who_stopped_reading_in_this_turn_is_told_nothing(reactor: LeanReactor) -> None:
    """Whoever of two is told first lets the other stop."""
    one, other = Reader(reactor), Reader(reactor)
    one.others, other.others = [other], [one]
    reactor.doPoll(0)
    assert one.heard + other.heard == 1
    one.close()
    other.close()


def test_one_that_fails_is_cut_off_and_keeps_nothing_from_the_others(reactor: LeanReactor) -> None:
    """And it is logged."""
    failing, whole = Failing(reactor), Reader(reactor)
    with capturedLogs() as events:
        reactor.doPoll(0)
    assert (failing.lost, whole.heard) == (1, 1)
    assert [event["failure"].type for event in events] == [RuntimeError]
    failing.close()
    whole.close()
