"""Dead letters, and what is known of calls, in a real JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from real_nats import RealNats
from twisted.internet.defer import Deferred, gatherResults

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadCallback, DeadLetter, Ending, SealedLetter
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.nats import NatsClient
from faasd_async.nats.errors import ConnectionDropped, NoResponders
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.interface import Page, Selection
from faasd_async.queue.jetstream.answering import Answering
from faasd_async.queue.jetstream.bodies import JetStreamBodies
from faasd_async.queue.jetstream.dead_letters import PAGE_BYTES, JetStreamDeadLetters
from faasd_async.queue.jetstream.durability import Acknowledged
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.records import JetStreamRecords
from faasd_async.queue.jetstream.store import Store
from faasd_async.queue.jetstream.subjects import DEAD, OUTCOMES
from faasd_async.settings import ResultSettings

MIB = 2**20
KEEP = ResultSettings()
EVERYTHING = Selection()
KEY = CallKey("1", "0")


class House:
    """A server with the streams of records and dead letters."""

    def __init__(self, nats: RealNats, client: NatsClient) -> None:
        self.nats = nats
        self.client = client
        self.jetstream = JetStream(client)
        store = Store(self.jetstream, Acknowledged(), Answering(client.clock, client.flush))
        bodies = JetStreamBodies(client.clock, store)
        self.letters = JetStreamDeadLetters(store, bodies, lambda: None)
        self.records = JetStreamRecords(
            store, lease_seconds=30.0, now_ns=lambda: 0, bodies=bodies, orphaned=lambda: None
        )

    async def build(self) -> None:
        layout = Layout(
            calls_bytes=MIB,
            callbacks_bytes=MIB,
            later_bytes=MIB,
            outcomes_bytes=MIB,
            dead_bytes=64 * MIB,
            replicas=1,
            ack_wait_seconds=30.0,
        )
        for stream in layout.streams:
            if stream.name in (DEAD, OUTCOMES):
                await self.jetstream.ensure_stream(stream)

    async def keep(self, *letters: DeadLetter | DeadCallback) -> None:
        """In this order."""
        kept = [
            self.letters.put_callback(each)
            if isinstance(each, DeadCallback)
            else self.letters.put(each)
            for each in letters
        ]
        await self.nats.soon(gatherResults(kept))

    async def page(self, *, after: int = 0, limit: int = 100, **wanted: Any) -> Page:
        return await self.nats.soon(self.letters.look_through(Selection(**wanted), after, limit))


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    """Its client listens to nothing any more after a test."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    client = await nats.client()
    house = House(nats, client)
    listening = len(client._subscriptions)
    await house.build()
    yield house
    assert len(client._subscriptions) == listening
    await nats.end()


def call(call_id: str = "1", function: str = "f", **changes: Any) -> QueueRequest:
    request = QueueRequest(function, "q", CallKey(call_id, "0"), 7, b"/", [], b"body")
    return replace(request, **changes)


def letter(call_id: str = "1", function: str = "f", **changes: Any) -> DeadLetter:
    reason = changes.pop("reason", "failed")
    return DeadLetter(call(call_id, function, **changes), reason, 500, "", 9)


def dead_callback(call_id: str = "1", function: str = "f") -> DeadCallback:
    url = parse(b"http://u:p@h/")
    callback = CallbackRequest(function, CallKey(call_id, "0"), url, [], b"answer")
    return DeadCallback(callback, "gone", 410, "", 3, 9)


def ids(page: Page) -> list[str]:
    return [filed.letter.key.call_id for filed in page.letters]


# -- letters


@pytest_twisted.ensureDeferred
async def test_letters_of_both_kinds_lie_together(house: House) -> None:
    """In the order they came, whole."""
    letters = [letter("1"), dead_callback("1"), letter("2", "g")]
    await house.keep(*letters)
    page = await house.page()
    assert [filed.letter for filed in page.letters] == letters
    assert page.next is None


