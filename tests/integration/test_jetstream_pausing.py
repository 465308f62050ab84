"""Pauses and backlog in JetStream, with a real nats-server."""

from __future__ import annotations

import pytest
import pytest_twisted
from test_jetstream_queue import House, call, house
from twisted.internet.defer import Deferred

from faasd_async.errors import QueueError
from faasd_async.queue.interface import Depth, OfFunction, OfQueue, Source
from faasd_async.queue.jetstream import JetStreamQueue, backlog
from faasd_async.queue.jetstream.subjects import CALLS, CONTROL, LATER, SECRET, pause_subject

__all__ = ["house"]

F, G, Q = OfFunction("f"), OfFunction("g"), OfQueue("q")


def changed(queue: JetStreamQueue) -> Deferred[None]:
    """Fires when the pauses have changed."""
    heard: Deferred[None] = Deferred()

    def hear() -> None:
        queue.pauses.when_changed = lambda: None
        heard.callback(None)

    queue.pauses.when_changed = hear
    return heard


async def depth(house: House, queue: JetStreamQueue, source: Source = F) -> Depth:
    (found,) = await house.soon(queue.backlog.depths([source]))
    return found


# -- pauses


@pytest_twisted.ensureDeferred
async def test_a_pause_is_known_where_it_was_ordered_and_everywhere_else(house: House) -> None:
    """Where it was ordered at once, elsewhere as soon as it is heard of."""
    one, other = await house.queue(), await house.queue()
    heard = changed(other)
    await house.soon(one.pauses.pause(F))
    assert one.pauses.sources == {F}
    await house.soon(heard)
    assert other.pauses.sources == {F}
    heard = changed(one)
    await house.soon(other.pauses.resume(F))
    await house.soon(heard)
    assert one.pauses.sources == frozenset()


@pytest_twisted.ensureDeferred
async def test_pauses_are_known_from_the_start(house: House) -> None:
    """Before anything is taken: what was ordered last counts."""
    queue = await house.queue()
    for source in (F, G, Q):
        await house.soon(queue.pauses.pause(source))
    await house.soon(queue.pauses.resume(G))
    await house.close(queue)
    assert (await house.queue()).pauses.sources == {F, Q}


@pytest_twisted.ensureDeferred
async def test_pauses_that_were_ordered_while_a_daemon_was_away(house: House) -> None:
    """It reads them when it has a connection again."""
    queue = await house.queue()
    await house.kill(queue)
    heard = changed(queue)
    await house.nats.start()
    other = await house.queue()
    await house.soon(other.pauses.pause(Q))
    await house.soon(heard)
    assert queue.pauses.sources == {Q}


@pytest_twisted.ensureDeferred
async def test_an_order_that_cannot_be_stored_changes_nothing(house: House) -> None:
    """Here or anywhere."""
    queue = await house.queue()
    await house.kill(queue)
    with pytest.raises(QueueError):
        await house.soon(queue.pauses.pause(F))
    assert queue.pauses.sources == frozenset()


@pytest_twisted.ensureDeferred
async def test_a_pause_that_cannot_be_read_keeps_nobody_from_starting(house: House) -> None:
    """The log says so; the others count."""
    queue = await house.queue()
    await house.soon(queue.pauses.pause(F))
    jetstream = await house.jetstream()
    for subject in (pause_subject(G), "faas.control.paused.moon.g"):
        await house.soon(jetstream.publish(subject.encode(), b"?"))
    assert (await house.queue()).pauses.sources == {F}


@pytest_twisted.ensureDeferred
async def test_pauses_end_with_the_stream_that_had_them(house: House) -> None:
    """Where it was deleted and made anew what stands there counts, though its sequences begin
    again; so does what was removed alone."""
    queue = await house.queue()
    for source in (F, G, Q):
        await house.soon(queue.pauses.pause(source))
    jetstream = await house.jetstream()
    await house.soon(jetstream.purge_stream(CONTROL, filter=pause_subject(G)))
    await house.soon(Deferred.fromCoroutine(queue.pauses.read()))
    assert queue.pauses.sources == {F, Q}
    secret = await house.soon(jetstream.get_last_message(CONTROL, SECRET))
    name = queue.keyed.name("f", b"key", b"/", b"")
    deleting = jetstream.ask(f"STREAM.DELETE.{CONTROL}", {})
    await house.soon(Deferred.fromCoroutine(deleting))
    await house.kill(queue)
    brought_up = changed(queue)
    await house.nats.start()
    await house.soon(brought_up)
    assert queue.pauses.sources == frozenset()
    other = await house.queue()
    await house.soon(other.pauses.pause(Q))
    await house.soon(Deferred.fromCoroutine(queue.pauses.read()))
    assert queue.pauses.sources == {Q}
    jetstream = await house.jetstream()
    again = await house.soon(jetstream.get_last_message(CONTROL, SECRET))
    assert again.payload == secret.payload
    assert other.keyed.name("f", b"key", b"/", b"") == name


# -- the backlog


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("taken", [True, False])
async def test_how_many_calls_there_are(house: House, taken: bool) -> None:
    """Those that were never handed out, and those that were; whether somebody takes them or not."""
    queue = await house.queue()
    await house.put(queue, *(call(f"{number}") for number in range(5)), call("g", "g"))
    if taken:
        taker = house.taker(queue, room=2)
        (await taker.next()).give_back(600)
        await taker.next()
    assert await depth(house, queue) == (Depth(3, 2) if taken else Depth(5, 0))
    assert await depth(house, queue, OfFunction("nobody")) == Depth(0, 0)


