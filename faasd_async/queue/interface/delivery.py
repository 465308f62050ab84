"""Parcels as they come out of a queue: each on a lease."""

from __future__ import annotations

from typing import Protocol, TypeVar

Parcel_co = TypeVar("Parcel_co", covariant=True)


class Delivery(Protocol[Parcel_co]):
    """One parcel on a lease. It ends with exactly one of settle, give back and reject."""

    @property
    def parcel(self) -> Parcel_co: ...

    @property
    def delivered(self) -> int:
        """How many times the queue has handed this parcel out, this time included."""

    @property
    def inherited(self) -> bool:
        """Whether the parcel lay in the queue before this connection to it, so that somebody
        may have worked on it, of which the queue may know nothing any more."""

    @property
    def left_behind(self) -> bool:
        """Whether it lay there before this daemon first came, so that another may have gone away
        with it."""

    def extend(self) -> None:
        """Begin the lease anew: the parcel is still being worked on."""

    def lighten(self) -> None:
        """Let go of the parcel's body: it will be given back, and come whole."""

    def settle(self) -> None:
        """The parcel is done with; the queue forgets it, and its body if that lies elsewhere."""

    def settle_moved(self) -> None:
        """The parcel was put somewhere else, and its body is needed there."""

    def give_back(self, delay_seconds: float = 0.0) -> None:
        """Let somebody take it again, not earlier than after the delay."""

    def reject(self, reason: str) -> None:
        """Nobody can ever do anything with it; the queue forgets it."""


class Subscription(Protocol):
    """A standing wish for deliveries, as many at a time as there is room for."""

    def top_up(self) -> None:
        """There may be more room than before: ask for as many deliveries as fit."""

    def withdraw(self) -> None:
        """Take back what was asked for. What is on its way all the same is still delivered, and
        more is asked for when the subscription is topped up."""

    def stop(self) -> None:
        """Take nothing more. Deliveries already handed over stay valid."""
