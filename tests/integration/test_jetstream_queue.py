"""The queue in JetStream, driven directly, with a real nats-server that also dies under it."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import pytest
import pytest_twisted
from msgspec.structs import replace
from real_nats import QUICK, RealNats
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults, succeed
from twisted.internet.task import LoopingCall

from faasd_async.call.callback_url import parse
from faasd_async.call.ending import DeadLetter, Ending, Withheld
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import (
    CallTooLarge,
    MaybeStored,
    QueueError,
    QueueFull,
    QueueUnavailable,
)
from faasd_async.nats import NatsClient
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.interface import (
    Delivery,
    OfFunction,
    OfQueue,
    Selection,
    Source,
    Subscription,
)
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.clocks import at_once
from faasd_async.queue.jetstream.durability import Acknowledged, Durability, Promise
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.subjects import CALLS, OUTCOMES
from faasd_async.settings import ResultSettings

MIB = 2**20
LONG_LEASE_SECONDS = 600.0
SHORT_LEASE_SECONDS = 0.25
OF_F = OfFunction("f")
KEEP = ResultSettings()
CALLBACK = parse(b"http://user:pass@caller/told?x")

Parcel = TypeVar("Parcel", QueueRequest, CallbackRequest)
T = TypeVar("T")


def call(call_id: str, function: str = "f", queue: str = "q", **changes: Any) -> QueueRequest:
    given: dict[str, Any] = {
        "function": function,
        "queue": queue,
        "key": CallKey(call_id, "0"),
        "start_time_ns": 1,
        "target": b"/",
        "headers": [],
        "body": b"",
    }
    return QueueRequest(**(given | changes))


class Taker(Generic[Parcel]):
    """Takes parcels, and has them in a line.

    :ivar room: how many more it takes.
    """

    def __init__(self, house: House, room: int) -> None:
        self._house = house
        self._line: DeferredQueue[Delivery[Parcel]] = DeferredQueue()
        self.room = room
        self.subscription: Subscription

    def take(self, delivery: Delivery[Parcel]) -> None:
        self.room -= 1
        self._line.put(delivery)

    async def next(self) -> Delivery[Parcel]:
        """The next one that comes."""
        return await self._house.soon(self._line.get())

    async def until(self, call_id: str) -> Delivery[Parcel]:
        """The next one of this call, others aside."""
        while (delivery := await self.next()).parcel.key.call_id != call_id:
            pass
        return delivery

    def more(self, count: int = 1) -> None:
        """Make room."""
        self.room += count
        self.subscription.top_up()


class House:
    """A server, and the queues that were opened on it."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        self._reactor = reactor
        self.nats = RealNats(reactor, directory)
        self._clients: dict[JetStreamQueue, NatsClient] = {}
        self._open: list[JetStreamQueue] = []

    async def queue(
        self,
        *,
        lease_seconds: float = LONG_LEASE_SECONDS,
        calls_bytes: int = MIB,
        later_bytes: int = MIB,
        callbacks_bytes: int = MIB,
        static: bool = False,
        alone: bool = False,
        durability: Durability | None = None,
        now_seconds: Callable[[], float] = time.time,
        when_believed: Callable[[float], Deferred[None]] = at_once,
    ) -> JetStreamQueue:
        """Open the queue, as another daemon would."""
        client = NatsClient(self._reactor, lambda: [self.nats.address], limits=QUICK)
        layout = Layout(
            calls_bytes=calls_bytes,
            callbacks_bytes=callbacks_bytes,
            later_bytes=later_bytes,
            outcomes_bytes=MIB,
            dead_bytes=MIB,
            replicas=1,
            ack_wait_seconds=lease_seconds,
        )
        queue = JetStreamQueue(
            self._reactor,
            client,
            layout,
            durability or Acknowledged(),
            static=static,
            alone=alone,
            largest_payload_bytes=8 * MIB,
            now_seconds=now_seconds,
            when_believed=when_believed,
        )
        self._clients[queue] = client
        self._open.append(queue)
        await self.soon(queue.start())
        return queue

    async def close(self, queue: JetStreamQueue) -> None:
        """The daemon of this queue is gone; what it has in hand is not settled."""
        self._open.remove(queue)
        await self.soon(queue.stop())

    def client_of(self, queue: JetStreamQueue) -> NatsClient:
        return self._clients[queue]

    async def jetstream(self) -> JetStream:
        """To look behind the queue."""
        return JetStream(await self.nats.client())

    def taker(
        self, queue: JetStreamQueue, source: Source = OF_F, room: int = 100
    ) -> Taker[QueueRequest]:
        """Take calls."""
        taker: Taker[QueueRequest] = Taker(self, room)
        taker.subscription = queue.take_calls(source, taker.take, lambda: taker.room)
        return taker

    def callback_taker(self, queue: JetStreamQueue) -> Taker[CallbackRequest]:
        """Take callbacks."""
        taker: Taker[CallbackRequest] = Taker(self, 100)
        taker.subscription = queue.take_callbacks(taker.take, lambda: taker.room)
        return taker

    async def put(self, queue: JetStreamQueue, *requests: QueueRequest) -> None:
        """Put calls in, one after the other."""
        for request in requests:
            await self.soon(queue.put_call(request))

    def connected(self, queue: JetStreamQueue) -> Deferred[None]:
        """Fires when a queue has a connection."""
        return self.soon(self._clients[queue].when_connected())

    def when_away(self, queue: JetStreamQueue) -> Deferred[None]:
        """Fires when a queue has noticed that it has no connection."""
        away: Deferred[None] = Deferred()
        forget = self._clients[queue].on_disconnected(lambda: away.callback(None))
        return self.soon(away).addBoth(lambda _: forget())

    async def kill(self, *queues: JetStreamQueue) -> None:
        """The server is gone, and these have noticed."""
        noticed = gatherResults([self.when_away(queue) for queue in queues])
        await self.nats.kill()
        await noticed

    async def shut_down(self, queue: JetStreamQueue) -> None:
        """The server ends in order: what it knows of deliveries is on its disk, which it need not
        be when it is killed right after them."""
        away = self.when_away(queue)
        self.nats.signal(signal.SIGTERM)
        await away
        await self.nats.kill()

    async def end(self) -> None:
        for queue in self._open:
            await self.soon(queue.stop())
        await self.nats.end()

    def soon(self, deferred: Deferred[T]) -> Deferred[T]:
        return self.nats.soon(deferred)


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    """A running server."""
    house = House(reactor, tmp_path)
    await house.nats.start()
    yield house
    await house.end()


