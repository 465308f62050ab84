"""Deliveries out of JetStream, and the settlements that the broker may not have heard of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from faasd_async.nats.errors import NatsError, NotSent
from faasd_async.nats.jetstream import JetStreamMessage
from faasd_async.queue.jetstream.filling import Filling

Parcel = TypeVar("Parcel")
Settlement = Callable[[], None]


class Settlements:
    """Settles deliveries, now or as soon as it can be sent.

    An acknowledgement names its delivery by itself, so it may be sent on a later connection: a
    broker that was away for a moment need not make a finished call run again, nor let one that was
    given back wait for the end of its lease. So what is sent is remembered until the broker has
    worked through it, and repeated if the connection ends before: that may be one time too many,
    as when a call was given back and has been handed out to somebody since, who is not alone with
    it then.

    :param flush: fires when the broker has worked through all that was sent; fails when the
        connection ends, or there is none.
    :ivar discard_body: removes a body that lies elsewhere.
    """

    def __init__(
        self, discard_body: Callable[[Any], None], flush: Callable[[], Deferred[None]]
    ) -> None:
        self.discard_body = discard_body
        self._flush = flush
        # Both are bounded by what can be in hand: nothing is delivered without a connection.
        self._unsent: list[Settlement] = []
        self._unconfirmed: list[JetStreamMessage] = []
        self._flushing = False

    def settle(self, message: JetStreamMessage, settlement: Settlement) -> None:
        """Send a settlement of a delivery."""
        try:
            settlement()
        except NotSent:
            self._unsent.append(partial(self.settle, message, settlement))
        else:
            self._unconfirmed.append(message)
        self._have_confirmed()

    def send_unsent(self) -> None:
        """There is a connection, or room in it: send what had to wait for it."""
        unsent, self._unsent = self._unsent, []
        for settle in unsent:
            settle()

    def _have_confirmed(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._flush().addCallbacks(
                self._confirmed, self._lost, callbackArgs=(len(self._unconfirmed),)
            )

    def _confirmed(self, _: None, count: int) -> None:
        self._flushing = False
        del self._unconfirmed[:count]
        # Those that the connection had no room for.
        self.send_unsent()
        if self._unconfirmed:
            self._have_confirmed()

    def _lost(self, failure: Failure) -> None:
        """The connection is gone: whatever was not confirmed is sent on the next one."""
        failure.trap(NatsError)
        self._flushing = False
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        for message in unconfirmed:
            message.forget_content()
            self._unsent.append(partial(self.settle, message, message.repeat))


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
        self._settlements.settle(self._message, self._message.ack)
        body = cast(Any, self.parcel).body
        if type(body) is not bytes:
            self._settlements.discard_body(body)

    def settle_moved(self) -> None:
        self._settlements.settle(self._message, self._message.ack)

    def give_back(self, delay_seconds: float = 0.0) -> None:
        self._settlements.settle(self._message, lambda: self._message.nak(delay_seconds))

    def reject(self, reason: str) -> None:
        self._settlements.settle(self._message, lambda: self._message.term(reason))


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
