"""The NATS client and its JetStream layer against a real nats-server, restarts included."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from faasd_async.nats import (
    ConnectionDropped,
    Message,
    NatsClient,
    NoResponders,
    NotConnected,
    ServerAddress,
)
from faasd_async.nats.jetstream import (
    ConsumerConfig,
    JetStream,
    JetStreamMessage,
    MessageNotFound,
    NoStream,
    Puller,
    StreamConfig,
    StreamFull,
    WrongLastSequence,
)
from faasd_async.nats.server import EmbeddedServer, ServerSettings

SECOND_NS = 10**9


class Broker:
    """A server and a client of it."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        settings = ServerSettings(state_dir=directory, max_file_store_bytes=2**28)
        self.server = EmbeddedServer(reactor, settings)
        self.client = NatsClient(reactor, self._addresses)
        self.server.on_ready.append(lambda _: self.client.reconnect_now())
        self.jetstream = JetStream(self.client)

    def _addresses(self) -> list[ServerAddress]:
        address = self.server.address
        return [] if address is None else [ServerAddress(*address, *self.server.credentials)]

    async def start(self) -> None:
        await self.server.start()
        self.client.start()
        await self.client.when_connected()

    def kill(self) -> Deferred[None]:
        """Kill the server; fires when the client is connected to the next one."""
        gone: Deferred[None] = Deferred()
        forget = self.client.on_disconnected(lambda: (forget(), gone.callback(None)))
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGKILL)
        return gone.addCallback(lambda _: self.client.when_connected())

    async def stop(self) -> None:
        await self.client.stop()
        await self.server.stop()


@pytest_twisted.async_yield_fixture
async def broker(reactor: Any, tmp_path: Path) -> AsyncIterator[Broker]:
    running = Broker(reactor, tmp_path / "state")
    await running.start()
    yield running
    await running.stop()


class Collector:
    """Fires when so many have come."""

    def __init__(self, count: int) -> None:
        self.got: list[Any] = []
        self.all: Deferred[list[Any]] = Deferred()
        self._count = count

    def __call__(self, item: Any) -> None:
        self.got.append(item)
        if len(self.got) == self._count:
            self.all.callback(self.got)


def consumer(ack_wait_seconds: float = 30.0) -> ConsumerConfig:
    return ConsumerConfig(
        name="c",
        durable_name="c",
        ack_policy="explicit",
        ack_wait=round(ack_wait_seconds * SECOND_NS),
        filter_subject="work.>",
    )


WORK = StreamConfig(name="WORK", subjects=("work.>",), retention="workqueue", discard="new")


def pull(broker: Broker, on_message: Any) -> Puller:
    return Puller(
        broker.jetstream,
        "WORK",
        "c",
        on_message=on_message,
        on_unused=lambda count: None,
        on_error=lambda reason: None,
    )


@pytest_twisted.ensureDeferred
async def test_messages_headers_and_answers(broker: Broker) -> None:
    """What is published arrives, headers and all; requests are answered; nobody there is told."""

    def echo(message: Message) -> None:
        broker.client.publish(message.reply, message.payload[::-1], headers=message.header_block)

    broker.client.subscribe(b"echo", echo)
    answers = await gatherResults(
        [
            broker.client.request(b"echo", b"%d-abc" % number, headers=[(b"N", b"%d" % number)])
            for number in range(100)
        ]
    )
    assert [answer.payload for answer in answers] == [
        b"cba-%b" % (b"%d" % n)[::-1] for n in range(100)
    ]
    assert answers[7].headers.get(b"N") == b"7"
    with pytest.raises(NoResponders):
        await broker.client.request(b"nobody", b"")


@pytest_twisted.ensureDeferred
async def test_a_killed_server(broker: Broker) -> None:
    """Open requests fail as perhaps received, new ones as not sent; then the client is back, and
    its subscriptions with it."""
    heard = Collector(1)
    broker.client.subscribe(b"silent", lambda message: None)
    broker.client.subscribe(b"news", heard)
    await broker.client.flush()
    unanswered = broker.client.request(b"silent", b"", timeout_seconds=60)
    back = broker.kill()
    with pytest.raises(ConnectionDropped):
        await unanswered
    with pytest.raises(NotConnected):
        broker.client.publish(b"news", b"too early")
    await back
    broker.client.publish(b"news", b"again")
    assert [message.payload for message in await heard.all] == [b"again"]


