"""Pulling: messages come only when, and only as many as, they were asked for.

An *ask* is one request to ``$JS.API.CONSUMER.MSG.NEXT``. It ends with its last message, with a
status of the server's (expired, consumer deleted, …), with a missed heartbeat, or with the
connection; what it did not bring is given back through ``on_unused``, so that whoever lends a
token per asked-for message has, at any time, lent exactly :attr:`Puller.outstanding`.

A message comes with the subject it was published to, not with the one we asked it to be sent to,
so only the subscription tells which ask it answers. Hence *lanes*: a lane is a subscription that
carries one ask at a time and is used again once the server has said, by the last message or by a
status, that the ask is over. Statuses do carry the subject of their ask, and a number in it tells
a late one from that of the ask the lane carries now. Where the end was our own judgement, the
lane is drained and not used again, and messages that still come are given back at once. A lane
never outlives its connection: the server forgets an ask as nobody listens to its lane.

A consumer's ``max_waiting`` bounds the asks that wait at once, and a server by itself drops one
too many without a word: let it be as large as there can be asks. What is dropped all the same is
missed by its heartbeat.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream.context import JetStream
from faasd_async.nats.jetstream.errors import (
    ConsumerDeleted,
    ConsumerUnreachable,
    LeadershipChanged,
    PullError,
    PullerStopped,
    PullRefused,
)
from faasd_async.nats.jetstream.message import JetStreamMessage
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.subscriptions import Subscription
from faasd_async.nats.wire import Headers, Message

SILENT_HEARTBEATS = 2
"""So many heartbeats may fail to come before an ask is given up."""
_HEARTBEAT = 100


class _Lane:
    """A subscription and the ask it carries.

    :ivar remaining: how many messages the ask may still bring; 0 when the lane carries none.
    :ivar reply: the subject of the current ask.
    :ivar silent: heartbeats that were due since the server was last heard on this lane.
    :ivar handed_on: messages that come after the ask is over are handed on.
    """

    __slots__ = ("asks", "handed_on", "inbox", "remaining", "reply", "silent", "subscription")

    subscription: Subscription

    def __init__(self, inbox: bytes) -> None:
        self.inbox = inbox
        self.asks = 0
        self.remaining = 0
        self.reply = b""
        self.silent = 0
        self.handed_on = False


class Puller:
    """Pulls from one consumer, until stopped.

    :param on_message: called with each message; it is to settle it, sooner or later.
    :param on_unused: called with how many of the messages asked for will not come.
    :param on_error: called, after ``on_unused``, when an ask ended in a way that asking again at
        once will not mend: a :class:`PullError`.
    :param give_back: called with each message that comes after its ask was given up; without it the
        message is nak'ed, and if that cannot leave comes again after its ``ack_wait``.
    :param expires_seconds: how long an ask waits at the server for messages.
    :param heartbeat_seconds: how often the server shows that it has not forgotten an ask.
    :ivar outstanding: how many messages are asked for.
    """

    def __init__(
        self,
        jetstream: JetStream,
        stream: str,
        consumer: str,
        *,
        on_message: Callable[[JetStreamMessage], None],
        on_unused: Callable[[int], None],
        on_error: Callable[[NatsError], None],
        give_back: Callable[[JetStreamMessage], None] | None = None,
        expires_seconds: float = 30.0,
        heartbeat_seconds: float = 10.0,
    ) -> None:
        if heartbeat_seconds * 2 > expires_seconds:
            raise ValueError("an ask lasts for two heartbeats at least")
        self._log = Logger()
        self._client = jetstream.client
        self._clock = jetstream.client.clock
        self._on_message = on_message
        self._on_unused = on_unused
        self._on_error = on_error
        self._give_back = give_back or self._nak
        self._consumer = f"{stream}/{consumer}"
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        self._terms = b'"expires":%d,"idle_heartbeat":%d' % (
            round(expires_seconds * 1e9),
            round(heartbeat_seconds * 1e9),
        )
        self._heartbeat_seconds = heartbeat_seconds
        self._inbox = new_inbox()
        self._lanes_made = 0
        self._idle: list[_Lane] = []
        self._busy: set[_Lane] = set()
        self._watch_call: IDelayedCall | None = None
        self._stopped = False
        self._forget_client = self._client.on_disconnected(self._disconnected)
        self.outstanding = 0

    def ask(self, batch: int = 1) -> None:
        """Ask for so many messages; several asks may be outstanding.

        Raises what :meth:`NatsClient.publish` raises, or :class:`PullerStopped`; then nothing
        was asked for.
        """
        if self._stopped:
            raise PullerStopped(f"the puller of {self._consumer} was stopped")
        lane = self._idle.pop() if self._idle else self._new_lane()
        lane.asks += 1
        lane.reply = b"%b.%d" % (lane.inbox, lane.asks)
        try:
            self._client.publish(
                self._subject, b'{"batch":%d,%b}' % (batch, self._terms), reply=lane.reply
            )
        except NatsError:
            self._idle.append(lane)
            raise
        lane.remaining = batch
        lane.silent = 0
        self._busy.add(lane)
        self.outstanding += batch
        if self._watch_call is None:
            self._watch_call = self._clock.callLater(self._heartbeat_seconds, self._watch)

    def stop(self) -> None:
        """Ask no more and give back what does not come; late messages return to the consumer."""
        if self._stopped:
            return
        self._stopped = True
        self._forget_client()
        self._stop_watching()
        for lane in self._idle:
            lane.subscription.unsubscribe()
        self._idle.clear()
        self._give_up(self._busy)

    def withdraw(self) -> None:
        """Take back all asks. What is on its way all the same is handed on, unasked for."""
        for lane in self._busy:
            lane.handed_on = True
        self._give_up(self._busy)

    def _new_lane(self) -> _Lane:
        self._lanes_made += 1
        lane = _Lane(b"%b.%d" % (self._inbox, self._lanes_made))
        lane.subscription = self._client.subscribe(
            lane.inbox + b".*", partial(self._received, lane)
        )
        return lane

    # -- what comes

    def _received(self, lane: _Lane, message: Message) -> None:
        lane.silent = 0
        if not message.reply:  # nothing to settle: the server itself speaks
            if lane.remaining and message.subject == lane.reply:
                self._answered(lane, message.headers)
            return
        delivery = JetStreamMessage(self._client, message)
        if not lane.remaining:
            if lane.handed_on:
                self._on_message(delivery)
            else:
                self._give_back(delivery)
            return
        lane.remaining -= 1
        self.outstanding -= 1
        if not lane.remaining:
            self._busy.remove(lane)
            self._idle.append(lane)
        self._on_message(delivery)

    def _answered(self, lane: _Lane, headers: Headers) -> None:
        if headers.status == _HEARTBEAT:
            return
        unused = lane.remaining
        lane.remaining = 0
        self.outstanding -= unused
        self._busy.remove(lane)
        self._idle.append(lane)
        self._tell(self._on_unused, unused)
        error = self._error_of(headers)
        if error is not None:
            self._tell(self._on_error, error)

    def _error_of(self, headers: Headers) -> PullError | None:
        status, description = headers.status or 0, headers.description
        words = description.lower()
        if status in (404, 408) or (status == 409 and "batch completed" in words):
            return None
        if status == 409 and "consumer deleted" in words:
            return ConsumerDeleted(f"the consumer {self._consumer} was deleted")
        if status == 409 and ("leadership" in words or "server shutdown" in words):
            return LeadershipChanged(f"another server takes over the consumer {self._consumer}")
        if status == 503:
            return ConsumerUnreachable(f"nobody answers for the consumer {self._consumer}")
        return PullRefused(status, description)

    def _nak(self, delivery: JetStreamMessage) -> None:
        try:
            delivery.nak()
        except NatsError as error:
            self._log.warn(
                "a late message of {consumer} comes again only after its ack wait: {error}",
                consumer=self._consumer,
                error=error,
            )

    # -- what does not come

    def _watch(self) -> None:
        self._watch_call = None
        forgotten = set()
        for lane in self._busy:
            lane.silent += 1
            if lane.silent > SILENT_HEARTBEATS:
                forgotten.add(lane)
        if forgotten:
            self._log.warn(
                "no heartbeat for {count} pull requests to {consumer}; giving them up",
                count=len(forgotten),
                consumer=self._consumer,
            )
            self._busy -= forgotten
            self._give_up(forgotten)
        if self._busy and self._watch_call is None and not self._stopped:
            self._watch_call = self._clock.callLater(self._heartbeat_seconds, self._watch)

    def _give_up(self, lanes: set[_Lane]) -> None:
        """End asks the server may still be answering."""
        unused = 0
        for lane in lanes:
            unused += lane.remaining
            lane.remaining = 0
            lane.subscription.drain()
        lanes.clear()
        self.outstanding -= unused
        if unused:
            self._tell(self._on_unused, unused)

    def _disconnected(self) -> None:
        self._stop_watching()
        unused, self.outstanding = self.outstanding, 0
        for lane in (*self._idle, *self._busy):
            lane.remaining = 0
            lane.subscription.unsubscribe()
        self._idle.clear()
        self._busy.clear()
        if unused:
            self._tell(self._on_unused, unused)

    def _stop_watching(self) -> None:
        if self._watch_call is not None:
            self._watch_call.cancel()
            self._watch_call = None

    def _tell(self, callback: Callable[[Any], None], what: int | NatsError) -> None:
        try:
            callback(what)
        except Exception:
            self._log.failure("the owner of a puller of {consumer} failed", consumer=self._consumer)