# -- calls


@pytest_twisted.ensureDeferred
async def test_a_call_comes_out_as_it_was_put_in(house: House) -> None:
    """Every byte of it, for the first time."""
    queue = await house.queue()
    request = call(
        "an id/with.dots*>",
        "fig.let_2",
        "the queue",
        key=CallKey("an id/with.dots*>", "abc"),
        start_time_ns=1_700_000_000_123_456_789,
        target=b"/x%2Fy//z?q=%ff",
        headers=[(b"Nats-Rollup", b"all"), (b"b", b"\xff"), (b"A", b""), (b"b", b"2")],
        body=bytes(range(256)),
        callback=CALLBACK,
        history=History((Attempt(1, 503, 0.5, "caf\xe9 \u2026"),), 1, 2, 3),
        generation=4,
    )
    taker = house.taker(queue, OfFunction("fig.let_2"))
    await house.put(queue, request)
    delivery = await taker.next()
    assert delivery.parcel == request
    assert delivery.delivered == 1


@pytest_twisted.ensureDeferred
async def test_a_function_has_its_calls_whatever_queue_they_are_in(house: House) -> None:
    """And no other's."""
    queue = await house.queue()
    await house.put(queue, call("1", queue="a"), call("2", "g"), call("3", queue="b"))
    f, g = house.taker(queue), house.taker(queue, OfFunction("g"))
    assert [(await f.next()).parcel.key.call_id for _ in range(2)] == ["1", "3"]
    assert (await g.next()).parcel.key.call_id == "2"


@pytest_twisted.ensureDeferred
async def test_in_static_mode_a_queue_has_its_calls_in_their_order(house: House) -> None:
    """Whatever functions they are for, and no other queue's."""
    queue = await house.queue(static=True)
    functions = "fgffgghfg"
    await house.put(queue, call("else", queue="other"))
    await house.put(queue, *(call(f"{n}", name) for n, name in enumerate(functions)))
    taker = house.taker(queue, OfQueue("q"))
    came = [(await taker.next()).parcel for _ in functions]
    assert [(each.key.call_id, each.function) for each in came] == [
        (f"{n}", name) for n, name in enumerate(functions)
    ]


@pytest_twisted.ensureDeferred
async def test_no_more_come_than_there_is_room_for(house: House) -> None:
    """The rest is there for another daemon, untouched, until there is room."""
    one, other = await house.queue(), await house.queue()
    full = house.taker(one, room=1)
    await house.put(one, call("1"), call("2"), call("3"))
    assert (await full.next()).parcel.key.call_id == "1"
    elsewhere = await house.taker(other, room=1).next()
    assert (elsewhere.parcel.key.call_id, elsewhere.delivered) == ("2", 1)
    full.more()
    assert (await full.next()).parcel.key.call_id == "3"


@pytest.mark.parametrize("how", ["settle", "reject"])
@pytest_twisted.ensureDeferred
async def test_what_is_done_with_does_not_come_again(house: House, how: str) -> None:
    """Beside it another call's lease runs out, and that one does, counted."""
    queue = await house.queue(lease_seconds=SHORT_LEASE_SECONDS)
    taker = house.taker(queue)
    await house.put(queue, call("done"), call("left"))
    done, _ = [await taker.next() for _ in range(2)]
    if how == "settle":
        done.settle()
    else:
        done.reject("nobody can run it")
    for delivered in (2, 3):
        again = await taker.next()
        assert (again.parcel.key.call_id, again.delivered) == ("left", delivered)


@pytest_twisted.ensureDeferred
async def test_an_extended_lease_does_not_run_out(house: House) -> None:
    """While another call comes again and again."""
    queue = await house.queue(lease_seconds=SHORT_LEASE_SECONDS)
    taker = house.taker(queue)
    await house.put(queue, call("held"), call("left"))
    held, _ = [await taker.next() for _ in range(2)]
    extending = LoopingCall(held.extend)
    extending.start(SHORT_LEASE_SECONDS / 4)
    for delivered in (2, 3):
        again = await taker.next()
        assert (again.parcel.key.call_id, again.delivered) == ("left", delivered)
    extending.stop()
    assert (await taker.until("held")).delivered == 2


