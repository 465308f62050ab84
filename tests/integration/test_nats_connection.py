"""The client and a real nats-server, which answers, pauses, dies and comes back."""

import signal
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from real_nats import QUICK, RealNats
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from faasd_async.nats import (
    AuthorizationFailed,
    ConnectionDropped,
    Limits,
    Message,
    NatsClient,
    NoResponders,
    NotConnected,
    PendingBytesExceeded,
    RequestTimedOut,
    Statistics,
    Tls,
)
from faasd_async.nats.endpoint import HandshakeEndpoint, Login
from faasd_async.nats.protocol import NatsProtocol


def when_disconnected(client: NatsClient) -> "Deferred[None]":
    """Fire with the next end of a connection."""
    gone: Deferred[None] = Deferred()
    stop = client.on_disconnected(lambda: gone.callback(None))
    return gone.addBoth(lambda result: stop())


@pytest_twisted.ensureDeferred
async def test_publish_and_subscribe(nats: RealNats) -> None:
    """What one client publishes another hears, bytes, headers and all."""
    publisher, subscriber = await nats.client(), await nats.client()
    got: DeferredQueue[Message] = DeferredQueue()
    subscriber.subscribe(b"a.*", got.put)
    await nats.soon(subscriber.flush())
    payload = bytes(range(256)) * 40
    publisher.publish(b"a.b", payload, reply=b"r", headers=[(b"Name", b"value")])
    publisher.publish(b"a.c", b"")
    message = await nats.soon(got.get())
    assert (message.subject, message.payload, message.reply) == (b"a.b", payload, b"r")
    assert message.headers.get(b"Name") == b"value"
    assert (await nats.soon(got.get())).subject == b"a.c"


@pytest_twisted.ensureDeferred
async def test_many_messages(nats: RealNats) -> None:
    """A flood arrives whole and in order."""
    client = await nats.client()
    got: list[bytes] = []
    client.subscribe(b"a", lambda message: got.append(message.payload))
    sent = [b"%d" % number * (number % 500) for number in range(5000)]
    for payload in sent:
        client.publish(b"a", payload)
    await nats.soon(client.flush())
    assert got == sent


@pytest_twisted.ensureDeferred
async def test_largest_message(nats: RealNats) -> None:
    """A message of exactly the server's limit goes through."""
    client = await nats.client()
    got: DeferredQueue[Message] = DeferredQueue()
    client.subscribe(b"a", got.put)
    client.publish(b"a", b"x" * client.max_payload_bytes)
    message = await nats.soon(got.get())
    assert len(message.payload) == client.max_payload_bytes == 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_max_messages(nats: RealNats) -> None:
    """The server keeps to the number of messages, too."""
    client = await nats.client()
    got: list[Message] = []
    client.subscribe(b"a", got.append, max_messages=2)
    for _ in range(3):
        client.publish(b"a", b"")
    await nats.soon(client.flush())
    assert len(got) == 2
    with pytest.raises(NoResponders):
        await nats.soon(client.request(b"a", b""))


@pytest_twisted.ensureDeferred
async def test_request(nats: RealNats) -> None:
    """A service answers; a subject nobody serves says so; a mute service times out."""
    client, service = await nats.client(), await nats.client()
    service.subscribe(b"echo", lambda m: service.publish(m.reply, m.payload), queue=b"q")
    service.subscribe(b"mute", lambda message: None)
    await nats.soon(service.flush())
    assert (await nats.soon(client.request(b"echo", b"hi"))).payload == b"hi"
    with pytest.raises(NoResponders):
        await nats.soon(client.request(b"nobody", b""))
    with pytest.raises(RequestTimedOut):
        await nats.soon(client.request(b"mute", b"", timeout_seconds=0.2))


@pytest_twisted.ensureDeferred
async def test_killed_and_restarted(nats: RealNats) -> None:
    """What is in flight fails at once, what is published meanwhile is refused, then all goes on."""
    client = await nats.client()
    got: DeferredQueue[Message] = DeferredQueue()
    asked: DeferredQueue[Message] = DeferredQueue()
    client.subscribe(b"a", got.put)
    client.subscribe(b"mute", asked.put)
    in_flight = client.request(b"mute", b"")
    await nats.soon(asked.get())
    gone = when_disconnected(client)
    await nats.kill()
    with pytest.raises(ConnectionDropped):
        await nats.soon(in_flight)
    await nats.soon(gone)
    with pytest.raises(NotConnected):
        client.publish(b"a", b"")
    await nats.start()
    client.reconnect_now()
    await nats.soon(client.when_connected())
    client.publish(b"a", b"again")
    assert (await nats.soon(got.get())).payload == b"again"
    assert client.statistics.reconnects == 1