@pytest_twisted.ensureDeferred
async def test_publishing_into_streams(broker: Broker) -> None:
    """Acknowledged, only as a subject's first, refused when full, and told where no stream is."""
    jetstream = broker.jetstream
    await jetstream.ensure_stream(
        StreamConfig(name="S", subjects=("s.>",), discard="new", max_msgs=2)
    )
    first = await jetstream.publish(b"s.a", b"1", expected_last_subject_sequence=0)
    assert (first.stream, first.sequence) == ("S", 1)
    with pytest.raises(WrongLastSequence):
        await jetstream.publish(b"s.a", b"2", expected_last_subject_sequence=0)
    twice = [await jetstream.publish(b"s.b", b"3", message_id=b"id") for _ in range(2)]
    assert [ack.duplicate for ack in twice] == [False, True]
    with pytest.raises(StreamFull):
        await jetstream.publish(b"s.c", b"4")
    with pytest.raises(NoStream):
        await jetstream.publish(b"elsewhere", b"5")
    assert (await jetstream.get_last_message("S", "s.a")).payload == b"1"
    assert (await jetstream.get_next_message("S", "s.>", 2)).payload == b"3"
    await jetstream.delete_message("S", 1)
    with pytest.raises(MessageNotFound):
        await jetstream.get_next_message("S", "s.a", 1)
    assert await jetstream.purge_stream("S", filter="s.b") == 1


@pytest_twisted.ensureDeferred
async def test_pulling_and_settling(broker: Broker) -> None:
    """As many come as were asked for; what is not settled comes again, with its count; what is
    acknowledged or terminated does not."""
    jetstream = broker.jetstream
    await jetstream.ensure_stream(WORK)
    await jetstream.ensure_consumer("WORK", consumer())
    for number in range(4):
        await jetstream.publish(b"work.%d" % number, b"%d" % number)
    first = Collector(3)
    puller = pull(broker, first)
    puller.ask(3)
    done, back, ended = await first.all
    assert puller.outstanding == 0
    done.ack()
    back.nak()
    ended.term("no use")
    again = Collector(2)
    puller.stop()
    second = pull(broker, again)
    second.ask(2)
    got = sorted((message.payload, message.delivered) for message in await again.all)
    assert got == [(b"1", 2), (b"3", 1)]
    for message in again.got:
        message.ack()
    # The server carries acknowledgements out in its own time.
    while (await jetstream.stream_info("WORK")).state.messages:
        pass
    second.stop()


@pytest_twisted.ensureDeferred
async def test_a_lease_runs_out_unless_it_is_extended(broker: Broker, reactor: Any) -> None:
    """Of two messages, the one whose holder shows no sign of life comes again."""
    jetstream = broker.jetstream
    await jetstream.ensure_stream(WORK)
    await jetstream.ensure_consumer("WORK", consumer(0.5))
    for name in (b"work.silent", b"work.busy"):
        await jetstream.publish(name, b"")
    held: dict[bytes, JetStreamMessage] = {}
    again: Deferred[JetStreamMessage] = Deferred()

    def received(message: JetStreamMessage) -> None:
        if message.delivered > 1:
            again.callback(message)
        held[message.subject] = message

    puller = pull(broker, received)
    puller.ask(3)

    def sign_of_life() -> None:
        if not again.called:
            if b"work.busy" in held:
                held[b"work.busy"].in_progress()
            reactor.callLater(0.1, sign_of_life)

    sign_of_life()
    assert (await again).subject == b"work.silent"
    puller.stop()


@pytest_twisted.ensureDeferred
async def test_streams_consumers_and_deliveries_survive_a_killed_server(broker: Broker) -> None:
    """The asks are given back, and asked again bring what was not settled."""
    jetstream = broker.jetstream
    await jetstream.ensure_stream(WORK)
    await jetstream.ensure_consumer("WORK", consumer(1.0))
    for number in range(3):
        await jetstream.publish(b"work.%d" % number, b"%d" % number)
    first = Collector(1)
    unused: list[int] = []
    puller = Puller(
        jetstream,
        "WORK",
        "c",
        on_message=first,
        on_unused=unused.append,
        on_error=lambda reason: None,
    )
    puller.ask(1)
    (message,) = await first.all
    message.ack()
    await broker.client.flush()
    await jetstream.purge_stream("WORK", filter="work.1")
    await jetstream.purge_stream("WORK", filter="work.2")
    puller.ask(5)
    await broker.client.flush()
    await broker.kill()
    assert (sum(unused), puller.outstanding) == (5, 0)
    await jetstream.publish(b"work.new", b"after")
    later = Collector(1)
    fresh = pull(broker, later)
    fresh.ask(1)
    assert [each.payload for each in await later.all] == [b"after"]
    puller.stop()
    fresh.stop()
