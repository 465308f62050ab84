"""A source's deliveries, through whatever happens to the broker meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import ConsumerConfig, JetStream, JetStreamMessage, Puller
from faasd_async.queue.interface import Delivery
from faasd_async.queue.jetstream.asking import Round
from faasd_async.queue.jetstream.delivery import JetStreamDelivery, Settlements
from faasd_async.queue.jetstream.stored.message import FromTheFuture, Unreadable

Parcel = TypeVar("Parcel")

#: When a parcel that only a newer version understands is looked at again.
_LOOK_AGAIN_SECONDS = 300.0


class JetStreamSubscription(Generic[Parcel]):
    """One consumer's deliveries, as many at a time as there is room for.

    It asks while it is *bound*: its consumer is known to exist on the present connection.

    :param bury: keeps a message that cannot be read, and why.
    :param asking: those who ask at the end of a turn of the reactor.
    :param deliver: makes a delivery of a parcel.
    :param lost: told when the consumer is found to be gone; it has to be bound anew.
    :ivar when_returned: fires when all that was said to return has come.
    """

    _log = Logger()

    def __init__(
        self,
        jetstream: JetStream,
        stream: str,
        consumer: ConsumerConfig,
        *,
        read: Callable[[JetStreamMessage], Parcel],
        on_delivery: Callable[[Delivery[Parcel]], None],
        room: Callable[[], int],
        asking: Round,
        settlements: Settlements,
        lost: Callable[[], None],
        stopped: Callable[[JetStreamSubscription[Parcel]], None],
        bury: Callable[[JetStreamMessage, str], Deferred[None]],
        deliver: Callable[
            [Parcel, JetStreamMessage, Settlements, bool, bool], Delivery[Parcel]
        ] = JetStreamDelivery,
    ) -> None:
        self._jetstream = jetstream
        self._stream = stream
        self._consumer = consumer
        self._read = read
        self._on_delivery = on_delivery
        self._room = room
        self._settlements = settlements
        self._lost = lost
        self._stopped = stopped
        self._bury = bury
        self._deliver = deliver
        self._puller: Puller | None = None
        self._inherited = self._left_behind = 0
        self._asking = asking
        self._open = True
        self._returning: int | None = None
        self.when_returned: Deferred[None] = Deferred()

    async def bind(self, inherited: int, left_behind: int, *, returning: int | None = None) -> None:
        """Have the consumer, then ask it for deliveries.

        :param inherited: the last sequence of the stream as this connection found it.
        :param left_behind: the same, of this daemon's first connection.
        :param returning: no more than that is asked for until :meth:`ask_for_all`; the broker hands
            out first what it has to hand out again.
        :raises NatsError: there is none to be had now.
        """
        self.unbind()
        self._inherited, self._left_behind = inherited, left_behind
        self._returning, self.when_returned = returning, Deferred()
        if not self._open:
            return
        await self._jetstream.ensure_consumer(self._stream, self._consumer)
        if not self._open:
            return  # it was stopped meanwhile
        self._puller = Puller(
            self._jetstream,
            self._stream,
            self._consumer.name,
            on_message=self._received,
            on_unused=self._unused,
            on_error=self._failed,
            give_back=lambda message: self._settlements.settle(message, message.nak),
        )
        self.ask()

    def unbind(self) -> None:
        """The connection or the consumer is gone: ask for nothing."""
        self._asking.leave(self)
        puller, self._puller = self._puller, None
        if puller is not None:
            puller.stop()

    def withdraw(self) -> None:
        if self._puller is not None:
            self._puller.withdraw()

    def stop(self) -> None:
        if self._open:
            self._open = False
            self.unbind()
            self._stopped(self)

    def top_up(self) -> None:
        if self._puller is not None:
            self._asking.join(self)

    def ask_for_all(self) -> None:
        """Ask for whatever there is room for from now on."""
        self._returning = None
        self.ask()

    def ask(self) -> None:
        """Ask for what there is room for now, unless it is asked for already."""
        puller = self._puller
        if puller is None:
            return
        room = self._room()
        if self._returning is not None:
            room = min(room, self._returning)
        more = room - puller.outstanding
        if more <= 0:
            return
        try:
            puller.ask(more)
        except NatsError as reason:
            self._log.debug("cannot ask {consumer}: {reason}", consumer=self.name, reason=reason)

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self._stream

    @property
    def name(self) -> str:
        """The consumer's name."""
        return self._consumer.name

    def _received(self, message: JetStreamMessage) -> None:
        if self._returning:
            self._returning -= 1
            if not self._returning:
                self.when_returned.callback(None)
        try:
            parcel = self._read(message)
        except FromTheFuture as reason:
            self._log.error("a parcel has to wait for a newer version: {reason}", reason=reason)
            self._settlements.settle(message, lambda: message.nak(_LOOK_AGAIN_SECONDS))
            self.top_up()
        except Unreadable as reason:
            self._bury_it(message, str(reason))
        else:
            sequence = message.stream_sequence
            inherited, left_behind = sequence <= self._inherited, sequence <= self._left_behind
            self._on_delivery(
                self._deliver(parcel, message, self._settlements, inherited, left_behind)
            )

    def _bury_it(self, message: JetStreamMessage, why: str) -> None:
        """See that what cannot be read is kept for people, and its place here is another's."""

        def buried(_: object) -> None:
            self._settlements.settle(message, lambda: message.term("unreadable"))

        def not_buried(failure: Failure) -> None:
            self._log.failure("what cannot be read cannot be kept either, for now", failure=failure)
            self._settlements.settle(message, lambda: message.nak(_LOOK_AGAIN_SECONDS))

        burying = self._bury(message, why).addCallbacks(buried, not_buried)
        burying.addBoth(lambda _: self.top_up())

    def _unused(self, count: int) -> None:
        self.top_up()

    def _failed(self, reason: NatsError) -> None:
        if self._puller is not None:
            self._log.warn("{consumer} is lost: {reason}", consumer=self.name, reason=reason)
            self.unbind()
            self._lost()
