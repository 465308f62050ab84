"""Messages in our streams that nobody of ours has written, or that are broken."""

from __future__ import annotations

import pytest_twisted
from test_jetstream_queue import KEEP, House, call, callback, house
from twisted.internet.defer import Deferred

from faasd_async.call.ending import DeadLetter, Ending, SealedLetter
from faasd_async.call.ids import CallKey
from faasd_async.call.request import NOT_TRIED, Outcome
from faasd_async.nats.errors import NatsError
from faasd_async.nats.jetstream import JetStream, PubAck
from faasd_async.queue.interface import Selection
from faasd_async.queue.jetstream.subjects import CALLBACKS, CALLS, about_subject, queued_subject

__all__ = ["house"]

#: A header that does not follow the grammar.
BROKEN = b"NATS/1.0\r\nno colon\r\n\r\n"

UNREADABLE = Selection(reason="unreadable")

ENDED = Ending("succeeded", Outcome(200, [], b"done", 0.5), NOT_TRIED, 77)


def publish(
    house: House, jetstream: JetStream, subject: str, header_block: bytes = BROKEN
) -> Deferred[PubAck]:
    stored: Deferred[PubAck] = Deferred()

    def acknowledged(ack: PubAck | NatsError) -> None:
        if isinstance(ack, NatsError):
            stored.errback(ack)
        else:
            stored.callback(ack)

    jetstream.publish_then(subject.encode(), b"?", header_block, acknowledged)
    return house.soon(stored)


@pytest_twisted.ensureDeferred
async def test_a_broken_call_keeps_no_other_waiting(house: House) -> None:
    """It is a dead letter, whole, and its end is known, before its place is another's."""
    queue, jetstream = await house.queue(), await house.jetstream()
    broken = CallKey("broken", "0")
    await publish(house, jetstream, queued_subject("call", "q", "f", broken))
    await publish(house, jetstream, "faas.call.q.f.too.many.tokens")
    await house.put(queue, call("1"))
    taker = house.taker(queue, room=1)
    assert (await taker.next()).parcel.key.call_id == "1"
    assert (await house.soon(jetstream.stream_info(CALLS))).state.messages == 1
    page = await house.soon(queue.dead_letters.look_through(UNREADABLE, 0, 100))
    assert [(each.letter.function, each.letter.key.call_id) for each in page.letters] == [
        ("f", "broken"),
        ("unreadable", "FAAS_CALLS-2"),
    ]
    sealed = [each.letter for each in page.letters if isinstance(each.letter, SealedLetter)]
    assert [letter.message for letter in sealed] == [BROKEN + b"?"] * 2
    known = await house.soon(queue.lookup.find("broken"))
    assert known is not None
    assert known.ending is not None
    assert (known.ending.state, known.ending.reason) == ("dead", "unreadable")


@pytest_twisted.ensureDeferred
async def test_a_broken_callback_is_a_dead_letter(house: House) -> None:
    """Whole, as a call is; it says nothing of the end of its call."""
    queue, jetstream = await house.queue(), await house.jetstream()
    await publish(house, jetstream, about_subject("callback", "f", CallKey("broken", "0")))
    await house.soon(queue.put_callback(callback("1")))
    assert (await house.callback_taker(queue).until("1")).parcel.key.call_id == "1"
    info = await house.soon(jetstream.stream_info(CALLBACKS))
    while info.state.messages > 1:
        info = await house.soon(jetstream.stream_info(CALLBACKS))
    (filed,) = (await house.soon(queue.dead_letters.look_through(UNREADABLE, 0, 100))).letters
    assert (filed.letter.kind, filed.letter.key.call_id) == ("callback", "broken")
    assert await house.soon(queue.records.find_ending("f", CallKey("broken", "0"))) is None


@pytest_twisted.ensureDeferred
async def test_a_broken_record_is_none(house: House) -> None:
    """The call comes to its end as if it were not there, and the end stands in its place."""
    queue, jetstream = await house.queue(), await house.jetstream()
    request = call("1")
    for kind in ("outcome", "attempt"):
        await publish(house, jetstream, about_subject(kind, "f", request.key))
    records = queue.records
    assert await house.soon(records.find_ending("f", request.key)) is None
    assert await house.soon(records.find_history("f", request.key)) is None
    assert await house.soon(records.record_ending(request, ENDED, KEEP))
    assert await house.soon(records.find_ending("f", request.key)) == ENDED


@pytest_twisted.ensureDeferred
async def test_foreign_and_broken_dead_letters(house: House) -> None:
    """A foreign one is not seen; a broken one is shown as such; the others are as they were."""
    queue, jetstream = await house.queue(), await house.jetstream()
    letter = DeadLetter(call("1"), "failed", 500, "", 77)
    await publish(house, jetstream, "faas.dead.x.y.z.0.1")
    await publish(house, jetstream, queued_subject("dead", "q", "f", CallKey("broken", "0")))
    await publish(house, jetstream, "faas.dead-callback.q.f", b"")
    await house.soon(queue.dead_letters.put(letter))
    page = await house.soon(queue.dead_letters.look_through(Selection(), 0, 100))
    assert [filed.letter.key.call_id for filed in page.letters][-2:] == ["broken", "1"]
    assert page.letters[-1].letter == letter


@pytest_twisted.ensureDeferred
async def test_a_call_is_found_beside_foreign_subjects(house: House) -> None:
    """That are about the same id."""
    queue, jetstream = await house.queue(), await house.jetstream()
    await house.put(queue, call("1"))
    await publish(house, jetstream, "faas.callback.f.1.0.x.y", b"")
    await publish(house, jetstream, "faas.outcome.f.1.0.more", b"")
    known = await house.soon(queue.lookup.find("1"))
    assert known is not None
    assert known.place == "queue"


@pytest_twisted.ensureDeferred
async def test_a_broken_call_under_a_key(house: House) -> None:
    """It is passed over where a call may be repeated: its caller is not refused for ever."""
    queue, jetstream = await house.queue(), await house.jetstream()
    key = CallKey("1", "k1")
    await publish(house, jetstream, about_subject("outcome", "f", key))
    request = call("1", key=key, digest="d")
    assert await house.soon(queue.keyed.put(request)) is None
    repeated = await house.soon(queue.keyed.put(request))
    assert repeated is not None
    assert repeated.key == key
