"""Deliveries out of JetStream, and the settlements that could not be sent at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

from twisted.logger import Logger

from faasd_async.nats.errors import NatsError, NotSent
from faasd_async.nats.jetstream import JetStreamMessage
from faasd_async.queue.jetstream.filling import Filling

Parcel = TypeVar("Parcel")
Settlement = Callable[[], None]


class Settlements:
    """Settles deliveries, now or as soon as there is a connection again.

    An acknowledgement names its delivery by itself, so it may be sent on a later connection: a
    broker that was away for a moment need not make a finished call run again.

    :ivar discard_body: removes a body that lies elsewhere.
    """

    _log = Logger()

    def __init__(self, discard_body: Callable[[Any], None]) -> None:
        self.discard_body = discard_body
        self._unsent: list[Settlement] = []

    def settle(self, settlement: Settlement) -> None:
        """Send a settlement."""
        try:
            settlement()
        except NotSent:
            # Bounded by what can be in hand: nothing is delivered without a connection.
            self._unsent.append(settlement)

    def send_unsent(self) -> None:
        """There is a connection: send what had to wait for it."""
        unsent, self._unsent = self._unsent, []
        for settlement in unsent:
            self.settle(settlement)


class JetStreamDelivery(Generic[Parcel]):
    """One delivery of one parcel; see :class:`~faasd_async.queue.interface.Delivery`."""

    __slots__ = ("_message", "_settlements", "inherited", "left_behind", "parcel")

    def __init__(
        self,
        parcel: Parcel,
        message: JetStreamMessage,
        settlements: Settlements,
        inherited: bool,
        left_behind: bool,
    ) -> None:
        self.inherited = inherited
        self.left_behind = left_behind
        self.parcel = parcel
        self._message = message
        self._settlements = settlements

    @property
    def delivered(self) -> int:
        return self._message.delivered

    def extend(self) -> None:
        # An extension that is not sent is not made up for: the next round's will do, or the
        # lease is lost and the parcel comes again.
        try:
            self._message.in_progress()
        except NatsError:
            return

    def lighten(self) -> None:
        self._message.forget_content()
        if type(cast(Any, self.parcel).body) is bytes:
            self.parcel = replace(cast(Any, self.parcel), body=b"")

    def settle(self) -> None:
        self._settlements.settle(self._message.ack)
        body = cast(Any, self.parcel).body
        if type(body) is not bytes:
            self._settlements.discard_body(body)

    def settle_moved(self) -> None:
        self._settlements.settle(self._message.ack)

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self._settlements.settle(lambda: self._message.nak(delay_seconds))

    def reject(self, reason: str) -> None:
        self._settlements.settle(lambda: self._message.term(reason))


class CountedDelivery(JetStreamDelivery[Parcel]):
    """A delivery of a stream whose filling is reckoned."""

    __slots__ = ("_filling",)

    def __init__(
        self,
        parcel: Parcel,
        message: JetStreamMessage,
        settlements: Settlements,
        inherited: bool,
        left_behind: bool,
        *,
        filling: Filling,
    ) -> None:
        super().__init__(parcel, message, settlements, inherited, left_behind)
        self._filling = filling

    def settle(self) -> None:
        self._filling.add(-len(self._message.payload), -1)
        super().settle()
