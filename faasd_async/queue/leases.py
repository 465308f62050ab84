"""The deliveries somebody has in hand: their leases are extended together while they are held."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from faasd_async.queue.interface import Delivery

#: A lease is extended this many times before it would run out.
_PER_LEASE = 3


class Leases:
    """What one worker or poster has in hand.

    :param lease_seconds: how long a lease lasts without a sign of life.
    """

    def __init__(self, clock: IReactorTime, lease_seconds: float) -> None:
        self._held: set[Delivery[Any]] = set()
        self._waiters: list[Deferred[None]] = []
        self._interval_seconds = lease_seconds / _PER_LEASE
        self._round = LoopingCall(self._extend)
        self._round.clock = clock

    def hold(self, delivery: Delivery[Any]) -> None:
        """Extend this one too, from now on."""
        self._held.add(delivery)
        if not self._round.running:
            self._round.start(self._interval_seconds, now=False)

    def drop(self, delivery: Delivery[Any]) -> None:
        """It is settled or given back: extend it no longer."""
        self._held.discard(delivery)
        if not self._held:
            if self._round.running:
                self._round.stop()
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def when_none(self) -> Deferred[None]:
        """Fires when nothing is in hand."""
        waiter: Deferred[None] = Deferred()
        if self._held:
            self._waiters.append(waiter)
        else:
            waiter.callback(None)
        return waiter

    def _extend(self) -> None:
        # A copy: an extension may find its connection gone, and somebody drops what they hold.
        for delivery in tuple(self._held):
            delivery.extend()