@pytest_twisted.ensureDeferred
async def test_letters_are_told_apart(house: House) -> None:
    """Each filter finds its own, and purges them."""
    await house.keep(
        *(letter("1"), letter("2", "g"), dead_callback("3"), letter("4", reason="exhausted")),
        letter("1", key=CallKey("1", "x")),
    )
    filters: dict[tuple[tuple[str, str], ...], list[str]] = {
        (("function", "f"),): ["1", "3", "4", "1"],
        (("call_id", "1"),): ["1", "1"],
        (("call_id", "1"), ("accept", "x")): ["1"],
        (("kind", "callback"),): ["3"],
        (("reason", "failed"),): ["1", "2", "1"],
        (("function", "f"), ("reason", "failed")): ["1", "1"],
        (("function", "h"),): [],
    }
    for wanted, found in filters.items():
        assert ids(await house.page(**dict(wanted))) == found
    assert await house.letters.purge(Selection(reason="exhausted")) == 1
    assert await house.letters.purge(Selection(function="g")) == 1
    assert ids(await house.page()) == ["1", "3", "1"]
    assert await house.letters.purge(EVERYTHING) == 3
    assert ids(await house.page()) == []


@pytest_twisted.ensureDeferred
async def test_pages_follow_each_other(house: House) -> None:
    """One request a page; the last one says that it is the last, when it is full too."""
    await house.keep(*(letter(f"{number}") for number in range(6)))
    places, pages = 0, []
    for _ in range(3):
        asked = house.client.statistics.out_messages
        page = await house.page(after=places, limit=2)
        assert house.client.statistics.out_messages == asked + 1
        pages.append(ids(page))
        places = page.next or 0
    assert pages == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert places == 0


@pytest_twisted.ensureDeferred
async def test_pages_of_a_reason_follow_each_other(house: House) -> None:
    """What lies between is passed over, and read but once."""
    await house.keep(
        *(letter(f"{n}", reason="crashed" if n % 100 == 7 else "failed") for n in range(350))
    )
    asked = house.client.statistics.out_messages
    first = await house.page(limit=3, reason="crashed")
    assert house.client.statistics.out_messages == asked + 3
    assert first.next is not None
    rest = await house.page(after=first.next, limit=3, reason="crashed")
    assert [ids(first), ids(rest)] == [["7", "107", "207"], ["307"]]
    assert rest.next is None


@pytest_twisted.ensureDeferred
async def test_a_page_of_large_letters_is_shorter(house: House) -> None:
    """No more is held at a time than a page may take, however many were asked for."""
    body = b"x" * (MIB - 2**16)
    count = PAGE_BYTES // len(body) + 2
    await house.keep(*(letter(f"{number}", body=body) for number in range(count)))
    first = await house.page()
    assert 1 < len(first.letters) < count
    assert first.next is not None
    rest = await house.page(after=first.next)
    assert ids(first) + ids(rest) == [f"{number}" for number in range(count)]
    assert rest.next is None


@pytest_twisted.ensureDeferred
async def test_a_letter_that_cannot_be_read_is_in_its_place(house: House) -> None:
    """Of a newer version, of nobody's, with headers that are none: the others are read."""
    await house.keep(letter("1"))
    for subject, headers, payload in (
        (b"faas.dead.q.f.2.0", [(b"Faas-Format", b"99")], b"new"),
        (b"faas.dead-callback.-.f_2Eg.3.0", [], b"nobody's"),
    ):
        await house.jetstream.publish(subject, payload, headers=headers)
    house.client.publish(b"faas.dead.q.f.4.0", b"", headers=b"NATS/1.0\r\n b\xffad\r\n\r\n")
    await house.nats.soon(house.client.flush())
    await house.keep(letter("5"))
    page = await house.page()
    assert ids(page) == ["1", "2", "3", "4", "5"]
    sealed = [each.letter for each in page.letters if isinstance(each.letter, SealedLetter)]
    assert [(each.kind, each.function) for each in sealed] == [
        ("call", "f"),
        ("callback", "f.g"),
        ("call", "f"),
    ]
    assert "has format 99" in sealed[0].why
    assert "no Faas-Format" in sealed[1].why
    assert await house.letters.remove(page.letters[1].place)
    assert await house.letters.purge(EVERYTHING) == 4


@pytest_twisted.ensureDeferred
async def test_what_is_no_letter_at_all_is_in_nobodys_way(house: House) -> None:
    """Something that lies under another kind of subject in the same stream."""
    await house.jetstream.publish(b"faas.dead.x", b"")
    await house.keep(letter("1"))
    assert ids(await house.page()) == ["1"]


@pytest_twisted.ensureDeferred
async def test_a_letter_is_removed_from_its_place(house: House) -> None:
    """A younger one of the same call has another, and stays; what is gone was not there."""
    await house.keep(letter("1"))
    (old,) = (await house.page()).letters
    await house.keep(letter("1", generation=1))
    assert not await house.letters.remove(old.place)
    (young,) = (await house.page()).letters
    assert young.letter == letter("1", generation=1)
    assert young.place == await house.letters.newest()
    assert await house.letters.remove(young.place)
    assert not await house.letters.remove(young.place)
    assert ids(await house.page()) == []


