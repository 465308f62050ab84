"""A large body on its way into the store."""

from __future__ import annotations

import hashlib

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.call.body import StoredBody
from faasd_async.errors import QueueFull, QueueUnavailable
from faasd_async.queue.jetstream.intake import AGAIN_SECONDS, StoreIntake


class Shelf:
    """Takes pieces of four bytes, when it is told to.

    :ivar put: what it was given, in order.
    :ivar gone: names of which nothing more comes.
    """

    piece_bytes = 4

    def __init__(self) -> None:
        self.put: list[tuple[int, bytes]] = []
        self.gone: list[str] = []
        self._waiting: list[Deferred[None]] = []

    def put_piece(self, name: str, number: int, piece: bytes) -> Deferred[None]:
        self.put.append((number, piece))
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def dropped(self, name: str) -> None:
        self.gone.append(name)

    def takes(self) -> None:
        self._waiting.pop(0).callback(None)

    def fails(self) -> None:
        self._waiting.pop(0).errback(QueueFull("full"))


class House:
    """An intake and who is told of it."""

    def __init__(self, *, insistent: bool = False) -> None:
        self.clock = Clock()
        self.shelf = Shelf()
        self.paces: list[str] = []
        self.intake = StoreIntake(self.clock, self.shelf, "c=1", self, insistent=insistent)

    def pause(self) -> None:
        self.paces.append("pause")

    def resume(self) -> None:
        self.paces.append("resume")


def test_pieces_are_stored_one_after_the_other() -> None:
    """Each when the one before is; the last may be smaller, and the whole is hashed."""
    house = House()
    house.intake.write(b"abcdefghij")
    finished = house.intake.finish()
    while len(house.shelf.put) < 3:
        house.shelf.takes()
    assert not finished.called
    house.shelf.takes()
    assert house.shelf.put == [(0, b"abcd"), (1, b"efgh"), (2, b"ij")]
    assert finished.result == StoredBody("c=1", 10, hashlib.sha256(b"abcdefghij").hexdigest())


def test_whoever_is_faster_than_the_store_is_paused() -> None:
    """Until nothing waits any more."""
    house = House()
    house.intake.write(b"abcd")
    assert house.paces == []
    house.intake.write(b"efgh")
    assert house.paces == ["pause"]
    house.shelf.takes()
    assert house.paces == ["pause", "resume"]


def test_what_cannot_be_stored_ends_it() -> None:
    """Its reason is there at once, nothing is left, and a paused client may hear of it."""
    house = House()
    house.intake.write(b"abcdefgh")
    house.shelf.fails()
    assert isinstance(house.intake.reason, QueueFull)
    assert (house.shelf.gone, house.paces) == (["c=1"], ["pause", "resume"])
    failure = house.intake.finish()
    failure.addErrback(lambda reason: reason.trap(QueueFull))
    assert failure.called
    house.intake.write(b"ijkl")
    assert len(house.shelf.put) == 1


def test_one_that_insists_stores_a_piece_again() -> None:
    """The same piece, a second later, and none before it."""
    house = House(insistent=True)
    house.intake.write(b"abcdefgh")
    house.shelf.fails()
    assert house.intake.reason is None
    house.clock.advance(AGAIN_SECONDS)
    house.shelf.takes()
    house.shelf.takes()
    assert house.shelf.put == [(0, b"abcd"), (0, b"abcd"), (1, b"efgh")]


@pytest.mark.parametrize("insistent", [False, True])
def test_what_is_aborted_is_removed_when_nothing_is_on_its_way(insistent: bool) -> None:
    """Or a piece would come after it was."""
    house = House(insistent=insistent)
    house.intake.write(b"abcdefgh")
    finished = house.intake.finish()
    finished.addErrback(lambda reason: reason.trap(QueueUnavailable))
    house.intake.abort()
    assert finished.called
    assert house.shelf.gone == []
    house.shelf.takes()
    house.intake.abort()
    assert house.shelf.gone == ["c=1"]


def test_an_abort_ends_the_wait_for_another_try() -> None:
    """Nothing is tried again."""
    house = House(insistent=True)
    house.intake.write(b"abcd")
    house.shelf.fails()
    house.intake.abort()
    assert house.shelf.gone == ["c=1"]
    assert house.clock.getDelayedCalls() == []
