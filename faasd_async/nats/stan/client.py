"""The NATS Streaming client: publish, take part in a group, and keep a session.

A session is made anew, at once, whenever there is reason to think that the server has forgotten the
last one or has lost messages on the way to us: the connection to NATS ended, a ping was answered by
an error or several by nothing, nobody answers for the server. There is nothing to be gained by
waiting: what the old session was given and had not acknowledged comes again with the new one.

The server lets nobody in under the id of a client that is still alive, and asks that client's
heartbeat inbox to find out. So the old inbox is closed before a new session is asked for; and one
that the server still knows is ended first, which spares it the asking. If the id is another's that
*is* alive, a few random characters are put behind ours: a group has its memory under its own name,
not under its members'.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.backoff import Backoff
from faasd_async.nats.client import NatsClient
from faasd_async.nats.errors import (
    ConnectionDropped,
    NatsError,
    NoResponders,
    NotConnected,
    RequestTimedOut,
)
from faasd_async.nats.futures import new_future, reject, resolve
from faasd_async.nats.observers import Observers
from faasd_async.nats.requests import new_inbox
from faasd_async.nats.stan.errors import (
    ClientIdTaken,
    NoSession,
    PublishRefused,
    SessionRefused,
    SessionUnknown,
    TooManyUnanswered,
)
from faasd_async.nats.stan.limits import StanLimits
from faasd_async.nats.stan.pings import Pings
from faasd_async.nats.stan.session import (
    Introduction,
    Session,
    new_id,
    read_closed,
    read_pong,
    read_pub_ack,
)
from faasd_async.nats.stan.subscription import StanMessage, StanSubscription
from faasd_async.nats.subscriptions import Subscription
from faasd_async.nats.wire import Message

#: How much of the time between two pings an answer may take.
_PONG_SHARE = 0.8

OnAck = Callable[[NatsError | None], None]


class StanClient:
    """One client of a NATS Streaming cluster.

    :param client: the connection to NATS; started and stopped by this one.
    :param client_id: ours, unless another client that is alive has it.
    :ivar client_id: as the server knows it.
    :ivar sessions: how many there were.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        client: NatsClient,
        cluster_id: str,
        client_id: str,
        limits: StanLimits | None = None,
    ) -> None:
        self.client_id = client_id
        self.sessions = 0
        self._wanted_id = client_id
        self._clock = clock
        self._client = client
        self._cluster_id = cluster_id
        self._limits = limits or StanLimits()
        self._backoff = Backoff(
            self._limits.first_delay_seconds, self._limits.longest_delay_seconds
        )
        self._subscriptions: list[StanSubscription] = []
        self._on_open = Observers("session with NATS Streaming")
        self._on_lost = Observers("lost session with NATS Streaming")
        self._opened: Deferred[None] = new_future()
        self._session: Session | None = None
        # One that the server may know still.
        self._earlier: Session | None = None
        self._heartbeats: Subscription | None = None
        self._opening: Deferred[None] | None = None
        self._pings = Pings(self._limits.pings_outstanding)
        self._next_ping: IDelayedCall | None = None
        self._awaits_pong = False
        self._unanswered = 0
        self._stopped = False

    # -- life

    def start(self) -> Deferred[None]:
        """Connect, and have a session from now on.

        :return: fires with the first one; fails with :class:`SessionRefused` if the server does not
            want a client such as this.
        """
        self._client.on_connected(self._connected)
        self._client.on_disconnected(self._disconnected)
        self._client.start()
        return self._opened

    def stop(self) -> Deferred[None]:
        """Leave the groups, end the session and hang up."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopped = True
        self._forget_opening()
        self._forget_ping()
        await gatherResults([each.stop() for each in list(self._subscriptions)])
        session, self._session = self._session, None
        if session is not None:
            try:
                answer = await self._request(*session.close())
                read_closed(answer.payload)
            except NatsError as reason:
                self._log.warn("the session did not end as it should: {reason}", reason=reason)
        self._close_heartbeats()
        await self._client.stop()

    @property
    def open(self) -> bool:
        """Whether a publish would be sent now."""
        return self._session is not None

    @property
    def max_payload_bytes(self) -> int:
        """The largest message of NATS; 0 without a connection."""
        return self._client.max_payload_bytes

    def on_open(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call ``observer`` with every session; calling the result ends that."""
        return self._on_open.add(observer)

    def on_lost(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call ``observer`` after every end of a session; calling the result ends that."""
        return self._on_lost.add(observer)

    # -- messages

    def publish_then(self, channel: str, data: bytes, on_ack: OnAck) -> None:
        """Store a message and call ``on_ack``, once, with ``None`` or an error.

        :class:`PublishRefused` and :class:`NoResponders` say that it was surely not stored.

        :raises NotSent: there is no session, too much is unanswered, or it is too large; then
            ``on_ack`` is not called.
        """
        session = self._session
        if session is None:
            raise NoSession("there is no session with NATS Streaming")
        if self._unanswered >= self._limits.unanswered:
            raise TooManyUnanswered(
                f"NATS Streaming has not acknowledged {self._unanswered} messages yet"
            )
        guid = new_id()

        def replied(reply: Message | NatsError) -> None:
            self._unanswered -= 1
            on_ack(self._read_ack(reply, guid, session))

        said = session.publish(channel, data, guid)
        self._unanswered += 1
        try:
            self._client.request_then(*said, replied, timeout_seconds=self._limits.publish_seconds)
        except NatsError:
            self._unanswered -= 1
            raise

    def _read_ack(
        self, reply: Message | NatsError, guid: str, session: Session
    ) -> NatsError | None:
        if isinstance(reply, NoResponders):
            self._lose(session, reply)
            return reply
        if isinstance(reply, NatsError):
            if isinstance(reply, RequestTimedOut):
                self._ping(session)
            return reply
        try:
            read_pub_ack(reply.payload, guid)
        except NatsError as reason:
            if isinstance(reason, PublishRefused):
                # Perhaps because the server does not know us any more.
                self._ping(session)
            return reason
        return None

    def subscribe(
        self,
        channel: str,
        group: str,
        callback: Callable[[StanMessage], None],
        *,
        max_in_flight: int,
        ack_wait_seconds: int,
    ) -> StanSubscription:
        """Take part in a durable group, on this session and all later."""
        subscription = StanSubscription(
            self._client,
            channel,
            group,
            callback,
            max_in_flight=max_in_flight,
            ack_wait_seconds=ack_wait_seconds,
            request_seconds=self._limits.request_seconds,
            stopped=self._subscriptions.remove,
        )
        self._subscriptions.append(subscription)
        if self._session is not None:
            self._bind(subscription, self._session)
        return subscription

    def _bind(self, subscription: StanSubscription, session: Session) -> None:
        binding = Deferred.fromCoroutine(subscription.bind(session))
        binding.addErrback(self._not_bound, session)

    def _not_bound(self, failure: Failure, session: Session) -> None:
        failure.trap(NatsError)
        self._lose(session, failure.value)  # type: ignore[arg-type]

    # -- a session coming and going

    def _connected(self) -> None:
        self._backoff.steady()
        self._open()

    def _disconnected(self) -> None:
        self._forget_opening()
        if self._session is not None:
            self._let_go(ConnectionDropped("the connection to NATS ended"))

    def _lose(self, session: Session, reason: NatsError) -> None:
        """A session is not what it was: have another one, at once."""
        if self._session is session and not self._stopped:
            self._let_go(reason)
            if self._client.connected:
                self._open()

    def _let_go(self, reason: NatsError) -> None:
        self._log.warn("the session with NATS Streaming is lost: {reason}", reason=reason)
        self._earlier, self._session = self._session, None
        self._forget_ping()
        self._close_heartbeats()
        for subscription in self._subscriptions:
            subscription.unbind()
        self._on_lost.tell()

    def _open(self) -> None:
        self._forget_opening()
        if self._stopped:
            return
        self._opening = Deferred.fromCoroutine(self._open_until_it_is())
        self._opening.addErrback(self._not_opened)

    async def _open_until_it_is(self) -> None:
        told = ""
        while True:
            try:
                session = await self._try_to_open()
                for subscription in list(self._subscriptions):
                    await subscription.bind(session)
            except ClientIdTaken as reason:
                self._take_another_id(reason)
            except SessionRefused as reason:
                if not self._opened.called:
                    raise
                told = self._tell(reason, told)
                await deferLater(self._clock, self._backoff.next_seconds())
            except NatsError as reason:
                told = self._tell(reason, told)
                await deferLater(self._clock, self._backoff.next_seconds())
            else:
                break
        self._begin(session)

    def _tell(self, reason: NatsError, told: str) -> str:
        if str(reason) != told:
            self._log.warn(
                "no session with NATS Streaming, cluster {cluster}: {reason}; trying again",
                cluster=self._cluster_id,
                reason=reason,
            )
        return str(reason)

    def _take_another_id(self, reason: NatsError) -> None:
        self.client_id = f"{self._wanted_id}-{secrets.token_hex(3)}"
        self._log.warn(
            "another client has the id {wanted} ({reason}); this one is {client_id}",
            wanted=self._wanted_id,
            reason=reason,
            client_id=self.client_id,
        )

    async def _try_to_open(self) -> Session:
        await self._end_earlier()
        self._close_heartbeats()
        inbox = new_inbox()
        self._heartbeats = self._client.subscribe(inbox, self._heartbeat)
        introduction = Introduction(self._cluster_id, self.client_id, new_id().encode(), inbox)
        answer = await self._request(*introduction.connect(self._limits))
        # If it does not come to more than this, it is the next one's earlier one.
        self._earlier = session = introduction.agree(answer.payload, self._limits)
        return session

    async def _end_earlier(self) -> None:
        """End the session before, if it is still ours: by now the id may be another's.

        :raises NatsError: the server is not there to be asked.
        """
        earlier = self._earlier
        if earlier is not None and earlier.ping_subject:
            try:
                read_pong((await self._request(*earlier.ping())).payload)
                read_closed((await self._request(*earlier.close())).payload)
            except (SessionUnknown, SessionRefused) as reason:
                self._log.debug("the earlier session is gone: {reason}", reason=reason)
        self._earlier = None

    def _begin(self, session: Session) -> None:
        self._session, self._earlier = session, None
        self.sessions += 1
        self._backoff.steady()
        self._pings = Pings(session.pings_outstanding)
        self._awaits_pong = False
        self._ping_later(session)
        self._log.info(
            "a session with NATS Streaming, cluster {cluster}, as {client_id}",
            cluster=self._cluster_id,
            client_id=session.client_id,
        )
        for subscription in self._subscriptions:
            if not subscription.bound:
                # It came while the others were bound.
                self._bind(subscription, session)
        if not self._opened.called:
            resolve(self._opened, None)
        self._on_open.tell()

    def _not_opened(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        if not self._opened.called and isinstance(failure.value, NatsError):
            reject(self._opened, failure.value)
        else:
            self._log.failure("a session cannot be opened: this is a bug", failure=failure)

    def _forget_opening(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()

    # -- signs of life

    def _heartbeat(self, message: Message) -> None:
        """The server asks whether we are alive."""
        if message.reply:
            try:
                self._client.publish(message.reply, b"")
            except NotConnected as reason:
                self._log.debug("a heartbeat stays unanswered: {reason}", reason=reason)

    def _close_heartbeats(self) -> None:
        heartbeats, self._heartbeats = self._heartbeats, None
        if heartbeats is not None:
            heartbeats.unsubscribe()

    def _ping_later(self, session: Session) -> None:
        self._forget_ping()
        if session.ping_subject:
            self._next_ping = self._clock.callLater(
                session.ping_interval_seconds, self._ping_in_turn, session
            )

    def _ping_in_turn(self, session: Session) -> None:
        self._next_ping = None
        self._ping(session)
        if self._session is session:
            self._ping_later(session)

    def _ping(self, session: Session) -> None:
        """Look whether the server still knows this session."""
        if self._session is not session or not session.ping_subject or self._awaits_pong:
            return

        def replied(reply: Message | NatsError) -> None:
            if self._session is session:
                self._awaits_pong = False
                self._ponged(session, reply)

        # So that one is over before the next is due.
        wait_seconds = session.ping_interval_seconds * _PONG_SHARE
        try:
            self._client.request_then(*session.ping(), replied, timeout_seconds=wait_seconds)
        except NatsError as reason:
            self._log.debug("a ping cannot be sent: {reason}", reason=reason)
        else:
            self._awaits_pong = True

    def _ponged(self, session: Session, reply: Message | NatsError) -> None:
        if isinstance(reply, RequestTimedOut):
            if self._pings.missed():
                self._lose(session, reply)
        elif isinstance(reply, NatsError):
            self._lose(session, reply)
        else:
            try:
                read_pong(reply.payload)
            except NatsError as reason:
                self._lose(session, reason)
            else:
                self._pings.answered()

    def _forget_ping(self) -> None:
        timer, self._next_ping = self._next_ping, None
        if timer is not None and timer.active():
            timer.cancel()

    # -- requests

    def _request(self, subject: bytes, payload: bytes) -> Deferred[Message]:
        return self._client.request(subject, payload, timeout_seconds=self._limits.request_seconds)