@pytest_twisted.ensureDeferred
async def test_polite_shutdown(nats: RealNats) -> None:
    """A server that closes its connections cleanly is connected to again as well."""
    client = await nats.client()
    gone = when_disconnected(client)
    nats.signal(signal.SIGTERM)
    await nats.soon(gone)
    await nats.kill()
    await nats.start()
    await nats.soon(client.when_connected())


@pytest_twisted.ensureDeferred
async def test_restarted_elsewhere(nats: RealNats) -> None:
    """A server that comes back on another port is found where it says it is."""
    client = await nats.client()
    gone = when_disconnected(client)
    await nats.kill()
    await nats.soon(gone)
    nats.port = -1
    await nats.start()
    await nats.soon(client.when_connected())


@pytest_twisted.ensureDeferred
async def test_lame_duck(nats: RealNats, reactor: Any, tmp_path: Path) -> None:
    """A server about to shut down is left for another."""
    other = RealNats(reactor, tmp_path / "other")
    await other.start()
    client = NatsClient(reactor, [nats.address, other.address], limits=QUICK)
    client.start()
    await nats.soon(client.when_connected())
    assert client.server_info is not None
    first = client.server_info.server_id
    gone = when_disconnected(client)
    nats.signal(signal.SIGUSR2)
    await nats.soon(gone)
    await nats.soon(client.when_connected())
    assert client.server_info.server_id != first
    await nats.soon(client.stop())
    await other.end()


@pytest_twisted.ensureDeferred
async def test_server_that_does_not_read(nats: RealNats, reactor: Any) -> None:
    """While the server takes nothing, so much waits and no more; then all of it leaves."""
    limit = 2 * 1024 * 1024
    client = await nats.client(limits=Limits(pending_bytes=limit))
    got: list[int] = []
    client.subscribe(b"a", lambda message: got.append(len(message.payload)))
    await nats.soon(client.flush())
    nats.signal(signal.SIGSTOP)
    sent = 0
    with pytest.raises(PendingBytesExceeded):  # noqa: PT012  # turn by turn until it is full
        while True:
            client.publish(b"a", b"x" * 256 * 1024)
            sent += 1
            assert sent < 400, "the sockets of this machine swallow everything"
            await deferLater(reactor, 0, lambda: None)
    assert limit - 512 * 1024 < client.pending_bytes <= limit
    nats.signal(signal.SIGCONT)
    await nats.soon(client.flush())
    assert client.pending_bytes == 0
    assert len(got) == sent


@pytest_twisted.ensureDeferred
async def test_credentials(reactor: Any, tmp_path: Path) -> None:
    """The right ones are let in; the wrong ones are told."""
    nats = RealNats(reactor, tmp_path, "--user", "u", "--pass", "p")
    await nats.start()
    await nats.client(user="u", password="p")
    stranger = HandshakeEndpoint(
        reactor,
        HostnameEndpoint(reactor, nats.address.host, nats.address.port),
        Login(name="stranger", user="u", password="q"),
        timeout_seconds=10,
        host=nats.address.host,
        tls=Tls(),
    )
    factory = Factory.forProtocol(
        lambda: NatsProtocol(reactor, lambda message: None, QUICK, Statistics())
    )
    with pytest.raises(AuthorizationFailed):
        await nats.soon(stranger.connect(factory))
    await nats.end()


@pytest_twisted.ensureDeferred
async def test_stop_flushes(nats: RealNats) -> None:
    """What was published before the stop arrives."""
    client, witness = await nats.client(), await nats.client()
    got: DeferredQueue[Message] = DeferredQueue()
    witness.subscribe(b"a", got.put)
    await nats.soon(witness.flush())
    client.publish(b"a", b"last words")
    await nats.soon(client.stop())
    assert (await nats.soon(got.get())).payload == b"last words"