@pytest_twisted.ensureDeferred
async def test_what_is_given_back_comes_again(house: House) -> None:
    """At once or after its delay, and counted."""
    queue = await house.queue()
    taker = house.taker(queue)
    await house.put(queue, call("later"), call("sooner"), call("at once"))
    for delay in (0.2, 0.1, 0.0):
        (await taker.next()).give_back(delay)
    came = [await taker.next() for _ in range(3)]
    assert [each.parcel.key.call_id for each in came] == ["at once", "sooner", "later"]
    assert {each.delivered for each in came} == {2}


@pytest_twisted.ensureDeferred
async def test_what_is_settled_as_the_connection_ends_is_settled(house: House) -> None:
    """Nobody knows yet that the connection is gone, and what is said on it is lost. Nothing waits
    for the end of a lease for that, which is ten minutes here: neither what was given back, nor the
    removal of what is done."""
    queue, jetstream = await house.queue(), await house.jetstream()
    taker = house.taker(queue)
    await house.put(queue, call("done"), call("rejected"), call("given back"))
    done, rejected, given_back = [await taker.next() for _ in range(3)]
    connection = house.client_of(queue)._connection
    assert connection is not None
    connection.transport.abortConnection()
    assert house.client_of(queue).connected
    done.settle()
    rejected.reject("nobody can run it")
    given_back.give_back()
    again = await taker.next()
    assert (again.parcel.key.call_id, again.delivered) == ("given back", 2)
    # They were sent before it, and have been worked through.
    assert (await house.soon(jetstream.stream_info(CALLS))).state.messages == 1
    consumer = await house.soon(jetstream.consumer_info(CALLS, taker.subscription.name))
    assert consumer.num_ack_pending == 1


@pytest_twisted.ensureDeferred
async def test_calls_that_share_an_id_are_calls_of_their_own(house: House) -> None:
    """Settling one is not settling the others."""
    queue = await house.queue()
    taker = house.taker(queue)
    keys = [CallKey("shared", accept) for accept in "abc"]
    await house.put(queue, *(call("shared", key=key) for key in keys))
    came = [await taker.next() for _ in keys]
    assert [each.parcel.key for each in came] == keys
    came[0].settle()
    came[2].settle()
    came[1].give_back()
    again = await taker.next()
    assert (again.parcel.key, again.delivered) == (keys[1], 2)


@pytest_twisted.ensureDeferred
async def test_what_was_there_before_this_daemon_is_inherited(house: House) -> None:
    """What comes in while it takes is not."""
    before = await house.queue()
    await house.put(before, call("before"))
    await house.close(before)
    queue = await house.queue()
    taker = house.taker(queue)
    assert (await taker.next()).inherited
    await house.put(queue, call("after"))
    assert not (await taker.next()).inherited


@pytest_twisted.ensureDeferred
async def test_what_was_there_before_a_server_was_killed_is_inherited(house: House) -> None:
    """The server may have forgotten that it was handed out, and count from one again."""
    queue = await house.queue()
    taker = house.taker(queue, room=1)
    await house.put(queue, call("1"), call("2"))
    await taker.next()
    await house.kill(queue)
    await house.nats.start()
    taker.more(2)
    came = await taker.until("2")
    assert (came.inherited, came.left_behind) == (True, False)


@pytest_twisted.ensureDeferred
async def test_what_was_on_its_way_when_a_server_was_stopped_is_there_at_once(house: House) -> None:
    """The server has written down that it was handed out; nobody has it, and its lease is long.
    Nobody has gone away with it either."""
    queue = await house.queue(alone=True)
    taker = house.taker(queue, room=1)
    await house.put(queue, call("1"), call("2"))
    lost = await taker.next()
    await house.shut_down(queue)
    await house.nats.start()
    taker.more(2)
    again = await taker.next()
    assert again.parcel.key == lost.parcel.key
    assert (again.delivered, again.left_behind) == (2, False)


@pytest_twisted.ensureDeferred
async def test_what_is_no_call_is_dropped(house: House) -> None:
    """It is in nobody's way, and the server tells that it was."""
    queue, jetstream = await house.queue(), await house.jetstream()
    dropped: DeferredQueue[bytes] = DeferredQueue()
    jetstream.client.subscribe(
        b"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FAAS_CALLS.>",
        lambda message: dropped.put(message.payload),
    )
    await house.soon(jetstream.publish(b"faas.call.q.f.1.0", b"what is this?"))
    await house.put(queue, call("2"))
    assert (await house.taker(queue).next()).parcel.key.call_id == "2"
    assert b"unreadable" in await house.soon(dropped.get())


@pytest_twisted.ensureDeferred
async def test_a_call_of_a_later_version_is_left_in_the_queue(house: House) -> None:
    """It is in nobody's way, and stays whole."""
    queue, jetstream = await house.queue(), await house.jetstream()
    taker = house.taker(queue)
    head = [(b"Faas-Format", b"1000000")]
    await house.soon(jetstream.publish(b"faas.call.q.f.1.0", b"new ways", headers=head))
    await house.put(queue, call("2"))
    assert (await taker.next()).parcel.key.call_id == "2"
    kept = await house.soon(jetstream.get_last_message(CALLS, "faas.call.q.f.1.0"))
    assert kept.payload == b"new ways"


