"""Leases: extended while a delivery is in hand, and no longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from faasd_async.queue.leases import Leases

LEASE_SECONDS = 30.0


class Parcel:
    """A delivery that counts its extensions."""

    parcel = None
    delivered = 1
    inherited = left_behind = False

    def __init__(self) -> None:
        self.extended = 0

    def extend(self) -> None:
        self.extended += 1

    def settle_moved(self) -> None:
        self.settle()

    def settle(self) -> None:
        raise AssertionError("not a lease's to do")

    def give_back(self, delay_seconds: float = 0.0) -> None:
        raise AssertionError("not a lease's to do")

    def reject(self, reason: str) -> None:
        raise AssertionError("not a lease's to do")


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    assert clock.getDelayedCalls() == []


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(clock, LEASE_SECONDS)


def test_a_lease_is_extended_while_it_is_held(clock: Clock, leases: Leases) -> None:
    """Well before it runs out, for as long as it takes; not at once."""
    parcel = Parcel()
    leases.hold(parcel)
    assert parcel.extended == 0
    for _ in range(60):
        clock.advance(LEASE_SECONDS / 6)
    assert parcel.extended >= 20
    leases.drop(parcel)


def test_no_lease_goes_unextended_for_its_length(clock: Clock, leases: Leases) -> None:
    """Whenever it was taken between two rounds."""
    first, late = Parcel(), Parcel()
    leases.hold(first)
    clock.advance(1)
    leases.hold(late)
    clock.advance(LEASE_SECONDS / 2)
    assert (first.extended, late.extended) == (1, 1)
    leases.drop(first)
    leases.drop(late)


def test_what_is_dropped_is_not_extended(clock: Clock, leases: Leases) -> None:
    """Though others still are."""
    settled, held = Parcel(), Parcel()
    leases.hold(settled)
    leases.hold(held)
    leases.drop(settled)
    clock.advance(LEASE_SECONDS / 2)
    assert (settled.extended, held.extended) == (0, 1)
    leases.drop(held)


def test_an_extension_may_end_in_a_drop(clock: Clock, leases: Leases) -> None:
    """The others are extended all the same."""
    parcels = [Parcel() for _ in range(10)]

    def drop_all() -> None:
        for parcel in parcels:
            leases.drop(parcel)

    for parcel in parcels:
        leases.hold(parcel)
    parcels[4].extend = drop_all  # type: ignore[method-assign]
    clock.advance(LEASE_SECONDS / 2)
    assert [parcel.extended for parcel in parcels] == [1] * 4 + [0] + [1] * 5


def test_nothing_ticks_when_nothing_is_held(clock: Clock, leases: Leases) -> None:
    """The rounds end with the last delivery and begin again with the next."""
    parcel = Parcel()
    for _ in range(2):
        leases.hold(parcel)
        assert clock.getDelayedCalls()
        leases.drop(parcel)
        assert clock.getDelayedCalls() == []


def test_when_nothing_is_in_hand(leases: Leases) -> None:
    """Fires at once."""
    assert leases.when_none().called


def test_when_nothing_is_in_hand_any_more(leases: Leases) -> None:
    """Fires for all who wait, with the last one dropped."""
    one, other = Parcel(), Parcel()
    leases.hold(one)
    leases.hold(other)
    waiters = [leases.when_none(), leases.when_none()]
    leases.drop(one)
    assert [each.called for each in waiters] == [False, False]
    leases.drop(other)
    assert [each.called for each in waiters] == [True, True]


def test_a_waiter_may_take_the_next(leases: Leases) -> None:
    """And has to drop it as any other."""
    one, other = Parcel(), Parcel()
    leases.hold(one)
    leases.when_none().addCallback(lambda _: leases.hold(other))
    leases.drop(one)
    assert not leases.when_none().called
    leases.drop(other)
    leases.drop(other)
