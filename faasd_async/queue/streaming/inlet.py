"""The inlet: brings a channel's messages into JetStream, one queue's.

NATS Streaming lends a message for its ack wait, and that cannot be extended. So nothing is run
while it is lent: a call is written into JetStream first, made durable there, and then acknowledged.
That takes milliseconds. From then on it is a call like any other, with a lease that is extended for
as long as it runs; whatever the ack wait is, it runs once.

A message that comes again (its acknowledgement was lost, or its session) is looked for: if it was
brought in before it is acknowledged, and that is all. If it comes again while it is brought in, the
delivery that came last is the one that is acknowledged: the session of the one before may be gone,
and nobody would take its acknowledgement.

Other members of the group, OpenFaaS' queue-workers or other daemons, want their share. So no more
is taken than could soon run: so many calls wait at a time that were brought in and have not been
handed to a worker. What comes beyond that is held, and let go of before its ack wait is over, for
then it is given to somebody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from faasd_async.backoff import Backoff
from faasd_async.call.ids import CallKey
from faasd_async.call.openfaas.message import UnreadableMessage
from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueError
from faasd_async.nats.errors import NatsError
from faasd_async.nats.stan import StanClient, StanMessage

#: Of the ack wait, for how much a message is ours for sure: the rest is for the way.
_SURE_SHARE = 0.8

#: How many messages may be here at a time, of up to 1 MiB each.
_MOST_IN_FLIGHT = 100

#: When it is looked again for room, or tried again to bring something in: at first, and at most.
_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 1.0


class NotNew(Exception):
    """A call was brought in before."""


class _Which(NamedTuple):
    """What tells a message from others: sequences begin anew when a server has lost its memory."""

    sequence: int
    timestamp_ns: int


class _Held(NamedTuple):
    """A message that waits to be brought in, or is brought in.

    :ivar again: it may have been brought in before.
    """

    message: StanMessage
    since_seconds: float
    again: bool


class Inlet:
    """One channel's.

    :param ahead: how many calls may wait that were brought in from here.
    :param read: makes a call of a message; raises
        :class:`~faasd_async.call.openfaas.message.UnreadableMessage`.
    :param bring_in: writes a call into JetStream unless it was there before; given whether its
        message may have been delivered before.
    :param count_waiting: how many of the queue's calls wait to be handed out.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        stan: StanClient,
        channel: str,
        group: str,
        *,
        ahead: int,
        ack_wait_seconds: int,
        read: Callable[[StanMessage], QueueRequest],
        bring_in: Callable[[QueueRequest, bool], Awaitable[None]],
        count_waiting: Callable[[], Awaitable[int]],
    ) -> None:
        self.channel = channel
        self._clock = clock
        self._most_ahead = ahead
        self._sure_seconds = ack_wait_seconds * _SURE_SHARE
        self._read = read
        self._bring_in = bring_in
        self._count_waiting = count_waiting
        self._held: dict[_Which, _Held] = {}
        # What is on its way, as it was lent last; ``None``: its session is gone, and took it along.
        self._moving: dict[_Which, _Held | None] = {}
        self._ahead: dict[CallKey, None] = {}
        self._again: IDelayedCall | None = None
        self._failing = False
        self._told = ""
        self._backoff = Backoff(_FIRST_SECONDS, _LONGEST_SECONDS)
        self._stopping: Deferred[None] | None = None
        self._leaving = False
        # A session takes with it what it had brought: it comes again, perhaps to others.
        self._forget_session = stan.on_lost(self._session_lost)
        self._subscription = stan.subscribe(
            channel,
            group,
            self._received,
            max_in_flight=min(ahead, _MOST_IN_FLIGHT),
            ack_wait_seconds=ack_wait_seconds,
        )

    def taken(self, key: CallKey) -> None:
        """A worker has been handed a call: there may be room for another."""
        if key in self._ahead:
            del self._ahead[key]
            self._go_on()

    def stop(self) -> Deferred[None]:
        """Bring nothing more in; fires when what is on its way has come in, and the rest is left
        to the other members."""
        if self._stopping is None:
            self._stopping = Deferred()
            self._subscription.mute()
            self._forget_session()
            self._held.clear()
            self._forget_again()
            self._leave_if_done()
        waiter: Deferred[None] = Deferred()
        self._stopping.addCallback(waiter.callback)
        return waiter

    def _leave_if_done(self) -> None:
        stopping = self._stopping
        if stopping is not None and not self._moving and not self._leaving:
            self._leaving = True
            self._subscription.stop().chainDeferred(stopping)

    # -- messages

    def _received(self, message: StanMessage) -> None:
        which = _Which(message.sequence, message.timestamp_ns)
        held = _Held(message, self._clock.seconds(), message.redelivered)
        if which in self._moving:
            self._moving[which] = held
        elif self._stopping is None:
            self._held.pop(which, None)
            self._held[which] = held
            self._go_on()

    def _session_lost(self) -> None:
        self._held.clear()
        self._moving = dict.fromkeys(self._moving)

    def _go_on(self) -> None:
        """Bring in what there is room for."""
        self._let_go_of_old()
        while self._held and not self._failing and self._room() > 0:
            which = next(iter(self._held))
            held = self._held.pop(which)
            self._moving[which] = held
            moved = Deferred.fromCoroutine(self._move(which, held))
            moved.addErrback(
                lambda failure: self._log.failure("a call is not brought in", failure=failure)
            )
        if self._held and self._again is None:
            wait_seconds = self._backoff.next_seconds()
            self._again = self._clock.callLater(wait_seconds, self._look_again)

    def _let_go_of_old(self) -> None:
        """Somebody else may be given them any moment. They stand in the order they came in."""
        sure_since = self._clock.seconds() - self._sure_seconds
        while self._held:
            which = next(iter(self._held))
            if self._held[which].since_seconds > sure_since:
                break
            del self._held[which]

    def _room(self) -> int:
        # What is on its way counts as waiting already, until it is found to be handed out.
        return self._most_ahead - max(len(self._ahead), len(self._moving))

    async def _move(self, which: _Which, held: _Held) -> None:
        key = None
        try:
            request = self._read(held.message)
            key = request.key
            # Known before it is written: a worker may be handed it before we hear that it is.
            self._ahead[key] = None
            await self._bring_in(request, held.again)
            self._backoff.steady()
            self._told = ""
            self._acknowledge(self._moving[which])
        except UnreadableMessage as reason:
            self._log.error(
                "message {sequence} of channel {channel} is no call, and dropped: {reason}",
                sequence=which.sequence,
                channel=self.channel,
                reason=reason,
            )
            self._acknowledge(held)
        except NotNew:
            self._forget(key)
            self._acknowledge(self._moving[which])
        except QueueError as reason:
            self._forget(key)
            self._hold_again(which, self._moving[which], reason)
        finally:
            del self._moving[which]
            self._leave_if_done()
        self._go_on()

    def _forget(self, key: CallKey | None) -> None:
        if key is not None:
            self._ahead.pop(key, None)

    def _hold_again(self, which: _Which, held: _Held | None, reason: QueueError) -> None:
        if str(reason) != self._told:
            self._told = str(reason)
            self._log.warn("calls have to stay in NATS Streaming: {reason}", reason=reason)
        if held is not None and self._stopping is None:
            self._failing = True
            # Nobody knows whether it was stored: the answer may be what was lost.
            self._held = {which: held._replace(again=True), **self._held}

    def _acknowledge(self, held: _Held | None) -> None:
        if held is None:
            return  # it comes again
        message = held.message
        try:
            message.ack()
        except NatsError as reason:
            self._log.debug(
                "message {sequence} comes again: {reason}",
                sequence=message.sequence,
                reason=reason,
            )

    # -- looking again

    def _look_again(self) -> None:
        self._again = None
        self._failing = False
        if self._room() > 0:
            self._go_on()
            return
        looked = Deferred.fromCoroutine(self._true_up())
        looked.addErrback(lambda failure: self._log.failure("nobody knows", failure=failure))

    async def _true_up(self) -> None:
        """Not all that leaves the queue is handed to the workers of this daemon: it may be purged,
        and other daemons take some."""
        try:
            waiting = await self._count_waiting()
        except QueueError as reason:
            self._log.debug("cannot count what waits: {reason}", reason=reason)
        else:
            for key in list(self._ahead)[: max(len(self._ahead) - waiting, 0)]:
                del self._ahead[key]
        if self._stopping is None:
            self._go_on()

    def _forget_again(self) -> None:
        again, self._again = self._again, None
        if again is not None:
            again.cancel()
