"""A share in a channel's messages, through whatever happens to the session meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from faasd_async.nats.client import NatsClient
from faasd_async.nats.errors import NatsError, NotConnected
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.stan import messages
from faasd_async.nats.stan.errors import Unintelligible
from faasd_async.nats.stan.session import Said, Session, read_subscribed
from faasd_async.nats.subscriptions import Subscription
from faasd_async.nats.wire import Message


@dataclass(frozen=True, slots=True)
class StanMessage:
    """A message out of a channel, to be acknowledged within the ack wait or to come again.

    :ivar sequence: its place in the channel.
    :ivar timestamp_ns: when it was stored, Unix nanoseconds.
    :ivar redelivered: somebody was given it before.
    """

    channel: str
    sequence: int
    timestamp_ns: int
    data: bytes
    redelivered: bool
    acknowledge: Callable[[], None]

    def ack(self) -> None:
        """The group is done with it.

        :raises NotConnected: its connection or its session is gone: it comes again.
        """
        self.acknowledge()


class StanSubscription:
    """A member of a durable group.

    A session that is lost takes the membership with it; on the next one it is made again, and the
    group goes on where it was. What was not acknowledged comes again, perhaps to another member.

    :param callback: is given each message.
    :param stopped: told when it has ended for good.
    """

    _log = Logger()

    def __init__(
        self,
        client: NatsClient,
        channel: str,
        group: str,
        callback: Callable[[StanMessage], None],
        *,
        max_in_flight: int,
        ack_wait_seconds: int,
        request_seconds: float,
        stopped: Callable[[StanSubscription], None],
    ) -> None:
        self.channel = channel
        self.ack_wait_seconds = ack_wait_seconds
        self._client = client
        self._group = group
        self._callback = callback
        self._max_in_flight = max_in_flight
        self._request_seconds = request_seconds
        self._stopped = stopped
        self._inbox: Subscription | None = None
        self._ack_inbox = b""
        self._muted = False
        self._session: Session | None = None

    @property
    def bound(self) -> bool:
        """Whether it is a member on the present session."""
        return bool(self._ack_inbox)

    async def bind(self, session: Session) -> None:
        """Become a member on this session.

        :raises NatsError: it did not come to that.
        """
        self.unbind()
        if self._muted:
            return
        inbox, early = new_inbox(), list[Message]()

        def received(message: Message) -> None:
            if self._ack_inbox:
                self._received(message)
            else:
                # Before the answer that says where to acknowledge it.
                early.append(message)

        subscription = self._inbox = self._client.subscribe(inbox, received)
        said = session.subscribe(
            self.channel,
            self._group,
            inbox,
            max_in_flight=self._max_in_flight,
            ack_wait_seconds=self.ack_wait_seconds,
        )
        answer = await self._client.request(*said, timeout_seconds=self._request_seconds)
        ack_inbox = read_subscribed(answer.payload)
        if self._inbox is not subscription:
            return  # unbound meanwhile
        self._session, self._ack_inbox = session, ack_inbox
        for message in early:
            self._received(message)

    def unbind(self) -> None:
        """The session is gone."""
        inbox, self._inbox = self._inbox, None
        self._ack_inbox, self._session = b"", None
        if inbox is not None:
            inbox.unsubscribe()

    def farewell(self) -> Said | None:
        """What is said to leave the group; ``None`` if it is no member."""
        if self._session is None or not self._session.close_subscription_subject:
            return None
        return self._session.close_subscription(self.channel, self._ack_inbox)

    def mute(self) -> None:
        """Hear nothing more; what was heard can still be acknowledged."""
        self._muted = True
        if self._inbox is not None:
            self._inbox.unsubscribe()

    def stop(self) -> Deferred[None]:
        """Leave the group, which has what was not acknowledged come to others.

        Fires when the server has seen to it, or will not: a session that ended before that would
        make it search for a member whom it has forgotten.
        """
        said = self.farewell()
        self.unbind()
        self._stopped(self)
        return succeed(None) if said is None else Deferred.fromCoroutine(self._leave(said))

    async def _leave(self, said: Said) -> None:
        try:
            await self._client.request(*said, timeout_seconds=self._request_seconds)
        except NatsError as reason:
            self._log.debug("cannot leave {name}: {reason}", name=self.channel, reason=reason)

    def _received(self, message: Message) -> None:
        try:
            found = messages.read(messages.MsgProto, message.payload)
        except Unintelligible as reason:
            self._log.error("out of {channel}: {reason}", channel=self.channel, reason=reason)
            return
        ack_inbox = self._ack_inbox
        self._callback(
            StanMessage(
                channel=self.channel,
                sequence=found.sequence,
                timestamp_ns=found.timestamp,
                data=found.data,
                redelivered=found.redelivered,
                acknowledge=lambda: self._acknowledge(found.sequence, ack_inbox),
            )
        )

    def _acknowledge(self, sequence: int, ack_inbox: bytes) -> None:
        if ack_inbox != self._ack_inbox:
            raise NotConnected("the session that a message came in is gone")
        ack = messages.Ack(subject=self.channel, sequence=sequence)
        self._client.publish(ack_inbox, messages.write(ack))
