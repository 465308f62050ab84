"""A session with NATS Streaming across everything that may happen to it, on a real nats-server."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from real_nats import QUICK, RealNats
from stan_double import StanDouble, Store
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.nats import NatsClient, NatsError, NoResponders
from faasd_async.nats.stan import NoSession, PublishRefused, StanClient, StanLimits, StanMessage

#: A server that is away is asked after often, so that the tests need not wait.
EAGER = StanLimits(first_delay_seconds=0.01, longest_delay_seconds=0.02)


class House:
    """A NATS server, NATS Streaming servers on it one after the other, and clients.

    :ivar clock: counts the ack waits.
    """

    def __init__(self, reactor: Any, nats: RealNats) -> None:
        self.reactor = reactor
        self.nats = nats
        self.clock = Clock()
        self.double: StanDouble
        self._clients: list[StanClient] = []

    async def serve(self, store: Store) -> StanDouble:
        self.double = StanDouble(await self.nats.client(), self.clock, store)
        self.double.start()
        return self.double

    async def client(self, client_id: str = "me") -> StanClient:
        nats = NatsClient(self.reactor, lambda: [self.nats.address], limits=QUICK)
        client = StanClient(self.reactor, nats, "faas-cluster", client_id, EAGER)
        self._clients.append(client)
        await self.nats.soon(client.start())
        return client

    def session(self, client: StanClient, number: int) -> Deferred[None]:
        """Fires when a client has had so many sessions."""
        reached: Deferred[None] = Deferred()

        def opened() -> None:
            if client.sessions >= number and not reached.called:
                reached.callback(None)

        client.on_open(opened)
        opened()
        return self.nats.soon(reached)

    def publish(self, client: StanClient, data: bytes) -> Deferred[None]:
        stored: Deferred[None] = Deferred()

        def acknowledged(error: NatsError | None) -> None:
            if error is None:
                stored.callback(None)
            else:
                stored.errback(error)

        client.publish_then("c", data, acknowledged)
        return stored

    def forget(self, client: StanClient) -> None:
        self._clients.remove(client)

    async def end(self) -> None:
        for client in self._clients:
            await self.nats.soon(client.stop())
        self.double.kill()


class Group:
    """What one member of a group is given.

    :ivar got: each message, acknowledged unless ``keeps``.
    """

    def __init__(self, client: StanClient, *, keeps: bool = False, room: int = 10) -> None:
        self.got: list[StanMessage] = []
        self._keeps = keeps
        self._waiting: list[tuple[int, Deferred[None]]] = []
        client.subscribe("c", "g", self._receive, max_in_flight=room, ack_wait_seconds=30)

    def _receive(self, message: StanMessage) -> None:
        self.got.append(message)
        if not self._keeps:
            message.ack()
        for entry in list(self._waiting):
            if len(self.got) >= entry[0]:
                self._waiting.remove(entry)
                entry[1].callback(None)

    def when(self, count: int) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append((count, waiter))
        if len(self.got) >= count:
            self._waiting.pop()
            waiter.callback(None)
        return waiter

    @property
    def data(self) -> list[bytes]:
        return [message.data for message in self.got]


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    built = House(reactor, nats)
    await built.serve(Store())
    yield built
    await built.end()
    await nats.end()


@pytest_twisted.ensureDeferred
async def test_a_group_is_given_what_was_published_before_it(house: House) -> None:
    """All of it, in order, and what comes later."""
    client = await house.client()
    await house.publish(client, b"1")
    await house.publish(client, b"2")
    group = Group(client)
    await house.publish(client, b"3")
    await house.nats.soon(group.when(3))
    assert group.data == [b"1", b"2", b"3"]
    await house.double.when(lambda: len(house.double.acked) == 3)


@pytest_twisted.ensureDeferred
async def test_members_share_the_messages(house: House) -> None:
    """Each goes to one of them."""
    client, other = await house.client(), await house.client("other")
    groups = [Group(client), Group(other)]
    for number in range(10):
        await house.publish(client, b"%d" % number)
    await house.double.when(lambda: len(house.double.acked) == 10)
    assert Counter(groups[0].data + groups[1].data) == Counter(b"%d" % n for n in range(10))
    assert groups[0].data
    assert groups[1].data


@pytest_twisted.ensureDeferred
async def test_what_is_not_acknowledged_comes_again(house: House) -> None:
    """When its ack wait is over, and marked so."""
    client = await house.client()
    group = Group(client, keeps=True)
    await house.publish(client, b"1")
    await house.nats.soon(group.when(1))
    house.clock.advance(30)
    await house.nats.soon(group.when(2))
    assert [message.redelivered for message in group.got] == [False, True]


@pytest_twisted.ensureDeferred
async def test_no_more_is_in_flight_than_was_asked_for(house: House) -> None:
    """The next comes when one is acknowledged."""
    client = await house.client()
    group = Group(client, keeps=True, room=2)
    for number in range(4):
        await house.publish(client, b"%d" % number)
    await house.nats.soon(group.when(2))
    group.got[0].ack()
    await house.nats.soon(group.when(3))
    assert group.data == [b"0", b"1", b"2"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_killed_and_has_kept_everything(house: House) -> None:
    """NATS and NATS Streaming die together and come back with a file store: a new session, in which
    what was not acknowledged comes again, and publishing goes on."""
    client = await house.client()
    group = Group(client, keeps=True)
    await house.publish(client, b"1")
    await house.nats.soon(group.when(1))
    store = house.double.store
    house.double.kill()
    await house.nats.kill()
    assert not client.open
    await house.nats.start()
    await house.serve(store)
    await house.session(client, 2)
    await house.nats.soon(group.when(2))
    await house.publish(client, b"2")
    await house.nats.soon(group.when(3))
    assert group.data == [b"1", b"1", b"2"]
    assert (client.client_id, list(store.clients)) == ("me", ["me"])


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_killed_and_has_forgotten_everything(house: House) -> None:
    """With a memory store the sequences begin anew, and so does the group."""
    client = await house.client()
    group = Group(client)
    await house.publish(client, b"1")
    await house.nats.soon(group.when(1))
    house.double.kill()
    await house.nats.kill()
    await house.nats.start()
    await house.serve(Store())
    await house.session(client, 2)
    await house.publish(client, b"2")
    await house.nats.soon(group.when(2))
    assert [(message.sequence, message.data) for message in group.got] == [(1, b"1"), (1, b"2")]


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_gone_while_nats_is_there(house: House) -> None:
    """The first publish finds it out; when the server is back, so is the session."""
    client = await house.client()
    group = Group(client)
    store = house.double.store
    await house.double.leave()
    with pytest.raises(NoResponders):
        await house.nats.soon(house.publish(client, b"lost"))
    assert not client.open
    await house.serve(store)
    await house.session(client, 2)
    await house.publish(client, b"1")
    await house.nats.soon(group.when(1))
    assert group.data == [b"1"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_has_forgotten_a_client_that_is_alive(house: House) -> None:
    """A publish is refused, the session is looked after, found to be gone, and made anew."""
    client = await house.client()
    group = Group(client)
    house.double.forget_client("me")
    with pytest.raises(PublishRefused, match="invalid publish request"):
        await house.publish(client, b"refused")
    await house.session(client, 2)
    await house.publish(client, b"1")
    await house.nats.soon(group.when(1))
    assert group.data == [b"1"]


@pytest_twisted.ensureDeferred
async def test_a_client_id_that_another_has(house: House) -> None:
    """The second takes another one; both are in the group."""
    first, second = await house.client("same"), await house.client("same")
    assert first.client_id == "same"
    assert second.client_id.startswith("same-")
    groups = [Group(first), Group(second)]
    for number in range(4):
        await house.publish(first, b"%d" % number)
    await house.double.when(lambda: len(house.double.acked) == 4)
    assert all(group.data for group in groups)


@pytest_twisted.ensureDeferred
async def test_a_client_that_died_is_replaced(house: House) -> None:
    """Its id is free for whoever comes after it, and what it was given comes to that one."""
    died = await house.client()
    given = Group(died, keeps=True)
    await house.publish(died, b"1")
    await house.nats.soon(given.when(1))
    # Its connection ends without another word; it does not come back.
    await died._client.stop()
    house.forget(died)
    successor = await house.client()
    group = Group(successor)
    await house.nats.soon(group.when(1))
    assert successor.client_id == "me"
    assert [(message.data, message.redelivered) for message in group.got] == [(b"1", True)]


@pytest_twisted.ensureDeferred
async def test_whoever_stops_leaves_the_rest_to_the_others(house: House) -> None:
    """At once, and the group remembers how far it has come."""
    client, other = await house.client(), await house.client("other")
    kept = Group(client, keeps=True)
    await house.publish(client, b"1")
    await house.nats.soon(kept.when(1))
    house.forget(client)
    await house.nats.soon(client.stop())
    assert list(house.double.store.clients) == ["other"]
    group = Group(other)
    await house.nats.soon(group.when(1))
    assert group.data == [b"1"]
    with pytest.raises(NoSession):
        house.publish(client, b"2")


@pytest_twisted.ensureDeferred
async def test_a_group_is_left_before_the_session_ends(house: House) -> None:
    """NATS Streaming looks for who leaves a group once it has dealt with all that came before, and
    calls it an error if the end of the session has overtaken that."""
    client, other = await house.client(), await house.client("other")
    kept = Group(client)
    await house.publish(client, b"1")
    await house.nats.soon(kept.when(1))
    house.double.lets_leave = False
    house.forget(client)
    stopped = client.stop()
    await house.double.when(lambda: bool(house.double.left))
    await house.publish(other, b"said later than what the one who leaves has said")
    assert "me" in house.double.store.clients
    house.double.let_leave()
    await house.nats.soon(stopped)
    assert list(house.double.store.clients) == ["other"]
