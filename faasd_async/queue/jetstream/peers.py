"""The daemons on one queue ask each other, over plain NATS, about calls in hand.

``faas.ask.<call>.<accept>`` reaches all of them, and only the one that has the call answers:
silence means that nobody has. ``faas.abort.<call>.<accept>`` tells whoever has it to let go. A
daemon that is alone on its broker asks nobody.

``faas.moved.<call>.<accept>`` says that a call has begun, or goes back to the queue; who wants to
know listens. That it has ended needs no message of its own: the publish of its terminal record is
heard by whoever subscribes to its subject. It may be heard a moment before it is stored, and even
if it is refused, so that it says no more than *look*; and that is said again a little later.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallName, Grip
from faasd_async.nats import NatsClient
from faasd_async.nats.errors import NatsError
from faasd_async.nats.wire import Message
from faasd_async.queue.interface import Hands
from faasd_async.queue.jetstream.subjects import (
    ALL_ABORTS,
    ALL_ASKS,
    abort_subject,
    about_subject,
    ask_subject,
    moved_subject,
    read_abort_subject,
    read_ask_subject,
)

#: How long whoever has a call in hand may take to say so.
ANSWER_SECONDS = 0.25

#: When it is looked again for an end that was heard of.
_AGAIN_SECONDS = (0.02, 0.2)


class JetStreamPeers:
    """See :class:`~faasd_async.queue.interface.Peers`.

    :param alone: there are no others.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, client: NatsClient, *, alone: bool) -> None:
        self._clock = clock
        self._client = client
        self._alone = alone
        self._listeners: set[_Listener] = set()
        self.hands: Hands | None = None
        if not alone:
            client.subscribe(ALL_ASKS.encode(), self._asked)
            client.subscribe(ALL_ABORTS.encode(), self._told_to_abort)
            client.on_connected(self._connected)

    def ask(self, key: CallKey) -> Deferred[Grip | None]:
        own = None if self.hands is None else self.hands.grip(key)
        if own is not None or self._alone:
            return succeed(own)
        return Deferred.fromCoroutine(self._ask_others(key))

    async def _ask_others(self, key: CallKey) -> Grip | None:
        try:
            reply = await self._client.request(
                ask_subject(key).encode(), b"", timeout_seconds=ANSWER_SECONDS
            )
            return msgspec.json.decode(reply.payload, type=Grip)
        except NatsError:
            return None
        except msgspec.MsgspecError as reason:
            self._log.warn("another daemon's answer is not understood: {reason}", reason=reason)
            return None

    def _asked(self, message: Message) -> None:
        key = read_ask_subject(message.subject.decode("latin-1"))
        grip = None if self.hands is None else self.hands.grip(key)
        if grip is None or not message.reply:
            return
        try:
            self._client.publish(message.reply, msgspec.json.encode(grip))
        except NatsError as reason:
            self._log.debug("a question cannot be answered: {reason}", reason=reason)

    def abort(self, key: CallKey) -> None:
        if self.hands is not None:
            self.hands.abort(key)
        if self._alone:
            return
        try:
            self._client.publish(abort_subject(key).encode(), b"")
        except NatsError as reason:
            # Whoever has it finds its end when it has come to its own.
            self._log.warn(
                "other daemons cannot be told that {call_id} is cancelled: {reason}",
                call_id=key.call_id,
                reason=reason,
            )

    def _told_to_abort(self, message: Message) -> None:
        if self.hands is not None:
            self.hands.abort(read_abort_subject(message.subject.decode("latin-1")))

    def moved(self, key: CallKey) -> None:
        if self._alone:
            return
        try:
            self._client.publish(moved_subject(key).encode(), b"")
        except NatsError as reason:
            self._log.debug("other daemons cannot be told: {reason}", reason=reason)

    def hear(
        self, name: CallName, ended: Callable[[], None], moved: Callable[[], None]
    ) -> Callable[[], None]:
        if self._alone:
            return _nothing
        listener = _Listener(self._clock, self._client, name, ended, moved)
        self._listeners.add(listener)

        def stop() -> None:
            self._listeners.discard(listener)
            listener.stop()

        return stop

    def _connected(self) -> None:
        """What was said meanwhile nobody has heard."""
        for listener in list(self._listeners):
            listener.ended()


class _Listener:
    """Somebody who wants to hear of one call."""

    def __init__(
        self,
        clock: IReactorTime,
        client: NatsClient,
        name: CallName,
        ended: Callable[[], None],
        moved: Callable[[], None],
    ) -> None:
        self.ended = ended
        self._clock = clock
        self._again: list[IDelayedCall] = []
        outcome, begun = about_subject("outcome", *name), moved_subject(name.key)
        self._subscriptions = (
            client.subscribe(outcome.encode(), self._end_published),
            client.subscribe(begun.encode(), lambda message: moved()),
        )

    def _end_published(self, message: Message) -> None:
        self._forget()
        self._again = [self._clock.callLater(seconds, self.ended) for seconds in _AGAIN_SECONDS]
        self.ended()

    def stop(self) -> None:
        for subscription in self._subscriptions:
            subscription.unsubscribe()
        self._forget()

    def _forget(self) -> None:
        for again in self._again:
            if again.active():
                again.cancel()


def _nothing() -> None:
    """There is nothing to end."""