@pytest_twisted.ensureDeferred
async def test_how_many_calls_are_put_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """By queue and function, unless they are too many."""
    queue = await house.queue()
    for request in (call("1"), call("2"), call("3", "g"), call("4", queue="slow.er")):
        await house.soon(queue.put_later(request, 600))
    counted = await house.soon(queue.backlog.scheduled())
    assert counted == {("q", "f"): 2, ("q", "g"): 1, ("slow.er", "f"): 1}
    monkeypatch.setattr(backlog, "MOST_COUNTED", 3)
    assert await house.soon(queue.backlog.scheduled()) is None


@pytest_twisted.ensureDeferred
async def test_what_nobody_of_ours_has_put_off_is_not_counted(house: House) -> None:
    """And keeps nobody from being told of the others."""
    queue = await house.queue()
    await house.soon(queue.put_later(call("1"), 600))
    jetstream = await house.jetstream()
    await house.soon(jetstream.publish(b"faas.later.foreign", b"?"))
    assert (await house.soon(jetstream.stream_info(LATER))).state.messages == 2
    assert await house.soon(queue.backlog.scheduled()) == {("q", "f"): 1}


@pytest_twisted.ensureDeferred
async def test_how_old_the_oldest_call_is(house: House) -> None:
    """It is the first of its source that is left."""
    queue = await house.queue()
    await house.put(queue, call("0", "g"), call("1"), call("2"))
    jetstream = await house.jetstream()
    second = await house.soon(jetstream.get_next_message(CALLS, ">", 2))
    ages = await house.soon(queue.backlog.oldest_ns([F, OfFunction("nobody")]))
    assert ages[1] is None
    assert ages[0] == round(second.time.timestamp() * 1e9)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("source", [F, Q])
async def test_a_purge_takes_what_there_is_of_a_source(house: House, source: Source) -> None:
    """What waits, what is in hand, what is put off; and nothing else."""
    queue = await house.queue()
    other = "other" if source == Q else "q"
    await house.put(queue, *(call(f"{number}") for number in range(4)), call("5", "g", other))
    taker = house.taker(queue, room=1)
    in_hand = await taker.next()
    await house.soon(queue.put_later(call("later"), 600))
    assert await house.soon(queue.backlog.holds(in_hand.parcel))
    assert await house.soon(queue.backlog.purge(source)) == 5
    assert not await house.soon(queue.backlog.holds(in_hand.parcel))
    in_hand.settle()
    taker.more(10)
    await house.put(queue, call("new"))
    assert (await taker.next()).parcel.key.call_id == "new"
    assert await depth(house, queue, G) == Depth(1, 0)
    assert await house.soon(queue.backlog.scheduled()) == {}


@pytest_twisted.ensureDeferred
async def test_a_purged_call_that_is_given_back_stays_away(house: House) -> None:
    """There is nothing left to hand out."""
    queue = await house.queue()
    await house.put(queue, call("1"))
    taker = house.taker(queue, room=1)
    in_hand = await taker.next()
    await house.soon(queue.backlog.purge(F))
    in_hand.give_back()
    taker.more(10)
    await house.put(queue, call("2"))
    assert (await taker.next()).parcel.key.call_id == "2"


@pytest_twisted.ensureDeferred
async def test_a_lightened_delivery_can_be_given_back(house: House) -> None:
    """It has no body any more; the call comes whole again."""
    queue = await house.queue()
    await house.put(queue, call("1", body=b"body"))
    taker = house.taker(queue, room=1)
    delivery = await taker.next()
    delivery.lighten()
    assert (delivery.parcel.body, delivery.delivered) == (b"", 1)
    delivery.extend()
    taker.room += 1
    delivery.give_back()
    taker.subscription.top_up()
    again = await taker.next()
    assert (again.parcel.body, again.delivered) == (b"body", 2)


@pytest_twisted.ensureDeferred
async def test_what_is_withdrawn_is_left_to_others(house: House) -> None:
    """Calls that come later wait, until they are asked for again."""
    queue = await house.queue()
    taker = house.taker(queue, room=5)
    await house.put(queue, call("1"))
    await taker.next()
    taker.room = 0
    taker.subscription.withdraw()
    await house.put(queue, call("2"), call("3"))
    while await depth(house, queue) != Depth(2, 1):
        pass  # the broker counts a moment after it has answered
    taker.more(5)
    assert [(await taker.next()).delivered for _ in range(2)] == [1, 1]


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_away_is_no_empty_one(house: House) -> None:
    """Nobody is told that nothing waits because nobody could be asked."""
    queue = await house.queue()
    await house.kill(queue)
    for ask in (
        lambda: queue.backlog.depths([F, G]),
        lambda: queue.backlog.oldest_ns([F, G]),
        lambda: queue.backlog.scheduled(),
        lambda: queue.backlog.holds(call("1")),
        lambda: queue.backlog.purge(F),
    ):
        with pytest.raises(QueueError):
            await house.soon(ask())  # type: ignore[no-untyped-call]
