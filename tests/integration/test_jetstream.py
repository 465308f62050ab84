"""Streams, consumers and pulling, with a real nats-server that also dies under them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_twisted
from real_nats import RealNats
from twisted.internet.defer import DeferredQueue
from twisted.internet.task import LoopingCall

from faasd_async.nats import NatsClient, NatsError
from faasd_async.nats.jetstream import (
    SECOND_NS,
    ConsumerConfig,
    ConsumerDeleted,
    ConsumerNotFound,
    ConsumersOverlap,
    ConsumerUnreachable,
    JetStream,
    JetStreamMessage,
    MessageNotFound,
    NoStream,
    PubAck,
    Puller,
    StreamConfig,
    StreamFull,
    StreamNotFound,
    WrongLastSequence,
)

STREAM = StreamConfig(name="S", subjects=("s.>",), retention="workqueue", allow_msg_ttl=True)
CONSUMER = ConsumerConfig(
    name="c", durable_name="c", ack_policy="explicit", ack_wait=SECOND_NS // 2, max_ack_pending=100
)


@dataclass
class Pulling:
    """A puller and what it brought."""

    puller: Puller = field(init=False)
    messages: "DeferredQueue[JetStreamMessage]" = field(default_factory=DeferredQueue)
    unused: "DeferredQueue[int]" = field(default_factory=DeferredQueue)
    errors: "DeferredQueue[NatsError]" = field(default_factory=DeferredQueue)


def pull(
    jetstream: JetStream,
    consumer: str = "c",
    *,
    expires_seconds: float = 30.0,
    heartbeat_seconds: float = 10.0,
) -> Pulling:
    """Pull from a consumer of the stream."""
    pulling = Pulling()
    pulling.puller = Puller(
        jetstream,
        "S",
        consumer,
        on_message=pulling.messages.put,
        on_unused=pulling.unused.put,
        on_error=pulling.errors.put,
        expires_seconds=expires_seconds,
        heartbeat_seconds=heartbeat_seconds,
    )
    return pulling


@pytest_twisted.async_yield_fixture
async def client(nats: RealNats) -> AsyncIterator[NatsClient]:
    """A connected client."""
    yield await nats.client()


@pytest_twisted.async_yield_fixture
async def jetstream(nats: RealNats, client: NatsClient) -> AsyncIterator[JetStream]:
    """JetStream with a work queue and a consumer of it."""
    jetstream = JetStream(client)
    await nats.soon(jetstream.ensure_stream(STREAM))
    await nats.soon(jetstream.ensure_consumer("S", CONSUMER))
    yield jetstream


# -- streams


@pytest_twisted.ensureDeferred
async def test_every_stream_field(jetstream: JetStream) -> None:
    """The server knows each field we can send, and gives it back as it was."""
    config = StreamConfig(
        name="ALL",
        subjects=("all.>", "every.*"),
        description="all of it",
        retention="limits",
        storage="memory",
        discard="new",
        discard_new_per_subject=True,
        max_consumers=7,
        max_msgs=1000,
        max_bytes=1024 * 1024,
        max_age=3600 * SECOND_NS,
        max_msgs_per_subject=3,
        max_msg_size=1024,
        duplicate_window=60 * SECOND_NS,
        compression="none",
        allow_direct=True,
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        allow_atomic=True,
        metadata={"kept": "by us"},
    )
    info = await jetstream.ensure_stream(config)
    assert info.config.metadata["kept"] == "by us"
    for name in config.__struct_fields__:
        if name != "metadata":
            assert getattr(info.config, name) == getattr(config, name), name
    later = StreamConfig(name="LATER", subjects=("later.>",), allow_msg_schedules=True)
    assert (await jetstream.ensure_stream(later)).config.allow_msg_schedules


@pytest_twisted.ensureDeferred
async def test_defaults_are_the_servers(jetstream: JetStream) -> None:
    """What we leave out means to the server what it says in our own defaults."""
    plain = StreamConfig(name="PLAIN", subjects=("plain",))
    info = await jetstream.ensure_stream(plain)
    for name in plain.__struct_fields__:
        if name != "metadata":
            assert getattr(info.config, name) == getattr(plain, name), name
    config = ConsumerConfig(name="plain", durable_name="plain", ack_policy="explicit")
    consumer = await jetstream.ensure_consumer("PLAIN", config)
    for name in config.__struct_fields__:
        if name != "metadata":
            assert getattr(consumer.config, name) == getattr(config, name), name


@pytest_twisted.ensureDeferred
async def test_ensure_stream_changes(jetstream: JetStream) -> None:
    """An existing stream becomes what was asked for, and keeps what it holds."""
    await jetstream.publish(b"s.a", b"1")
    wider = StreamConfig(name="S", subjects=("s.>", "t.>"), retention="workqueue")
    with pytest.raises(NatsError):
        await jetstream.ensure_stream(wider)  # per-message TTLs cannot be taken away
    wider = StreamConfig(
        name="S", subjects=("s.>", "t.>"), retention="workqueue", allow_msg_ttl=True
    )
    info = await jetstream.ensure_stream(wider)
    assert info.config.subjects == ("s.>", "t.>")
    assert info.state.messages == 1
    await jetstream.ensure_stream(wider)


@pytest_twisted.ensureDeferred
async def test_what_a_stream_holds(jetstream: JetStream) -> None:
    """Counted, and purged; one that is not there is told from one that is empty."""
    for subject in (b"s.a", b"s.a", b"s.b"):
        await jetstream.publish(subject, b"x")
    info = await jetstream.stream_info("S", subjects_filter="s.*")
    assert info.state.subjects == {"s.a": 2, "s.b": 1}
    assert (await jetstream.stream_info("S")).state.subjects is None
    assert await jetstream.purge_stream("S", filter="s.a") == 2
    assert await jetstream.purge_stream("S") == 1
    with pytest.raises(StreamNotFound):
        await jetstream.stream_info("T")


@pytest_twisted.ensureDeferred
async def test_stored_messages(jetstream: JetStream) -> None:
    """A message is read back by its sequence and by its subject, until it is deleted."""
    await jetstream.publish(b"s.a", b"one", headers=[(b"A", b"b")])
    await jetstream.publish(b"s.a", b"two")
    first = await jetstream.get_next_message("S", "s.a", 1)
    assert (first.subject, first.sequence, first.payload) == ("s.a", 1, b"one")
    assert first.headers.get(b"A") == b"b"
    assert (await jetstream.get_last_message("S", "s.*")).payload == b"two"
    await jetstream.delete_message("S", 2)
    assert (await jetstream.get_last_message("S", "s.a")).payload == b"one"
    with pytest.raises(MessageNotFound):
        await jetstream.get_next_message("S", "s.a", 2)


# -- consumers


@pytest_twisted.ensureDeferred
async def test_consumers(jetstream: JetStream) -> None:
    """Made, changed, named, deleted; two must not want the same message of a work queue."""
    changed = ConsumerConfig(
        name="c", durable_name="c", ack_policy="explicit", ack_wait=5 * SECOND_NS
    )
    assert (await jetstream.ensure_consumer("S", changed)).config.ack_wait == 5 * SECOND_NS
    another = ConsumerConfig(
        name="d", durable_name="d", ack_policy="explicit", filter_subject="s.*.x.>"
    )
    with pytest.raises(ConsumersOverlap):
        await jetstream.ensure_consumer("S", another)
    assert await jetstream.consumer_names("S") == ["c"]
    await jetstream.delete_consumer("S", "c")
    with pytest.raises(ConsumerNotFound):
        await jetstream.consumer_info("S", "c")
    info = await jetstream.ensure_consumer("S", another)
    assert info.config.filter_subject == "s.*.x.>"


# -- publishing


@pytest_twisted.ensureDeferred
async def test_publish(jetstream: JetStream) -> None:
    """Stored once, under the next sequence, however often it comes with the same id."""
    assert await jetstream.publish(b"s.a", b"x") == PubAck(stream="S", sequence=1)
    once = await jetstream.publish(b"s.a", b"x", message_id=b"id")
    twice = await jetstream.publish(b"s.a", b"x", message_id=b"id")
    assert once == PubAck(stream="S", sequence=2)
    assert twice == PubAck(stream="S", sequence=2, duplicate=True)


@pytest_twisted.ensureDeferred
async def test_first_writer_wins(jetstream: JetStream) -> None:
    """Who expects a subject to be empty, or to end in a certain message, is told when it is not."""
    await jetstream.publish(b"s.a", b"first", expected_last_subject_sequence=0)
    with pytest.raises(WrongLastSequence) as caught:
        await jetstream.publish(b"s.a", b"second", expected_last_subject_sequence=0)
    assert caught.value.err_code == 10071
    await jetstream.publish(b"s.a", b"second", expected_last_subject_sequence=1)


@pytest_twisted.ensureDeferred
async def test_no_stream(jetstream: JetStream) -> None:
    """A subject that no stream listens to."""
    with pytest.raises(NoStream):
        await jetstream.publish(b"elsewhere", b"x")


@pytest_twisted.ensureDeferred
async def test_full_stream(jetstream: JetStream) -> None:
    """A stream that discards new messages when full refuses them by name."""
    full = StreamConfig(name="FULL", subjects=("full",), max_msgs=1, discard="new")
    await jetstream.ensure_stream(full)
    await jetstream.publish(b"full", b"x")
    with pytest.raises(StreamFull):
        await jetstream.publish(b"full", b"x")


# -- pulling


@pytest_twisted.ensureDeferred
async def test_pull_and_ack(nats: RealNats, jetstream: JetStream) -> None:
    """An acknowledged message is gone; one that is not comes again after its ack wait."""
    await jetstream.publish(b"s.a", b"acked", headers=[(b"A", b"b")])
    await jetstream.publish(b"s.a", b"left")
    pulling = pull(jetstream)
    pulling.puller.ask(2)
    acked, left = [await nats.soon(pulling.messages.get()) for _ in range(2)]
    assert (acked.subject, acked.payload, acked.headers.get(b"A")) == (b"s.a", b"acked", b"b")
    assert (acked.stream, acked.consumer, acked.delivered, acked.pending) == ("S", "c", 1, 1)
    assert left.stream_sequence == 2
    acked.ack()
    pulling.puller.ask(2)
    again = await nats.soon(pulling.messages.get())
    assert (again.payload, again.delivered) == (b"left", 2)
    assert (await jetstream.stream_info("S")).state.messages == 1
    again.ack()


@pytest_twisted.ensureDeferred
async def test_messages_to_come(nats: RealNats, jetstream: JetStream) -> None:
    """An ask waits at the server for messages that are published later."""
    pulling = pull(jetstream)
    pulling.puller.ask(1)
    await jetstream.publish(b"s.a", b"later")
    assert (await nats.soon(pulling.messages.get())).payload == b"later"
    assert pulling.puller.outstanding == 0


@pytest_twisted.ensureDeferred
async def test_expiry(nats: RealNats, jetstream: JetStream) -> None:
    """What an ask did not bring is given back when it expires, heartbeats in between or not."""
    await jetstream.publish(b"s.a", b"one")
    pulling = pull(jetstream, expires_seconds=0.4, heartbeat_seconds=0.1)
    pulling.puller.ask(3)
    assert await nats.soon(pulling.unused.get()) == 2
    assert len(pulling.messages.pending) == 1
    assert pulling.puller.outstanding == 0


@pytest_twisted.ensureDeferred
async def test_nak(nats: RealNats, jetstream: JetStream) -> None:
    """A refused message comes again at once, or after the delay that was asked for."""
    await jetstream.publish(b"s.a", b"x")
    pulling = pull(jetstream)
    pulling.puller.ask(3)
    (await nats.soon(pulling.messages.get())).nak()
    second = await nats.soon(pulling.messages.get())
    second.nak(delay_seconds=0.2)
    third = await nats.soon(pulling.messages.get())
    assert (second.delivered, third.delivered) == (2, 3)
    third.ack()


@pytest_twisted.ensureDeferred
async def test_in_progress(nats: RealNats, jetstream: JetStream) -> None:
    """A message whose lease is renewed stays ours while another comes again."""
    await jetstream.publish(b"s.a", b"renewed")
    await jetstream.publish(b"s.a", b"left")
    pulling = pull(jetstream)
    pulling.puller.ask(2)
    renewed = await nats.soon(pulling.messages.get())
    await nats.soon(pulling.messages.get())
    renewing = LoopingCall(renewed.in_progress)
    renewing.start(0.2)
    pulling.puller.ask(3)
    for delivered in (2, 3):
        again = await nats.soon(pulling.messages.get())
        assert (again.payload, again.delivered) == (b"left", delivered)
    renewing.stop()
    renewed.ack()


@pytest_twisted.ensureDeferred
async def test_term(nats: RealNats, client: NatsClient, jetstream: JetStream) -> None:
    """A terminated message is not delivered again, and the server tells everybody why."""
    advisories: DeferredQueue[bytes] = DeferredQueue()
    client.subscribe(
        b"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.c",
        lambda message: advisories.put(message.payload),
    )
    await jetstream.publish(b"s.a", b"poison")
    pulling = pull(jetstream)
    pulling.puller.ask(1)
    (await nats.soon(pulling.messages.get())).term("cannot be read")
    assert b"cannot be read" in await nats.soon(advisories.get())
    assert (await jetstream.consumer_info("S", "c")).num_ack_pending == 0


@pytest_twisted.ensureDeferred
async def test_many_asks(nats: RealNats, jetstream: JetStream) -> None:
    """Asks of all sizes at once bring each message once and are accounted for to the last."""
    done: DeferredQueue[None] = DeferredQueue()
    seen: list[int] = []

    def on_message(message: JetStreamMessage) -> None:
        seen.append(message.stream_sequence)
        message.ack()
        if len(seen) == 1000:
            done.put(None)

    puller = Puller(
        jetstream,
        "S",
        "c",
        on_message=on_message,
        on_unused=lambda count: None,
        on_error=lambda error: None,
    )
    for batch in (1, 2, 3, 494, 500):
        puller.ask(batch)
    for _ in range(1000):
        jetstream.publish_then(b"s.a", b"x", b"", lambda ack: None)
    await nats.soon(done.get())
    assert sorted(seen) == list(range(1, 1001))
    assert puller.outstanding == 0


@pytest_twisted.ensureDeferred
async def test_stopped_puller_wants_nothing(nats: RealNats, jetstream: JetStream) -> None:
    """After a stop the next message goes, for the first time, to somebody else."""
    stopped, other = pull(jetstream), pull(jetstream)
    stopped.puller.ask(5)
    stopped.puller.stop()
    assert await nats.soon(stopped.unused.get()) == 5
    await nats.soon(jetstream.client.flush())
    other.puller.ask(1)
    await jetstream.publish(b"s.a", b"x")
    message = await nats.soon(other.messages.get())
    assert message.delivered == 1
    assert stopped.messages.pending == []
    message.ack()


@pytest_twisted.ensureDeferred
async def test_consumer_deleted_under_a_puller(nats: RealNats, jetstream: JetStream) -> None:
    """What did not come is given back with the reason; with the consumer back, pulling goes on."""
    await jetstream.publish(b"s.a", b"x")
    pulling = pull(jetstream)
    pulling.puller.ask(3)
    (await nats.soon(pulling.messages.get())).ack()
    await jetstream.delete_consumer("S", "c")
    assert await nats.soon(pulling.unused.get()) == 2
    error = await nats.soon(pulling.errors.get())
    assert isinstance(error, ConsumerDeleted)
    assert pulling.puller.outstanding == 0
    await jetstream.ensure_consumer("S", CONSUMER)
    await jetstream.publish(b"s.a", b"x")
    pulling.puller.ask(1)
    (await nats.soon(pulling.messages.get())).ack()


@pytest_twisted.ensureDeferred
async def test_missing_consumer(nats: RealNats, jetstream: JetStream) -> None:
    """Pulling from a consumer that does not exist is told at once."""
    pulling = pull(jetstream, "nobody")
    pulling.puller.ask(4)
    assert await nats.soon(pulling.unused.get()) == 4
    error = await nats.soon(pulling.errors.get())
    assert isinstance(error, ConsumerUnreachable)


@pytest_twisted.ensureDeferred
async def test_forgotten_ask(nats: RealNats, jetstream: JetStream) -> None:
    """An ask beyond ``max_waiting``, dropped without a word, is missed by its heartbeat."""
    narrow = ConsumerConfig(
        name="narrow", durable_name="narrow", ack_policy="explicit", max_waiting=1
    )
    await jetstream.delete_consumer("S", "c")
    await jetstream.ensure_consumer("S", narrow)
    pulling = pull(jetstream, "narrow", heartbeat_seconds=0.1)
    pulling.puller.ask(1)
    pulling.puller.ask(2)
    assert await nats.soon(pulling.unused.get()) == 2
    assert pulling.puller.outstanding == 1
    await jetstream.publish(b"s.a", b"x")
    (await nats.soon(pulling.messages.get())).ack()


@pytest_twisted.ensureDeferred
async def test_server_killed_under_a_puller(nats: RealNats, jetstream: JetStream) -> None:
    """The connection's end gives back what was asked for; afterwards pulling goes on."""
    await jetstream.publish(b"s.a", b"survives")
    pulling = pull(jetstream)
    pulling.puller.ask(3)
    held = await nats.soon(pulling.messages.get())
    await nats.kill()
    assert await nats.soon(pulling.unused.get()) == 2
    with pytest.raises(NatsError):
        held.ack()
    assert not held.settled
    await nats.start()
    await nats.soon(jetstream.client.when_connected())
    pulling.puller.ask(1)
    again = await nats.soon(pulling.messages.get())
    assert again.payload == b"survives"
    again.ack()
    assert pulling.errors.pending == []
    assert pulling.puller.outstanding == 0
