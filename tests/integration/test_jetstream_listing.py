"""Calls in a list, read out of the streams of a real nats-server."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from test_jetstream_queue import House, call, house

from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.known import CallName
from faasd_async.call.request import Outcome
from faasd_async.nats.wire import decode_headers
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.subjects import OUTCOMES, about_subject
from faasd_async.queue.listing import BadPlace, CallPage, End, Listed, Wanted
from faasd_async.settings import ResultSettings

__all__ = ["house"]

TRIED = History((Attempt(5, 503, 0.5), Attempt(9, 200, 0.25)))
DONE = Ending("succeeded", Outcome(200, [], b"answer", 0.25), TRIED, 77)
FAILED = Ending("failed", Outcome(500, [], b"", 0.5), History((Attempt(5, 500, 0.5),)), 78)


async def end(
    house: House, queue: JetStreamQueue, call_id: str, ending: Ending = DONE, **changes: Any
) -> None:
    request = call(call_id, **changes)
    assert await house.soon(queue.records.record_ending(request, ending, ResultSettings()))


async def page(
    house: House,
    queue: JetStreamQueue,
    wanted: Wanted | None = None,
    after: str | None = None,
    limit: int = 100,
) -> CallPage:
    return await house.soon(queue.listing.page(wanted or Wanted(), after, limit))


async def ids(house: House, queue: JetStreamQueue, **which: Any) -> list[str]:
    return [each.name.key.call_id for each in (await page(house, queue, Wanted(**which))).calls]


@pytest_twisted.ensureDeferred
async def test_what_waits_and_what_has_ended_is_one_list(house: House) -> None:
    """The one that changed last first; by where it is, function, id and state; and a call that is
    in two streams is there once."""
    queue = await house.queue()
    await house.put(queue, call("1"), call("2", "g"))
    await end(house, queue, "3")
    await house.soon(queue.put_later(call("4"), 3600))
    await end(house, queue, "5", FAILED)
    await end(house, queue, "1")
    assert await ids(house, queue) == ["1", "5", "4", "3", "2"]
    assert await ids(house, queue, function="g") == ["2"]
    assert await ids(house, queue, call_id="3") == ["3"]
    assert await ids(house, queue, where=("later",)) == ["4"]
    assert await ids(house, queue, where=("ended",), states=("failed",)) == ["5"]
    assert await ids(house, queue, call_id="x" * 200) == []
    first, *_ = (await page(house, queue)).calls
    assert first == Listed(
        CallName("f", call("1").key), "q", 1, first.changed_ns, "ended", 2,
        End("succeeded", 200, 0.25, 2),
    )  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_pages_hold_each_call_once(house: House) -> None:
    """However small they are."""
    queue = await house.queue()
    for number in range(4):
        await house.put(queue, call(f"w{number}"))
        await end(house, queue, f"e{number}")
        await house.soon(queue.put_later(call(f"l{number}"), 3600))
    found: list[str] = []
    after = None
    while True:
        part = await page(house, queue, after=after, limit=5)
        assert len(part.calls) <= 5
        found += [each.name.key.call_id for each in part.calls]
        after = part.next
        if after is None:
            break
    assert found == [f"{kind}{number}" for number in (3, 2, 1, 0) for kind in "lew"]


@pytest_twisted.ensureDeferred
async def test_the_answers_of_those_that_have_ended_stay_where_they_are(house: House) -> None:
    """Their records come without what a function has answered."""
    queue = await house.queue()
    large = Ending("succeeded", Outcome(200, [], b"x" * 100_000, 0.25), TRIED, 77)
    for number in range(8):
        await end(house, queue, str(number), large)
    before = house.client_of(queue).statistics.in_bytes
    assert len((await page(house, queue)).calls) == 8
    assert house.client_of(queue).statistics.in_bytes - before < 50_000


@pytest_twisted.ensureDeferred
async def test_a_record_of_an_earlier_version_is_listed(house: House) -> None:
    """Its end does not stand in its headers, and is read out of it."""
    queue, jetstream = await house.queue(), await house.jetstream()
    await end(house, queue, "1")
    subject = about_subject("outcome", "f", call("1").key)
    stored = await house.soon(jetstream.get_last_message(OUTCOMES, subject))
    fields = [
        (name, value)
        for name, value in decode_headers(stored.header_block).pairs
        if name.startswith(b"Faas-") and name != b"Faas-End"
    ]
    await house.soon(jetstream.purge_stream(OUTCOMES))
    await house.soon(jetstream.publish(subject.encode(), stored.payload, headers=fields))
    (listed,) = (await page(house, queue)).calls
    assert (listed.end, listed.attempts) == (End("succeeded", 200, 0.25, 2), 2)


@pytest_twisted.ensureDeferred
async def test_attempts_that_were_noted_are_told(house: House) -> None:
    """Of a call that has gone back to the queue."""
    queue = await house.queue()
    await house.put(queue, call("1"))
    await house.soon(queue.records.note_history(call("1"), TRIED))
    (listed,) = (await page(house, queue)).calls
    assert (listed.where, listed.attempts, listed.end) == ("queue", 2, None)


@pytest.mark.parametrize("after", ["", "1", "1-2", "1-2-x", "1-2-3-4", "-1-2-3"])
@pytest_twisted.ensureDeferred
async def test_a_page_begins_where_one_has_ended(house: House, after: str) -> None:
    """Not anywhere."""
    queue = await house.queue()
    with pytest.raises(BadPlace):
        await page(house, queue, after=after)
