"""What is known of callbacks, with a real nats-server: told once, tried later, never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from test_jetstream_queue import CALLBACK, DIED, ENDED, KEEP, House, call, callback
from twisted.internet.defer import gatherResults

from faasd_async.call.ids import CallKey
from faasd_async.call.posting import Posting
from faasd_async.queue.jetstream.stored.callbacks import write_callback
from faasd_async.queue.jetstream.subjects import CALLBACK_CONSUMER, CALLBACKS, callback_subject
from faasd_async.settings import ResultSettings

KEY = CallKey("1", "0")
ONE = callback("1")

#: How many callbacks that wait must not be in the way of others: more than a consumer's usual
#: bound.
MANY = 11_000


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    """A running server."""
    house = House(reactor, tmp_path)
    await house.nats.start()
    yield house
    await house.end()


@pytest.mark.parametrize(
    ("keep", "why"),
    [(ResultSettings(keep_seconds=0), "unwanted"), (ResultSettings(max_bytes=4), "large")],
)
@pytest_twisted.ensureDeferred
async def test_a_result_that_is_not_kept_is_there_for_the_callback(
    house: House, keep: ResultSettings, why: Any
) -> None:
    """Whole, for the callback is made from it after a crash; and marked, for nobody else."""
    queue = await house.queue()
    request = call("1", callback=CALLBACK)
    assert await house.soon(queue.records.record_ending(request, ENDED, keep))
    found = await house.soon(queue.records.find_ending("f", KEY))
    assert found == replace(ENDED, withheld=why)


@pytest_twisted.ensureDeferred
async def test_a_result_that_is_kept_is_not_private(house: House) -> None:
    """Whether a callback is owed or not."""
    queue = await house.queue()
    request = call("1", callback=CALLBACK)
    assert await house.soon(queue.records.record_ending(request, ENDED, KEEP))
    assert await house.soon(queue.records.find_ending("f", KEY)) == ENDED


@pytest_twisted.ensureDeferred
async def test_a_result_nobody_is_told_is_not_kept(house: House) -> None:
    """A caller who wants to know of failures alone is owed nothing for a success."""
    queue = await house.queue()
    keep = ResultSettings(keep_seconds=0)
    for call_id, ending, body in (("1", ENDED, b""), ("2", DIED, b"no")):
        request = call(call_id, on_failure=CALLBACK)
        assert await house.soon(queue.records.record_ending(request, ending, keep))
        found = await house.soon(queue.records.find_ending("f", request.key))
        assert found is not None
        assert found.outcome.body == body


@pytest_twisted.ensureDeferred
async def test_what_was_tried_of_a_callback_is_kept(house: House) -> None:
    """The last note stands, through a crash of the server; each callback has its own."""
    queue = await house.queue()
    assert await house.soon(queue.records.find_posting(ONE.name)) is None
    tried = Posting("waiting", 2, 1_700_000_000_000_000_000, 0, "refused: caf\xe9")
    await house.soon(queue.records.note_posting(ONE.name, Posting(tries=1)))
    await house.soon(queue.records.note_posting(ONE.name, tried))
    await house.kill(queue)
    await house.nats.start()
    await house.connected(queue)
    assert await house.soon(queue.records.find_posting(ONE.name)) == tried
    for other in (replace(ONE, generation=1), replace(ONE, replays=1), callback("1", "g")):
        assert await house.soon(queue.records.find_posting(other.name)) is None


@pytest_twisted.ensureDeferred
async def test_a_callback_that_waits_is_not_put_again(house: House) -> None:
    """Though it was put so long ago that the server has forgotten the message's id."""
    queue = await house.queue()
    jetstream = await house.jetstream()
    fields, payload = write_callback(ONE)
    subject = callback_subject(ONE.name).encode()
    await house.soon(jetstream.publish(subject, payload, headers=fields))
    await house.soon(queue.put_callback(ONE))
    info = await house.soon(jetstream.stream_info(CALLBACKS))
    assert info.state.messages == 1


@pytest_twisted.ensureDeferred
async def test_a_callback_comes_back_when_it_is_due(house: House) -> None:
    """However long it was given back for: the server keeps the time, a crash included."""
    queue = await house.queue()
    taker = house.callback_taker(queue)
    await house.soon(queue.put_callback(ONE))
    await house.soon(queue.put_callback(callback("2")))
    first, second = await taker.next(), await taker.next()
    first.give_back(3600)
    second.give_back(1.5)
    again = await taker.next()
    assert again.parcel.key.call_id == "2"
    assert again.parcel.since_ns > 0
    again.settle()


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_takes_over_leaves_alone_what_waits(house: House) -> None:
    """What was in hand comes at once, what was put off for longer than a lease does not."""
    before = await house.queue(alone=True, lease_seconds=10)
    taker = house.callback_taker(before)
    await house.soon(before.put_callback(ONE))
    await house.soon(before.put_callback(callback("2")))
    first, _ = await taker.next(), await taker.next()
    first.give_back(3600)
    await house.close(before)
    after = await house.queue(alone=True, lease_seconds=10)
    came = await house.callback_taker(after).next()
    assert (came.parcel.key.call_id, came.delivered) == ("2", 2)
    jetstream = await house.jetstream()
    info = await house.soon(jetstream.consumer_info(CALLBACKS, CALLBACK_CONSUMER))
    assert info.num_ack_pending == 2


@pytest_twisted.ensureDeferred
async def test_those_that_wait_are_in_nobodys_way(house: House) -> None:
    """However many there are."""
    queue = await house.queue(callbacks_bytes=64 * 2**20)
    taker = house.callback_taker(queue)
    await gatherResults([queue.put_callback(callback(f"{number}")) for number in range(MANY)])
    for _ in range(MANY):
        (await taker.next()).give_back(3600)
        taker.more()
    await house.soon(queue.put_callback(callback("another")))
    assert (await taker.next()).parcel.key.call_id == "another"
