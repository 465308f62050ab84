"""A NATS Streaming server for tests, on top of a real nats-server.

No package ships the real one. This one speaks its protocol over the same subjects, and
``test_stan_double.py`` holds it against a recording of the real one's sessions. What it does:

- clients by id; one that is alive keeps its id, one that answers no heartbeat is replaced;
- channels whose messages are kept; what a message is acknowledged with after it is kept;
- durable queue groups: a message to one member, no more than so many unacknowledged; what is not
  acknowledged in time goes to another member if there is one; what a member leaves behind, too;
- pings, and errors where the real server has them.

It is harder on its clients than the real one where that is allowed: redeliveries go to another
member whenever they can. It does not do what nobody here asks for: subscriptions without a group or
from another place than the beginning, limits of channels, heartbeats of its own accord (there is
:meth:`StanDouble.beat`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from faasd_async.nats import Message, NatsClient, NatsError
from faasd_async.nats.stan import messages
from faasd_async.nats.subscriptions import Subscription

#: How long the real server waits for an earlier client of an id to show that it is alive.
DUPLICATE_SECONDS = 0.5

UNKNOWN_CLIENT = "stan: unknown clientID"
NOT_REGISTERED = "stan: client has been replaced or is no longer registered"


@dataclass
class Client:
    """One that is connected."""

    conn_id: bytes
    heartbeat_inbox: bytes
    missed: int = 0


@dataclass
class Pending:
    """A delivery that was not acknowledged."""

    count: int
    timer: IDelayedCall | None = None


@dataclass(eq=False)
class Member:
    """A subscription that takes part in a group."""

    client_id: str
    inbox: bytes
    ack_inbox: bytes
    max_in_flight: int
    ack_wait_seconds: int
    pending: dict[int, Pending] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        return len(self.pending) < self.max_in_flight


@dataclass
class Group:
    """What a durable group remembers.

    :ivar next: the first message that nobody was given.
    :ivar returned: what was given to somebody and has to be given to somebody else, and how often
        it was given.
    """

    next: int = 1
    members: list[Member] = field(default_factory=list)
    returned: dict[int, int] = field(default_factory=dict)


@dataclass
class Store:
    """What a server keeps. A file store outlasts it; one in memory is another one each time."""

    clients: dict[str, Client] = field(default_factory=dict)
    channels: dict[str, list[tuple[bytes, int]]] = field(default_factory=dict)
    groups: dict[tuple[str, str], Group] = field(default_factory=dict)


def _random_inbox() -> bytes:
    return b"_INBOX.%b" % secrets.token_hex(11).encode()


class StanDouble:
    """One run of the server.

    :param client: its connection to NATS.
    :param clock: counts the ack waits.
    :ivar url: where it is, for those who start it to say.
    :ivar acknowledges: whether publishes are answered; they are stored in any case.
    :ivar refuses: why publishes are not stored, if they are not.
    :ivar pongs: whether pings are answered.
    :ivar hears_acks: whether acknowledgements of deliveries arrive.
    :ivar lets_leave: whether those who leave a group are answered.
    :ivar left: each request to leave one.
    :ivar given: each delivery: channel, sequence and client.
    :ivar acked: each acknowledgement: channel and sequence.
    """

    def __init__(
        self,
        client: NatsClient,
        clock: IReactorTime,
        store: Store | None = None,
        *,
        cluster_id: str = "faas-cluster",
        now_ns: Callable[[], int] = time.time_ns,
        new_inbox: Callable[[], bytes] = _random_inbox,
    ) -> None:
        self.store = store or Store()
        self.url = ""
        self.acknowledges = True
        self.refuses = ""
        self.pongs = True
        self.hears_acks = True
        self.lets_leave = True
        self.left: list[Message] = []
        self.given: list[tuple[str, int, str]] = []
        self.acked: list[tuple[str, int]] = []
        self._client = client
        self._clock = clock
        self._cluster = cluster_id
        self._now_ns = now_ns
        self._new_inbox = new_inbox
        self._listening: list[Subscription] = []
        self._ack_inboxes: dict[bytes, Subscription] = {}
        self._waiters: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._dead = False

    def start(self) -> None:
        """Serve; what the store knows is there again."""
        for subject, serve in (
            (self.subject("discover"), self._connect),
            (self.subject("discover") + b".pings", self._ping),
            (self.subject("pub") + b".>", self._publish),
            (self.subject("sub"), self._subscribe),
            (self.subject("unsub"), self._unsubscribe),
            (self.subject("subclose"), self._unsubscribe),
            (self.subject("close"), self._close),
        ):
            self._listening.append(self._client.subscribe(subject, serve))
        for (channel, _), group in self.store.groups.items():
            for member in group.members:
                self._listen_for_acks(channel, group, member)
                for sequence in list(member.pending):
                    self._wait_for_ack(channel, group, member, sequence)

    def kill(self) -> None:
        """Be gone, without a word."""
        self._dead = True
        for each in (*self._listening, *self._ack_inboxes.values()):
            each.unsubscribe()
        for group in self.store.groups.values():
            for member in group.members:
                for pending in member.pending.values():
                    _cancel(pending)

    async def leave(self) -> None:
        """Be gone from a NATS server that stays."""
        self.kill()
        await self._client.flush()

    def subject(self, what: str) -> bytes:
        return f"_STAN.{what}.{self._cluster}".encode()

    def when(self, holds: Callable[[], bool]) -> Deferred[None]:
        """Fires when something is so, looked at after everything that is said to the server."""
        waiter: Deferred[None] = Deferred()
        self._waiters.append((holds, waiter))
        self._look()
        return waiter.addTimeout(20, self._client.clock)

    def _look(self) -> None:
        for entry in list(self._waiters):
            if entry in self._waiters and entry[0]():
                self._waiters.remove(entry)
                entry[1].callback(None)

    # -- clients

    def _connect(self, message: Message) -> None:
        Deferred.fromCoroutine(self._let_in(message)).addErrback(
            lambda failure: failure.trap(NatsError)
        )

    async def _let_in(self, message: Message) -> None:
        asked = messages.read(messages.ConnectRequest, message.payload)
        earlier = self.store.clients.get(asked.clientID)
        if earlier is not None:
            try:
                await self._client.request(
                    earlier.heartbeat_inbox, b"", timeout_seconds=DUPLICATE_SECONDS
                )
            except NatsError:
                self._remove_client(asked.clientID)
            else:
                error = "stan: clientID already registered"
                self._answer(message, messages.ConnectResponse(error=error))
                return
        if self._dead:
            return
        self.store.clients[asked.clientID] = Client(asked.connID, asked.heartbeatInbox.encode())
        self._answer(
            message,
            messages.ConnectResponse(
                pubPrefix=self.subject("pub"),
                subRequests=self.subject("sub"),
                unsubRequests=self.subject("unsub"),
                closeRequests=self.subject("close"),
                subCloseRequests=self.subject("subclose"),
                pingRequests=self.subject("discover") + b".pings",
                pingInterval=asked.pingInterval,
                pingMaxOut=asked.pingMaxOut,
                protocol=1,
            ),
        )

    def _ping(self, message: Message) -> None:
        conn_id = messages.read(messages.Ping, message.payload).connID
        known = any(client.conn_id == conn_id for client in self.store.clients.values())
        if self.pongs:
            error = "" if known else NOT_REGISTERED
            self._answer(message, messages.PingResponse(error=error))

    async def beat(self) -> None:
        """Ask every client whether it is alive; drop those that do not answer."""
        for client_id, client in list(self.store.clients.items()):
            try:
                await self._client.request(
                    client.heartbeat_inbox, b"", timeout_seconds=DUPLICATE_SECONDS
                )
            except NatsError:
                self._remove_client(client_id)

    def _close(self, message: Message) -> None:
        client_id = messages.read(messages.CloseRequest, message.payload).clientID
        known = client_id in self.store.clients
        self._remove_client(client_id)
        self._answer(message, messages.CloseResponse(error="" if known else UNKNOWN_CLIENT))

    def forget_client(self, client_id: str) -> None:
        """As if another client had taken its id."""
        self._remove_client(client_id)

    def _remove_client(self, client_id: str) -> None:
        self.store.clients.pop(client_id, None)
        for (channel, _), group in self.store.groups.items():
            for member in [each for each in group.members if each.client_id == client_id]:
                self._remove_member(channel, group, member)

    # -- publishing

    def _publish(self, message: Message) -> None:
        asked = messages.read(messages.PubMsg, message.payload)
        client = self.store.clients.get(asked.clientID)
        error = self.refuses
        if client is None or client.conn_id != asked.connID:
            error = "stan: invalid publish request"
        if error:
            self._answer(message, messages.PubAck(guid=asked.guid, error=error))
            return
        self._store(asked.subject, asked.data)
        if self.acknowledges:
            self._answer(message, messages.PubAck(guid=asked.guid))
        self._deliver(asked.subject)

    def put(self, channel: str, data: bytes) -> None:
        """As if another client had published it."""
        self._store(channel, data)
        self._deliver(channel)

    def _store(self, channel: str, data: bytes) -> None:
        self.store.channels.setdefault(channel, []).append((data, self._now_ns()))

    # -- groups

    def _subscribe(self, message: Message) -> None:
        asked = messages.read(messages.SubscriptionRequest, message.payload)
        if asked.clientID not in self.store.clients:
            self._answer(message, messages.SubscriptionResponse(error=UNKNOWN_CLIENT))
            return
        assert asked.qGroup
        assert asked.startPosition == messages.FIRST
        name = (asked.subject, f"{asked.durableName}:{asked.qGroup}")
        group = self.store.groups.setdefault(name, Group())
        member = Member(
            client_id=asked.clientID,
            inbox=asked.inbox.encode(),
            ack_inbox=self._new_inbox(),
            max_in_flight=asked.maxInFlight,
            ack_wait_seconds=asked.ackWaitInSecs,
        )
        group.members.append(member)
        self._listen_for_acks(asked.subject, group, member)
        self._answer(message, messages.SubscriptionResponse(ackInbox=member.ack_inbox))
        self._deliver(asked.subject)

    def _unsubscribe(self, message: Message) -> None:
        asked = messages.read(messages.UnsubscribeRequest, message.payload)
        for (channel, _), group in self.store.groups.items():
            for member in list(group.members):
                if member.ack_inbox == asked.inbox.encode():
                    self._remove_member(channel, group, member)
        if message.subject == self.subject("unsub"):
            raise AssertionError("somebody has made a group forget how far it had come")
        self.left.append(message)
        if self.lets_leave:
            self._answer(message, messages.CloseResponse())
        self._look()

    def let_leave(self) -> None:
        """Answer those who wait to have left their group."""
        for message in self.left:
            self._answer(message, messages.CloseResponse())

    def _remove_member(self, channel: str, group: Group, member: Member) -> None:
        group.members.remove(member)
        self._ack_inboxes.pop(member.ack_inbox).unsubscribe()
        for sequence, pending in member.pending.items():
            _cancel(pending)
            group.returned[sequence] = pending.count
        self._deliver(channel)

    def _listen_for_acks(self, channel: str, group: Group, member: Member) -> None:
        def acknowledged(message: Message) -> None:
            if not self.hears_acks:
                return
            sequence = messages.read(messages.Ack, message.payload).sequence
            self.acked.append((channel, sequence))
            group.returned.pop(sequence, None)
            for each in group.members:
                _cancel(each.pending.pop(sequence, None))
            self._deliver(channel)
            self._look()

        inbox = self._client.subscribe(member.ack_inbox, acknowledged)
        self._ack_inboxes[member.ack_inbox] = inbox

    # -- delivering

    def _deliver(self, channel: str) -> None:
        """Give to whoever has room what nobody has; what was given before goes first."""
        stored = self.store.channels.get(channel, [])
        for (of, _), group in self.store.groups.items():
            if of != channel:
                continue
            for sequence in sorted(group.returned):
                count = group.returned[sequence]
                if self._give(channel, group, sequence, count):
                    group.returned.pop(sequence, None)
            while group.next <= len(stored) and self._give(channel, group, group.next, 0):
                group.next += 1
        self._look()

    def _give(
        self, channel: str, group: Group, sequence: int, count: int, but: Member | None = None
    ) -> bool:
        """:return: whether anybody had room for it."""
        able = [member for member in group.members if member.has_room and member is not but]
        if not able:
            return False
        member = able[0]
        # The next one's turn comes next.
        group.members.remove(member)
        group.members.append(member)
        self._send(channel, group, member, sequence, count)
        return True

    def _send(self, channel: str, group: Group, member: Member, sequence: int, count: int) -> None:
        data, timestamp_ns = self.store.channels[channel][sequence - 1]
        member.pending[sequence] = Pending(count + 1)
        self._wait_for_ack(channel, group, member, sequence)
        self.given.append((channel, sequence, member.client_id))
        delivery = messages.MsgProto(
            sequence=sequence,
            subject=channel,
            data=data,
            timestamp=timestamp_ns,
            redelivered=count > 0,
            redeliveryCount=count,
        )
        self._say(member.inbox, delivery)

    def _wait_for_ack(self, channel: str, group: Group, member: Member, sequence: int) -> None:
        member.pending[sequence].timer = self._clock.callLater(
            member.ack_wait_seconds, self._overdue, channel, group, member, sequence
        )

    def _overdue(self, channel: str, group: Group, member: Member, sequence: int) -> None:
        count = member.pending[sequence].count
        if self._give(channel, group, sequence, count, but=member):
            del member.pending[sequence]
        else:
            self._send(channel, group, member, sequence, count)
        self._look()

    # -- saying

    def _answer(self, message: Message, answer: Any) -> None:
        if message.reply:
            self._say(message.reply, answer)

    def _say(self, subject: bytes, what: Any) -> None:
        if not self._dead:
            self._client.publish(subject, messages.write(what))


def _cancel(pending: Pending | None) -> None:
    if pending is not None and pending.timer is not None and pending.timer.active():
        pending.timer.cancel()