@pytest_twisted.ensureDeferred
async def test_no_letter_is_given_when_the_server_dies(house: House) -> None:
    """The request fails, and nobody waits for its rest."""
    await house.keep(letter("1"))
    asked = house.letters.look_through(EVERYTHING, 0, 10)
    await house.nats.kill()
    with pytest.raises(QueueError):
        await house.nats.soon(asked)
    with pytest.raises(QueueError):
        await house.letters.look_through(EVERYTHING, 0, 10)


# -- several messages at a time


def messages(house: House, stream: str, *, count: int = 10) -> Deferred[Any]:
    return house.jetstream.get_messages(stream, "faas.>", 1, count=count, max_bytes=MIB)


@pytest_twisted.ensureDeferred
async def test_messages_come_as_they_were_stored(house: House) -> None:
    """With their own subject, headers and time, and how many more there are."""
    for number in (b"1", b"2", b"3"):
        await house.jetstream.publish(
            b"faas.dead.q.f.%b.0" % number, number, headers=[(b"A", b"b")]
        )
    batch = await house.nats.soon(messages(house, DEAD, count=2))
    stored = await house.jetstream.get_next_message(DEAD, ">", 1)
    assert [each.payload for each in batch.messages] == [b"1", b"2"]
    assert batch.pending == 1
    first = batch.messages[0]
    assert (first.subject, first.sequence, first.time) == (
        stored.subject,
        stored.sequence,
        stored.time,
    )
    assert first.headers.get(b"A") == b"b"


@pytest_twisted.ensureDeferred
async def test_no_messages(house: House) -> None:
    """An empty stream has none; of one that does not exist nobody answers."""
    assert await house.nats.soon(messages(house, DEAD)) == ([], 0)
    with pytest.raises(NoResponders):
        await house.nats.soon(messages(house, "NONE"))


@pytest_twisted.ensureDeferred
async def test_messages_of_a_server_that_dies(house: House) -> None:
    """What had come is not taken for the whole."""
    await house.keep(letter("1"))
    asked = messages(house, DEAD)
    await house.nats.kill()
    with pytest.raises(ConnectionDropped):
        await house.nats.soon(asked)


@pytest_twisted.ensureDeferred
async def test_messages_nobody_wants_any_more(house: House) -> None:
    """A request is cancelled; what still comes is dropped."""
    await house.keep(letter("1"))
    asked = messages(house, DEAD)
    asked.addErrback(lambda _: None)
    asked.cancel()
    assert ids(await house.page()) == ["1"]


# -- what is known of calls


def ending(status: int) -> Ending:
    return Ending("failed", Outcome(status, [], b"", 0.1), History(), 1)


@pytest_twisted.ensureDeferred
async def test_what_is_known_of_a_call_can_be_forgotten(house: House) -> None:
    """Its end and its attempts, and nobody else's; twice, too."""
    records = house.records
    for each in (call("1"), call("2"), call("1", "g")):
        await records.record_ending(each, ending(500), KEEP)
        await records.note_history(each, History())
    await records.forget("f", KEY)
    await records.forget("f", KEY)
    assert await records.find_ending("f", KEY) is None
    assert await records.find_history("f", KEY) is None
    for function, key in (("g", KEY), ("f", CallKey("2", "0"))):
        assert await records.find_ending(function, key) is not None
        assert await records.find_history(function, key) is not None
    assert await records.record_ending(call("1"), ending(200), KEEP)


@pytest_twisted.ensureDeferred
async def test_what_a_replay_left_behind_counts_for_nothing(house: House) -> None:
    """A power cut may bring back what had been forgotten: it is written over."""
    records = house.records
    again = call(generation=1)
    tried = History((Attempt(1, 503, 0.1),))
    await records.record_ending(call(), ending(500), KEEP)
    await records.note_history(call(), tried)
    assert await records.find_ending("f", KEY, 1) is None
    assert await records.find_history("f", KEY, 1) is None
    assert await records.record_ending(again, ending(200), KEEP)
    assert not await records.record_ending(again, ending(201), KEEP)
    assert not await records.record_ending(call(), ending(500), KEEP)
    found = await records.find_ending("f", KEY, 1)
    assert found is not None
    assert found.outcome.status == 200
