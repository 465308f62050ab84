"""Bodies that belong to nothing are found and removed, and no others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from real_nats import RealNats
from twisted.internet.defer import Deferred

from faasd_async.call.body import StoredBody
from faasd_async.call.ids import CallKey
from faasd_async.call.request import QueueRequest
from faasd_async.errors import BodyGone
from faasd_async.nats import NatsClient
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.jetstream.answering import Answering
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.body_sweep import GRACE_SECONDS, BodySweep
from faasd_async.queue.jetstream.durability import Acknowledged
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.store import Store
from faasd_async.queue.jetstream.stored.calls import first_written
from faasd_async.queue.jetstream.subjects import CALLS, piece_subject, queued_subject

MIB = 2**20
LAYOUT = Layout(
    calls_bytes=16 * MIB,
    callbacks_bytes=MIB,
    later_bytes=MIB,
    outcomes_bytes=MIB,
    dead_bytes=MIB,
    replicas=1,
    ack_wait_seconds=30.0,
)
REQUEST = QueueRequest("f", "q", CallKey("1", "0"), 7, b"/", [], b"")


class House:
    """A server with all streams, and a store on it."""

    def __init__(self, reactor: Any, nats: RealNats, client: NatsClient) -> None:
        self.reactor = reactor
        self.nats = nats
        self.jetstream = JetStream(client)
        self.store = Store(self.jetstream, Acknowledged(), Answering(reactor, client.flush))
        self.bodies = JetStreamBodies(reactor, self.store)

    def pause(self) -> None:
        """Nothing here is faster than the store."""

    def resume(self) -> None:
        """Nothing here is faster than the store."""

    async def stored(self) -> StoredBody:
        """A body of two pieces, which is held."""
        intake = self.bodies.begin("call", self)
        intake.write(bytes(200_000))
        return await self.nats.soon(intake.finish())

    async def put(self, body: StoredBody, call_id: str) -> None:
        """A call that owns a body."""
        request = replace(REQUEST, key=CallKey(call_id, "0"), body=body)
        prepared = await self.nats.soon(self.bodies.prepare_call(request))
        header_block, payload = first_written(prepared)
        subject = queued_subject("call", "q", "f", prepared.key).encode()
        put: Deferred[object] = Deferred()
        self.store.put_then(subject, header_block, payload, put.callback)
        assert await self.nats.soon(put) is None
        self.bodies.keep(body)

    async def sweep(self, *, alone: bool, later_seconds: float = 0.0) -> None:
        """Once."""
        sweep = BodySweep(
            self.reactor,
            self.store,
            self.bodies,
            alone=alone,
            now_seconds=lambda: time.time() + later_seconds,
        )
        await self.nats.soon(Deferred.fromCoroutine(sweep._sweep()))

    async def is_there(self, body: StoredBody) -> bool:
        pieces, size = self.bodies.open(body), 0
        try:
            while piece := await self.nats.soon(pieces.read()):
                size += len(piece)
        except BodyGone:
            return False
        return size == len(body)

    async def messages(self) -> int:
        return (await self.nats.soon(self.jetstream.stream_info(CALLS))).state.messages


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    house = House(reactor, nats, await nats.client())
    for stream in LAYOUT.streams:
        await nats.soon(house.jetstream.ensure_stream(stream))
    yield house
    await nats.end()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("alone", [True, False])
async def test_what_has_an_owner_or_is_held_stays(house: House, alone: bool) -> None:
    """However old it is; what has neither goes."""
    owned, held, left = [await house.stored() for _ in range(3)]
    await house.put(owned, "1")
    house.bodies.keep(left)
    await house.sweep(alone=alone, later_seconds=2 * GRACE_SECONDS)
    there = [await house.is_there(each) for each in (owned, held, left)]
    assert there == [True, True, False]


@pytest_twisted.ensureDeferred
async def test_what_is_spared_stays_for_so_long(house: House) -> None:
    """Its owner is away for a moment; by two orders at once, perhaps."""
    body = await house.stored()
    house.bodies.keep(body)
    first, second = house.bodies.spare([body]), house.bodies.spare(iter([body]))
    there = []
    for end in (first, second, lambda: None):
        await house.sweep(alone=True)
        there.append(await house.is_there(body))
        end()
    assert there == [True, True, False]


@pytest_twisted.ensureDeferred
async def test_the_end_of_a_body_goes_too(house: House) -> None:
    """Its beginning was removed, and the power was cut then."""
    body = await house.stored()
    house.bodies.keep(body)
    beginning = piece_subject(body.name, 0)
    await house.nats.soon(house.jetstream.purge_stream(CALLS, filter=beginning))
    assert await house.messages() == 1
    await house.sweep(alone=True)
    assert await house.messages() == 0


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("alone", [True, False])
async def test_a_body_whose_call_is_gone_goes_too(house: House, alone: bool) -> None:
    """With all that is noted of it."""
    body = await house.stored()
    await house.put(body, "1")
    await house.nats.soon(house.jetstream.purge_stream(CALLS, filter="faas.call.>"))
    await house.sweep(alone=alone, later_seconds=2 * GRACE_SECONDS)
    assert await house.messages() == 0


@pytest_twisted.ensureDeferred
async def test_a_call_of_the_same_name_does_not_own_the_body_of_another(house: House) -> None:
    """It names its own."""
    one, other = await house.stored(), await house.stored()
    await house.put(one, "1")
    await house.put(other, "1")
    await house.sweep(alone=True)
    assert [await house.is_there(each) for each in (one, other)] == [False, True]


@pytest_twisted.ensureDeferred
async def test_what_another_daemon_may_be_about_to_put_is_left_alone(house: House) -> None:
    """For an hour: its call may be on the way."""
    body = await house.stored()
    house.bodies.keep(body)
    await house.sweep(alone=False)
    assert await house.is_there(body)
    await house.sweep(alone=False, later_seconds=2 * GRACE_SECONDS)
    assert not await house.is_there(body)


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_not_whole_is_told_of(house: House) -> None:
    """It is never taken for the whole."""
    body = await house.stored()
    await house.nats.soon(
        house.jetstream.purge_stream(CALLS, filter=f"faas.body.call.{body.name}.0")
    )
    assert not await house.is_there(body)