# -- what does not fit


@pytest_twisted.ensureDeferred
async def test_a_full_queue_refuses(house: House) -> None:
    """What is in it stays, and there is room again when it is settled."""
    queue = await house.queue(calls_bytes=64 * 1024)
    taker = house.taker(queue, room=1)
    large = b"x" * 40_000
    await house.put(queue, call("1", body=large))
    with pytest.raises(QueueFull):
        await house.put(queue, call("2", body=large))
    first = await taker.next()
    first.settle()
    taker.more()
    await house.put(queue, call("3"))
    assert (await taker.next()).parcel.key.call_id == "3"
    await house.put(queue, call("4", body=large))
    taker.more()
    assert (await taker.next()).parcel.key.call_id == "4"


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_too_large_is_refused(house: House) -> None:
    """What is sure to fit is what the broker says, once it has said it."""
    queue = await house.queue()
    assert queue.largest_call_bytes < MIB
    await house.put(queue, call("1", body=b"x" * (queue.largest_call_bytes // 2)))
    with pytest.raises(CallTooLarge) as caught:
        await house.put(queue, call("2", body=b"x" * 2 * MIB))
    assert caught.value.limit_bytes == MIB


# -- later


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_put_off_comes_after_its_delay(house: House) -> None:
    """As it was, for the first time; what is put in meanwhile does not wait for it."""
    queue = await house.queue()
    taker = house.taker(queue)
    later = call("later", body=b"whole", history=History((Attempt(1, 503, 0.5),)))
    began = time.time()
    await house.soon(queue.put_later(later, 0.4))
    await house.put(queue, call("now"))
    assert (await taker.next()).parcel.key.call_id == "now"
    came = await taker.next()
    assert time.time() - began >= 0.4
    assert (came.parcel, came.delivered, came.inherited) == (later, 1, False)


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_put_off_twice_comes_once(house: House) -> None:
    """Whoever put it off may not have lived to know; the later word stands."""
    queue = await house.queue()
    taker = house.taker(queue)
    for delay in (0.1, 0.2):
        await house.soon(queue.put_later(call("twice"), delay))
    await house.soon(queue.put_later(call("after"), 0.5))
    came = [(await taker.next()).parcel.key.call_id for _ in range(2)]
    assert came == ["twice", "after"]


@pytest_twisted.ensureDeferred
async def test_there_is_a_limit_to_what_is_put_off(house: House) -> None:
    """Beyond it nothing is stored."""
    queue = await house.queue(later_bytes=1000)
    await house.soon(queue.put_later(call("1", body=b"x" * 500), 600))
    with pytest.raises(QueueFull):
        await house.soon(queue.put_later(call("2", body=b"x" * 500), 600))


# -- durability


class Held(Acknowledged):
    """A disk that is not ready before the test says so."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self.promises: DeferredQueue[Promise] = DeferredQueue()

    def when_durable(self, promise: Promise) -> None:
        self._reactor.callLater(0, self.promises.put, promise)


@pytest_twisted.ensureDeferred
async def test_what_is_acknowledged_is_durable_enough_for_some(house: House) -> None:
    """There is nothing more to wait for."""
    queue = await house.queue(durability=Acknowledged())
    assert queue.when_durable().called


@pytest_twisted.ensureDeferred
async def test_a_call_is_promised_when_it_is_durable(house: House, reactor: Any) -> None:
    """Not when the broker has acknowledged it; a failure of the disk is told."""
    disk = Held(reactor)
    queue = await house.queue(durability=disk)
    stored = [queue.put_call(call(f"{number}")) for number in range(2)]
    told: list[None] = []
    stored[0].addCallback(told.append)
    promises = [await house.soon(disk.promises.get()) for _ in stored]
    assert told == []
    promises[0](None)
    promises[1](MaybeStored("the disk failed"))
    await house.soon(stored[0])
    with pytest.raises(MaybeStored):
        await house.soon(stored[1])


@pytest_twisted.ensureDeferred
async def test_who_writes_several_things_asks_the_disk_once(house: House, reactor: Any) -> None:
    """Records, callbacks and dead letters are there when the broker has them."""
    disk = Held(reactor)
    queue = await house.queue(durability=disk)
    assert await house.soon(queue.records.record_ending(call("1"), ENDED, KEEP))
    await house.soon(queue.records.note_history(call("1"), TRIED))
    await house.soon(queue.put_callback(callback("1")))
    await house.soon(queue.dead_letters.put(letter("1")))
    assert disk.promises.pending == []
    durable = queue.when_durable()
    (await house.soon(disk.promises.get()))(None)
    assert durable.called


# -- what is known of calls

TRIED = History((Attempt(1, 503, 0.5, "caf\xe9"), Attempt(2, 200, 0.25)), 1, 7, 9)
ENDED = Ending("succeeded", Outcome(201, [(b"A", b"\xff")], b"\0made", 0.25), TRIED, 5)
DIED = Ending("dead", Outcome(503, [], b"no", 0.5, "why"), TRIED, 6, "exhausted")


@pytest_twisted.ensureDeferred
async def test_the_first_ending_stands(house: House) -> None:
    """Whoever comes second is told so, another daemon too."""
    one, other = await house.queue(), await house.queue()
    assert await house.soon(one.records.record_ending(call("1"), ENDED, KEEP))
    assert not await house.soon(one.records.record_ending(call("1"), DIED, KEEP))
    assert not await house.soon(other.records.record_ending(call("1"), DIED, KEEP))
    assert await house.soon(other.records.find_ending("f", CallKey("1", "0"))) == ENDED


@pytest_twisted.ensureDeferred
async def test_whoever_is_called_is_told_whose_ending_stands(house: House) -> None:
    """As whoever waits is; a replayed call has an end of its own."""
    queue = await house.queue()

    def record(request: QueueRequest, ending: Ending) -> Deferred[bool | QueueError]:
        recorded: Deferred[bool | QueueError] = Deferred()
        queue.records.record_ending_then(request, ending, KEEP, recorded.callback)
        return recorded

    assert await house.soon(record(call("1"), ENDED)) is True
    assert await house.soon(record(call("1"), DIED)) is False
    assert await house.soon(record(call("1", generation=1), DIED)) is True
    assert await house.soon(queue.records.find_ending("f", CallKey("1", "0"))) == DIED
    await house.soon(queue.stop())
    assert isinstance(await house.soon(record(call("2"), DIED)), QueueUnavailable)


@pytest_twisted.ensureDeferred
async def test_of_many_writers_one_is_the_first(house: House) -> None:
    """Though all write at the same time."""
    queue = await house.queue()
    writing = [queue.records.record_ending(call("1"), DIED, KEEP) for _ in range(20)]
    first = [await house.soon(each) for each in writing]
    assert sorted(first) == [False] * 19 + [True]


@pytest_twisted.ensureDeferred
async def test_calls_that_share_an_id_end_apart(house: House) -> None:
    """As do those of other functions."""
    queue = await house.queue()
    assert await house.soon(queue.records.record_ending(call("1"), ENDED, KEEP))
    for other in (call("1", key=CallKey("1", "a")), call("1", "g")):
        assert await house.soon(queue.records.find_ending(other.function, other.key)) is None
        assert await house.soon(queue.records.record_ending(other, DIED, KEEP))


@pytest_twisted.ensureDeferred
async def test_a_clock_behind_the_servers_is_waited_for(house: House) -> None:
    """Before anything is taken or put off."""
    await house.soon((await house.queue()).put_call(call("1")))
    behind_seconds = 86400.0
    waits: list[float] = []

    def now_seconds() -> float:
        return time.time() - (0 if waits else behind_seconds)

    def wait(least_seconds: float) -> Deferred[None]:
        waits.append(least_seconds)
        return succeed(None)

    began_seconds = time.time()
    await house.queue(now_seconds=now_seconds, when_believed=wait)
    (least_seconds,) = waits
    assert began_seconds - 1 <= least_seconds <= time.time() + 1


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        (ResultSettings(keep_seconds=0), "unwanted"),
        (ResultSettings(keep_seconds=0, max_bytes=4), "unwanted"),
        (ResultSettings(max_bytes=4), "large"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_result_need_not_be_kept(house: House, keep: ResultSettings, why: Any) -> None:
    """That the call has ended, and how, is known all the same, and why there is no result."""
    queue = await house.queue()
    assert await house.soon(queue.records.record_ending(call("1"), ENDED, keep))
    found = await house.soon(queue.records.find_ending("f", CallKey("1", "0")))
    withheld = replace(ENDED.outcome, headers=[], body=b"")
    assert found == replace(ENDED, outcome=withheld, withheld=why)
    assert not await house.soon(queue.records.record_ending(call("1"), DIED, KEEP))


@pytest.mark.parametrize(
    ("keep_seconds", "lasts_seconds"), [(1, 86400), (86400, 86400), (172800, 172800)]
)
@pytest_twisted.ensureDeferred
async def test_that_a_call_has_ended_is_known_for_a_day(
    house: House, keep_seconds: float, lasts_seconds: int
) -> None:
    """However short its answer is kept: a lost acknowledgement is no second run. What is kept no
    longer is marked as private, and there for a callback alone."""
    queue = await house.queue()
    ended_ns = time.time_ns() - 10**10
    ending = replace(ENDED, ended_ns=ended_ns)
    keep = ResultSettings(keep_seconds=keep_seconds)
    assert await house.soon(queue.records.record_ending(call("1"), ending, keep))
    jetstream = await house.jetstream()
    stored = await house.soon(jetstream.get_last_message(OUTCOMES, "faas.outcome.>"))
    assert b"Nats-TTL: %ds" % lasts_seconds in stored.header_block
    found = await house.soon(queue.records.find_ending("f", CallKey("1", "0")))
    assert found == replace(ending, withheld="over" if keep_seconds == 1 else None)
    known = await house.soon(queue.lookup.find("1"))
    assert known is not None
    assert known.ending == found


@pytest_twisted.ensureDeferred
async def test_the_record_of_a_call_outlasts_long_leases(house: House) -> None:
    """It comes again after one of them."""
    queue = await house.queue(lease_seconds=86400)
    assert await house.soon(queue.records.record_ending(call("1"), ENDED, KEEP))
    jetstream = await house.jetstream()
    stored = await house.soon(jetstream.get_last_message(OUTCOMES, "faas.outcome.>"))
    assert b"Nats-TTL: 864000s" in stored.header_block


@pytest.mark.parametrize(("size", "why"), [(64 * 1024, None), (64 * 1024 + 1, "brief")])
@pytest_twisted.ensureDeferred
async def test_a_large_result_that_is_kept_for_seconds_is_not_kept(
    house: House, size: int, why: Withheld | None
) -> None:
    """It would lie on the disk for a day."""
    queue = await house.queue()
    outcome = replace(ENDED.outcome, body=b"x" * size)
    ending = replace(ENDED, outcome=outcome, ended_ns=time.time_ns())
    keep = ResultSettings(keep_seconds=59)
    assert await house.soon(queue.records.record_ending(call("1"), ending, keep))
    found = await house.soon(queue.records.find_ending("f", CallKey("1", "0")))
    assert found is not None
    assert (found.withheld, len(found.outcome.body)) == (why, 0 if why else size)


@pytest_twisted.ensureDeferred
async def test_the_last_history_stands(house: House) -> None:
    """Whoever noted it; of a call that nobody tried there is none."""
    one, other = await house.queue(), await house.queue()
    assert await house.soon(one.records.find_history("f", CallKey("1", "0"))) is None
    await house.soon(one.records.note_history(call("1"), History()))
    await house.soon(other.records.note_history(call("1"), TRIED))
    assert await house.soon(one.records.find_history("f", CallKey("1", "0"))) == TRIED
    assert await house.soon(one.records.find_ending("f", CallKey("1", "0"))) is None


def letter(call_id: str, function: str = "f", **changes: Any) -> DeadLetter:
    request = call(call_id, function, body=b"whole", history=TRIED, **changes)
    return DeadLetter(request, "exhausted", 503, "why: caf\xe9", 7)


async def letters_of(house: House, queue: JetStreamQueue, **selection: Any) -> list[DeadLetter]:
    """Those that are meant, in their order."""
    page = await house.soon(queue.dead_letters.look_through(Selection(**selection), 0, 1000))
    assert page.next is None
    return [cast("DeadLetter", filed.letter) for filed in page.letters]


@pytest_twisted.ensureDeferred
async def test_dead_letters_are_found_by_their_call_id(house: House) -> None:
    """All that share it, whatever function and queue they are of, whole; or one of these."""
    queue = await house.queue()
    shared = [
        letter("1"),
        letter("1", key=CallKey("1", "a")),
        letter("1", "g"),
        letter("1", queue="other"),
    ]
    for each in (letter("11"), *shared, letter("2")):
        await house.soon(queue.dead_letters.put(each))
    assert await letters_of(house, queue, call_id="1") == shared
    assert await letters_of(house, queue, call_id="1", accept="a") == [shared[1]]
    assert await letters_of(house, queue, call_id="1", function="g") == [shared[2]]
    assert await letters_of(house, queue, call_id="3") == []


@pytest_twisted.ensureDeferred
async def test_dead_letters_are_looked_through_in_pages(house: House) -> None:
    """Oldest first, of one function or of all, each page from where the last one ended."""
    queue = await house.queue()
    for number in range(5):
        each = letter(f"{number}", "g" if number == 1 else "f")
        await house.soon(queue.dead_letters.put(each))
    seen: list[str] = []
    sizes: list[int] = []
    place: int | None = 0
    while place is not None:
        page = await house.soon(queue.dead_letters.look_through(Selection(function="f"), place, 2))
        seen += [cast("DeadLetter", each.letter).request.key.call_id for each in page.letters]
        sizes.append(len(page.letters))
        place = page.next
    assert seen == ["0", "2", "3", "4"]
    assert max(sizes) == 2
    assert len(await letters_of(house, queue)) == 5


@pytest_twisted.ensureDeferred
async def test_a_later_letter_of_a_call_stands_over_an_earlier_one(house: House) -> None:
    """There is one, and it is the newest."""
    queue = await house.queue()
    for each in (letter("1"), letter("2"), replace(letter("1"), status=500)):
        await house.soon(queue.dead_letters.put(each))
    found = [(each.request.key.call_id, each.status) for each in await letters_of(house, queue)]
    assert found == [("2", 503), ("1", 500)]


@pytest_twisted.ensureDeferred
async def test_a_dead_letter_is_removed_alone(house: House) -> None:
    """Those that share its call id stay; a second time there is nothing to remove."""
    queue = await house.queue()
    for each in (letter("1"), letter("1", key=CallKey("1", "a"))):
        await house.soon(queue.dead_letters.put(each))
    page = await house.soon(queue.dead_letters.look_through(Selection(), 0, 1))
    assert await house.soon(queue.dead_letters.remove(page.letters[0].place))
    assert not await house.soon(queue.dead_letters.remove(page.letters[0].place))
    assert [each.request.key.accept for each in await letters_of(house, queue)] == ["a"]


# -- callbacks


def callback(call_id: str, function: str = "f", **changes: Any) -> CallbackRequest:
    key = CallKey(call_id, "0")
    headers = [(b"X-Call-Id", call_id.encode())]
    return replace(CallbackRequest(function, key, CALLBACK, headers, b"\0told"), **changes)


@pytest_twisted.ensureDeferred
async def test_a_callback_comes_out_as_it_was_put_in(house: House) -> None:
    """Its credentials too, and nobody who takes calls is given it."""
    queue = await house.queue()
    calls, callbacks = house.taker(queue), house.callback_taker(queue)
    await house.soon(queue.put_callback(callback("1")))
    await house.put(queue, call("2"))
    delivery = await callbacks.next()
    assert replace(delivery.parcel, since_ns=0) == callback("1")
    assert delivery.delivered == 1
    assert (await calls.next()).parcel.key.call_id == "2"


@pytest_twisted.ensureDeferred
async def test_a_callback_is_stored_once_for_each_call(house: House) -> None:
    """However often it is put; settled or not. Another call's, or a replay's, is another."""
    queue = await house.queue()
    taker = house.callback_taker(queue)
    await house.soon(queue.put_callback(callback("1")))
    await house.soon(queue.put_callback(callback("1")))
    (await taker.next()).settle()
    await house.soon(queue.put_callback(callback("1")))
    others = [
        callback("1", key=CallKey("1", "a")),
        callback("1", "g"),
        callback("1", body=b"replayed"),
    ]
    others[2] = replace(others[2], generation=1)
    for each in others:
        await house.soon(queue.put_callback(each))
    came = [(await taker.next()).parcel for _ in others]
    assert [(each.function, each.key, each.body) for each in came] == [
        (each.function, each.key, each.body) for each in others
    ]


# -- consumers


@pytest_twisted.ensureDeferred
async def test_a_functions_place_in_the_queue_is_kept(house: House) -> None:
    """While it is not deployed, and through daemons that never heard of it: what it had tried
    is counted when it is back."""
    before = await house.queue()
    taker = house.taker(before)
    await house.put(before, call("1"))
    first = await taker.next()
    taker.subscription.stop()
    first.give_back()
    await house.close(before)
    ignorant = await house.queue()
    house.taker(ignorant, OfFunction("g"))
    await house.put(ignorant, call("2"))
    jetstream = await house.jetstream()
    assert "faas-call-f" in await house.soon(jetstream.consumer_names(CALLS))
    back = house.taker(ignorant)
    came = sorted([await back.next() for _ in range(2)], key=lambda each: each.parcel.key)
    assert [(each.parcel.key.call_id, each.delivered) for each in came] == [("1", 2), ("2", 1)]


@pytest.mark.parametrize(("static", "source"), [(True, OF_F), (False, OfQueue("q"))])
@pytest_twisted.ensureDeferred
async def test_a_change_of_mode_loses_no_call(house: House, static: bool, source: Source) -> None:
    """The consumers of the other mode would be in the way, and go."""
    before = await house.queue(static=not static)
    house.taker(before, source, room=0)
    await house.put(before, call("1"))
    await house.close(before)
    queue = await house.queue(static=static)
    taker = house.taker(queue, OfQueue("q") if static else OF_F)
    assert (await taker.next()).parcel.key.call_id == "1"


@pytest_twisted.ensureDeferred
async def test_a_consumer_that_somebody_deletes_is_made_again(house: House) -> None:
    """The call in hand comes once more, as for the first time, and those that wait come too."""
    queue, jetstream = await house.queue(), await house.jetstream()
    taker = house.taker(queue)
    await house.put(queue, call("1"))
    await taker.next()
    await house.soon(jetstream.delete_consumer(CALLS, "faas-call-f"))
    await house.put(queue, call("2"))
    came = [await taker.next() for _ in range(2)]
    assert [(each.parcel.key.call_id, each.delivered) for each in came] == [("1", 1), ("2", 1)]


@pytest_twisted.ensureDeferred
async def test_who_stops_taking_takes_nothing_more(house: House) -> None:
    """What comes then goes, for the first time, to another daemon; what was handed over stays
    valid."""
    queue, other = await house.queue(), await house.queue()
    taker = house.taker(queue)
    await house.put(queue, call("1"))
    first = await taker.next()
    taker.subscription.stop()
    await house.put(queue, call("2"))
    elsewhere = house.taker(other)
    second = await elsewhere.next()
    assert (second.parcel.key.call_id, second.delivered) == ("2", 1)
    first.give_back()
    again = await elsewhere.next()
    assert (again.parcel.key.call_id, again.delivered) == ("1", 2)


# -- a server that goes, and comes back


@pytest_twisted.ensureDeferred
async def test_taking_goes_on_after_the_server_was_away(house: House) -> None:
    """What was in the queue is in it still, and nobody has to ask again."""
    queue = await house.queue()
    calls, callbacks = house.taker(queue), house.callback_taker(queue)
    await house.put(queue, call("1"))
    await calls.next()
    await house.kill(queue)
    assert not queue.ready
    await house.nats.start()
    await house.connected(queue)
    await house.put(queue, call("2"))
    await calls.until("2")
    await house.soon(queue.put_callback(callback("3")))
    await callbacks.until("3")
    assert queue.ready


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_sent_is_surely_not_stored(house: House) -> None:
    """Whoever puts something in while there is no connection is told at once."""
    queue = await house.queue()
    await house.kill(queue)
    asked: list[Deferred[Any]] = [
        queue.put_call(call("1")),
        queue.put_later(call("1"), 1),
        queue.put_callback(callback("1")),
        queue.records.find_ending("f", CallKey("1", "0")),
        queue.dead_letters.put(letter("1")),
        queue.dead_letters.look_through(Selection(), 0, 1),
        queue.dead_letters.remove(1),
    ]
    for putting in asked:
        with pytest.raises(QueueUnavailable):
            await house.soon(putting)


@pytest_twisted.ensureDeferred
async def test_what_was_under_way_may_be_stored(house: House) -> None:
    """The server went before it had answered."""
    queue = await house.queue()
    house.nats.signal(signal.SIGSTOP)
    asked: list[Deferred[Any]] = [
        queue.put_call(call("1")),
        queue.records.record_ending(call("1"), ENDED, KEEP),
    ]
    await house.kill(queue)
    for under_way in asked:
        with pytest.raises(MaybeStored):
            await house.soon(under_way)


@pytest_twisted.ensureDeferred
async def test_what_is_settled_while_the_server_is_away_is_settled(house: House) -> None:
    """As soon as there is a connection again: beside it another call comes again, not this one."""
    queue = await house.queue(lease_seconds=0.3)
    taker = house.taker(queue)
    await house.put(queue, call("settled"), call("rejected"), call("left"))
    settled, rejected, _ = [await taker.next() for _ in range(3)]
    await house.shut_down(queue)
    settled.settle()
    rejected.reject("never")
    settled.extend()
    await house.nats.start()
    for _ in range(2):
        assert (await taker.next()).parcel.key.call_id == "left"


@pytest_twisted.ensureDeferred
async def test_what_is_given_back_while_the_server_is_away_comes_again(house: House) -> None:
    """Long before its lease would have run out."""
    queue = await house.queue()
    taker = house.taker(queue)
    await house.put(queue, call("1"))
    first = await taker.next()
    await house.kill(queue)
    first.give_back()
    await house.nats.start()
    assert (await taker.next()).parcel.key.call_id == "1"


@pytest_twisted.ensureDeferred
async def test_what_is_known_of_calls_outlives_the_server(house: House) -> None:
    """Records, histories and dead letters."""
    queue = await house.queue()
    assert await house.soon(queue.records.record_ending(call("1"), ENDED, KEEP))
    await house.soon(queue.records.note_history(call("1"), TRIED))
    await house.soon(queue.dead_letters.put(letter("1")))
    await house.kill(queue)
    await house.nats.start()
    await house.connected(queue)
    key = CallKey("1", "0")
    assert await house.soon(queue.records.find_ending("f", key)) == ENDED
    assert await house.soon(queue.records.find_history("f", key)) == TRIED
    assert await letters_of(house, queue) == [letter("1")]
    assert not await house.soon(queue.records.record_ending(call("1"), DIED, KEEP))


@pytest_twisted.ensureDeferred
async def test_a_queue_may_be_started_before_its_server(house: House) -> None:
    """It is ready as soon as that is."""
    await house.nats.kill()
    starting = Deferred.fromCoroutine(house.queue())
    await house.nats.start()
    queue = await house.soon(starting)
    assert queue.ready


# -- a daemon that goes, and one that comes after it


@pytest_twisted.ensureDeferred
async def test_what_a_daemon_left_in_flight_is_there_at_once(house: House) -> None:
    """For the one that comes after it, alone: calls and callbacks, with their count. Leases are
    as long as ever then, those of functions too that nobody has deployed yet."""
    before = await house.queue()
    await house.put(before, call("1"), call("2", "g"), call("4", "undeployed"))
    await house.soon(before.put_callback(callback("3")))
    for function in ("f", "g", "undeployed"):
        await house.taker(before, OfFunction(function)).next()
    await house.callback_taker(before).next()
    await house.close(before)
    after = await house.queue(alone=True)
    takers: list[Taker[Any]] = [
        house.taker(after),
        house.taker(after, OfFunction("g")),
        house.callback_taker(after),
    ]
    came = [await taker.next() for taker in takers]
    assert [each.parcel.key.call_id for each in came] == ["1", "2", "3"]
    assert {(each.delivered, each.left_behind) for each in came} == {(2, True)}
    jetstream = await house.jetstream()
    info = await house.soon(jetstream.consumer_info(CALLS, "faas-call-undeployed"))
    assert info.config.ack_wait == LONG_LEASE_SECONDS * 1e9


@pytest_twisted.ensureDeferred
async def test_a_daemon_beside_others_leaves_their_calls_alone(house: House) -> None:
    """What is in flight is theirs; what is put in is anybody's."""
    one = await house.queue()
    await house.put(one, call("1"))
    await house.taker(one, room=1).next()
    other = await house.queue(alone=False)
    taker = house.taker(other)
    await house.put(one, call("2"))
    assert (await taker.next()).parcel.key.call_id == "2"


@pytest_twisted.ensureDeferred
async def test_what_is_settled_just_before_a_stop_is_settled(house: House) -> None:
    """It is sent before the connection is closed."""
    before = await house.queue(lease_seconds=SHORT_LEASE_SECONDS)
    taker = house.taker(before)
    await house.put(before, call("settled"), call("left"))
    settled, _ = [await taker.next() for _ in range(2)]
    settled.settle()
    await house.close(before)
    assert not before.ready
    after = await house.queue(lease_seconds=SHORT_LEASE_SECONDS)
    taker = house.taker(after)
    for _ in range(2):
        assert (await taker.next()).parcel.key.call_id == "left"
