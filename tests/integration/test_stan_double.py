"""The tests' NATS Streaming server says what the real one said, to clients that say what real
clients said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from real_nats import RealNats
from recorded_stan import Frame, frames
from stan_double import StanDouble, Store
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.nats import Message, NatsClient
from faasd_async.nats.stan import messages

#: When the real server stored the recorded messages: the worker's session tells.
STORED_NS = [
    messages.read(messages.MsgProto, frame.payload).timestamp
    for frame in frames("worker")
    if not frame.sent and frame.payload[:2] in (b"\x08\x01", b"\x08\x02")
][:2]
ACK_INBOX = b"_INBOX.Wdg4EIY6WgCICSG7qrmQXw"


class Replay:
    """A client that says what was recorded, and hears what is answered.

    :ivar heard: subject and payload of each message, in the order they came.
    """

    def __init__(self, client: NatsClient, name: str) -> None:
        self._client = client
        self._frames = frames(name)
        self._wanted: list[tuple[int, Deferred[None]]] = []
        self.heard: list[tuple[bytes, bytes]] = []
        heard_on = {f.subject for f in self._frames if not f.sent}
        for subject in heard_on:
            client.subscribe(subject, self._hear)

    def _hear(self, message: Message) -> None:
        self.heard.append((message.subject, message.payload))
        for entry in list(self._wanted):
            if len(self.heard) >= entry[0]:
                self._wanted.remove(entry)
                entry[1].callback(None)

    def when_heard(self, count: int) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._wanted.append((count, waiter))
        if len(self.heard) >= count:
            self._wanted.pop()
            waiter.callback(None)
        return waiter.addTimeout(20, self._client.clock)

    def say(self, subject: bytes, number: int = 0) -> None:
        said = [f for f in self._frames if f.sent and f.subject == subject][number]
        self._client.publish(said.subject, said.payload, reply=said.reply)

    @property
    def recorded(self) -> list[tuple[bytes, bytes]]:
        """What the real server answered, heartbeats aside."""
        return [(f.subject, f.payload) for f in self._frames if _is_answer(f)]


def _is_answer(frame: Frame) -> bool:
    return not frame.sent and not frame.reply


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_twisted.async_yield_fixture
async def double(nats: RealNats, clock: Clock) -> AsyncIterator[StanDouble]:
    times = iter(STORED_NS)
    server = StanDouble(
        await nats.client(),
        clock,
        Store(),
        now_ns=lambda: next(times),
        new_inbox=lambda: ACK_INBOX,
    )
    server.start()
    yield server
    server.kill()


async def publish_both(nats: RealNats) -> Replay:
    producer = Replay(await nats.client(), "producer")
    producer.say(b"_STAN.discover.faas-cluster")
    await producer.when_heard(1)
    producer.say(b"_STAN.pub.faas-cluster.faas-request", 0)
    producer.say(b"_STAN.pub.faas-cluster.faas-request", 1)
    await producer.when_heard(3)
    producer.say(b"_STAN.discover.faas-cluster.pings")
    await producer.when_heard(4)
    return producer


@pytest_twisted.ensureDeferred
async def test_the_producer_hears_what_was_recorded(nats: RealNats, double: StanDouble) -> None:
    """Connected, two messages acknowledged, a ping answered: the same bytes on the same
    subjects."""
    producer = await publish_both(nats)
    assert producer.heard == producer.recorded[:4]


@pytest_twisted.ensureDeferred
async def test_the_worker_hears_what_was_recorded(
    nats: RealNats, double: StanDouble, clock: Clock
) -> None:
    """Connected, subscribed, one message and then another, which is redelivered as often as its
    ack wait passes, a ping answered, the session closed: the same bytes in the same order."""
    await publish_both(nats)
    worker = Replay(await nats.client(), "worker")
    worker.say(b"_STAN.discover.faas-cluster")
    await worker.when_heard(1)
    worker.say(b"_STAN.sub.faas-cluster")
    await worker.when_heard(3)
    worker.say(ACK_INBOX, 0)
    await worker.when_heard(4)
    clock.advance(2)
    await worker.when_heard(5)
    clock.advance(2)
    await worker.when_heard(6)
    worker.say(b"_STAN.discover.faas-cluster.pings")
    await worker.when_heard(7)
    worker.say(ACK_INBOX, 1)
    await double.when(lambda: len(double.acked) == 2)
    clock.advance(2)
    worker.say(b"_STAN.discover.faas-cluster.pings")
    await worker.when_heard(8)
    worker.say(b"_STAN.close.faas-cluster")
    await worker.when_heard(9)
    assert worker.heard == worker.recorded


@pytest_twisted.ensureDeferred
async def test_heartbeats_are_answered_as_recorded(nats: RealNats, double: StanDouble) -> None:
    """A client that answers stays; one that does not is dropped."""
    client = await nats.client()
    producer = Replay(client, "producer")
    producer.say(b"_STAN.discover.faas-cluster")
    await producer.when_heard(1)
    (inbox,) = [c.heartbeat_inbox for c in double.store.clients.values()]
    alive = client.subscribe(inbox, lambda message: client.publish(message.reply, b""))
    await client.flush()
    await double.beat()
    assert list(double.store.clients) == ["faas-publisher-vm"]
    alive.unsubscribe()
    await client.flush()
    await double.beat()
    assert list(double.store.clients) == []
