"""The queue behind NATS Streaming, driven directly: a real nats-server with JetStream, and on it
the tests' own NATS Streaming server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from real_nats import QUICK, RealNats
from recorded_stan import RECORDED
from stan_double import StanDouble, Store
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    DeferredQueue,
    TimeoutError,
    gatherResults,
)
from twisted.internet.task import Clock, LoopingCall

from faasd_async.call import callback_url
from faasd_async.call.ending import Ending
from faasd_async.call.headers import first
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import MaybeStored, QueueError, QueueUnavailable, StartError
from faasd_async.nats import NatsClient
from faasd_async.nats.stan import StanClient, StanLimits
from faasd_async.queue.interface import Delivery, OfQueue, Selection
from faasd_async.queue.jetstream.durability import Acknowledged, Durability, Promise
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.streaming import Channels, StreamingQueue
from faasd_async.settings import ResultSettings

MIB = 2**20
EAGER = StanLimits(first_delay_seconds=0.01, longest_delay_seconds=0.02, publish_seconds=0.2)
DEFAULT = OfQueue("default")
ACK_WAIT_SECONDS = 30
VARIANTS = (RECORDED / "queue-request-variants.jsonl").read_bytes().splitlines()


def call(call_id: str, **changes: Any) -> QueueRequest:
    given: dict[str, Any] = {
        "function": "f",
        "queue": "default",
        "key": CallKey(call_id, "0"),
        "start_time_ns": 1_795_485_537_682_173_779,
        "target": b"/a%2Fb?x=1",
        "headers": [
            (b"X-Call-Id", call_id.encode()),
            (b"X-Start-Time", b"1795485537682173779"),
        ],
        "body": b"body",
    }
    return QueueRequest(**(given | changes))


class Taker:
    """A worker: takes calls, and has them in a line."""

    def __init__(self, house: House, queue: StreamingQueue, source: OfQueue, room: int) -> None:
        self._house = house
        self._line: DeferredQueue[Delivery[QueueRequest]] = DeferredQueue()
        self.room = room
        self.subscription = queue.take_calls(source, self._take, lambda: self.room)

    def _take(self, delivery: Delivery[QueueRequest]) -> None:
        self.room -= 1
        self._line.put(delivery)

    async def next(self) -> Delivery[QueueRequest]:
        return await self._house.nats.soon(self._line.get())

    @property
    def waiting(self) -> int:
        return len(self._line.pending)


class Gate(Acknowledged):
    """A disk that takes its time: nothing is durable before it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Promise] | None = []

    def when_durable(self, promise: Promise) -> None:
        if self._waiting is None:
            super().when_durable(promise)
        else:
            self._waiting.append(promise)

    def open(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for promise in waiting:
            promise(None)


class House:
    """A server, NATS Streaming on it, and the queues that were opened there.

    :ivar clock: counts NATS Streaming's ack waits.
    """

    def __init__(self, reactor: Any, directory: Path) -> None:
        self.reactor = reactor
        self.nats = RealNats(reactor, directory)
        self.clock = Clock()
        self.double: StanDouble
        self._open: list[StreamingQueue] = []

    async def serve(self, store: Store) -> None:
        self.double = StanDouble(await self.nats.client(), self.clock, store)
        self.double.start()

    def make(
        self,
        name: str = "me",
        *,
        ahead: int = 10,
        lease_seconds: float = 600.0,
        durability: Durability | None = None,
    ) -> StreamingQueue:
        def client() -> NatsClient:
            return NatsClient(self.reactor, lambda: [self.nats.address], limits=QUICK)

        layout = Layout(
            calls_bytes=64 * MIB,
            callbacks_bytes=MIB,
            later_bytes=MIB,
            outcomes_bytes=MIB,
            dead_bytes=MIB,
            replicas=1,
            ack_wait_seconds=lease_seconds,
        )
        queue = StreamingQueue(
            self.reactor,
            client(),
            layout,
            durability or Acknowledged(),
            stan=StanClient(self.reactor, client(), "faas-cluster", name, EAGER),
            channels=Channels(
                channel="faas-request",
                group="faas",
                namespace="openfaas-fn",
                ack_wait_seconds=ACK_WAIT_SECONDS,
                ahead=ahead,
                refuse_callback=lambda url: "not there" if url.host == "evil" else None,
            ),
            static=True,
            alone=False,
            largest_payload_bytes=MIB,
            now_seconds=time.time,
        )
        self._open.append(queue)
        return queue

    async def queue(self, name: str = "me", **options: Any) -> StreamingQueue:
        """:param options: as for :meth:`make`."""
        queue = self.make(name, **options)
        await self.nats.soon(queue.start())
        return queue

    def taker(self, queue: StreamingQueue, *, source: OfQueue = DEFAULT, room: int = 100) -> Taker:
        return Taker(self, queue, source, room)

    def channel(self, name: str = "faas-request") -> list[Any]:
        """The messages in a channel."""
        return [json.loads(data) for data, _ in self.double.store.channels.get(name, ())]

    async def publish(self, data: bytes, channel: str = "faas-request") -> None:
        """As OpenFaaS' gateway does."""
        nats = NatsClient(self.reactor, lambda: [self.nats.address], limits=QUICK)
        gateway = StanClient(self.reactor, nats, "faas-cluster", "faas-publisher-vm", EAGER)
        await self.nats.soon(gateway.start())
        stored: Deferred[Any] = Deferred()
        gateway.publish_then(channel, data, stored.callback)
        assert await self.nats.soon(stored) is None
        await self.nats.soon(gateway.stop())

    async def die_and_come_back(self) -> None:
        """NATS and NATS Streaming, with what they had stored."""
        store = self.double.store
        await self.nats.kill()
        self.double.kill()
        await self.nats.start()
        await self.serve(store)

    def session(self, queue: StreamingQueue) -> Deferred[None]:
        """Fires when there is one with NATS Streaming, and JetStream is there, too."""
        opened: Deferred[None] = Deferred()

        def look() -> None:
            if queue.ready and not opened.called:
                opened.callback(None)

        polling = LoopingCall(look)
        polling.start(0.01)
        opened.addBoth(lambda result: polling.stop() or result)
        return self.nats.soon(opened)

    async def acked(self, count: int) -> None:
        await self.double.when(lambda: len(self.double.acked) >= count)

    async def end(self) -> None:
        for queue in self._open:
            await self.nats.soon(queue.stop())
        await self.nats.end()


def put(queue: StreamingQueue, request: QueueRequest) -> Deferred[None]:
    """As the gateway does."""
    stored: Deferred[None] = Deferred()

    def done(reason: QueueError | None) -> None:
        if reason is None:
            stored.callback(None)
        else:
            stored.errback(reason)

    queue.put_call_then(request, done)
    return stored


@pytest_twisted.async_yield_fixture
async def house(reactor: Any, tmp_path: Path) -> AsyncIterator[House]:
    built = House(reactor, tmp_path)
    await built.nats.start()
    await built.serve(Store())
    yield built
    await built.end()
    built.double.kill()


@pytest_twisted.ensureDeferred
async def test_a_call_goes_through_nats_streaming(house: House) -> None:
    """In OpenFaaS' form, and comes out as it was."""
    queue = await house.queue()
    request = call("one", callback=callback_url.parse(b"http://u:p@h/x"))
    request = replace(request, headers=[(b"X-Callback-Url", b"http://u:p@h/x"), *request.headers])
    await put(queue, request)
    (message,) = house.channel()
    assert (message["Function"], message["QueryString"]) == ("f", "x=1")
    delivery = await house.taker(queue).next()
    assert replace(delivery.parcel, headers=()) == replace(request, headers=())
    assert sorted(delivery.parcel.headers) == sorted(request.headers)
    await house.acked(1)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("written", VARIANTS[:5])
async def test_a_call_that_openfaas_accepted_comes_out(house: House, written: bytes) -> None:
    """The recorded messages, published by somebody else."""
    await house.publish(written)
    delivery = await house.taker(await house.queue()).next()
    assert delivery.parcel.function == json.loads(written)["Function"]
    call_id = json.loads(written)["Header"]["X-Call-Id"][0].encode()
    assert first(delivery.parcel.headers, b"x-call-id") == call_id


@pytest_twisted.ensureDeferred
async def test_a_call_longer_than_the_ack_wait_is_handed_out_once(house: House) -> None:
    """It was acknowledged when JetStream had it, and what it takes is no business of NATS
    Streaming's any more."""
    queue = await house.queue()
    taker = house.taker(queue)
    await put(queue, call("long"))
    delivery = await taker.next()
    await house.acked(1)
    for _ in range(5):
        house.clock.advance(ACK_WAIT_SECONDS)
    await put(queue, call("another"))
    assert (await taker.next()).parcel.key.call_id == "another"
    assert [sequence for _, sequence, _ in house.double.given] == [1, 2]
    delivery.settle()


@pytest_twisted.ensureDeferred
async def test_a_call_that_comes_again_while_it_runs_runs_once(house: House) -> None:
    """Its acknowledgement was lost: the next one is sent without handing it out."""
    queue = await house.queue()
    taker = house.taker(queue)
    house.double.hears_acks = False
    await put(queue, call("one"))
    await taker.next()
    await house.double.when(lambda: len(house.double.given) == 1)
    house.double.hears_acks = True
    house.clock.advance(ACK_WAIT_SECONDS)
    await house.acked(1)
    await put(queue, call("two"))
    assert (await taker.next()).parcel.key.call_id == "two"


@pytest_twisted.ensureDeferred
async def test_a_session_that_is_lost_while_calls_are_brought_in(house: House) -> None:
    """They come again in the next one before they are in JetStream, and are acknowledged there: no
    place in flight stays taken, and what stands behind them comes without waiting for the end of
    an ack wait."""
    gate = Gate()
    queue = await house.queue(ahead=10, durability=gate)
    taker = house.taker(queue)
    for number in range(10):
        await put(queue, call(f"call-{number}"))
    found = {(await taker.next()).parcel.key.call_id for _ in range(10)}
    assert house.double.acked == []
    house.double.forget_client("me")
    with pytest.raises(QueueUnavailable):
        await put(queue, call("refused"))
    await house.double.when(lambda: len(house.double.given) == 20)
    await house.nats.soon(house.session(queue))
    # What is told of it comes behind what came again.
    await put(queue, call("behind"))
    gate.open()
    await house.acked(11)
    assert len(found) == 10
    assert (await taker.next()).parcel.key.call_id == "behind"


@pytest_twisted.ensureDeferred
async def test_a_call_that_comes_again_after_its_end_does_not_run_again(house: House) -> None:
    """Its record is found."""
    queue = await house.queue()
    taker = house.taker(queue)
    house.double.hears_acks = False
    await put(queue, call("one"))
    delivery = await taker.next()
    ending = Ending("succeeded", Outcome(200, (), b"", 0.1), History(), 1)
    await queue.records.record_ending(delivery.parcel, ending, ResultSettings())
    delivery.settle()
    house.double.hears_acks = True
    house.clock.advance(ACK_WAIT_SECONDS)
    await house.acked(1)
    await put(queue, call("two"))
    assert (await taker.next()).parcel.key.call_id == "two"


@pytest_twisted.ensureDeferred
async def test_one_id_twice_is_two_calls(house: House) -> None:
    """As OpenFaaS' gateway lets them through."""
    written = VARIANTS[3]
    await house.publish(written)
    await house.publish(written)
    taker = house.taker(await house.queue())
    found = [await taker.next(), await taker.next()]
    assert {each.parcel.key.call_id for each in found} == {"my-own-id"}
    assert len({each.parcel.key for each in found}) == 2


@pytest_twisted.ensureDeferred
async def test_a_retry_waits_in_jetstream(house: House) -> None:
    """Given back, it comes again from there, with what was tried of it."""
    queue = await house.queue()
    taker = house.taker(queue)
    await put(queue, call("one"))
    delivery = await taker.next()
    await queue.records.note_history(delivery.parcel, History((Attempt(1, 503, 0.1),)))
    taker.room = 1
    delivery.give_back()
    again = await taker.next()
    noted = await queue.records.find_history("f", again.parcel.key)
    assert again.delivered == 2
    assert noted is not None
    assert [attempt.status for attempt in noted.attempts] == [503]
    assert len(house.double.given) == 1


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "changes",
    [
        {"expires_ns": 2**62},
        {"max_attempts": 1},
        {"on_failure": callback_url.parse(b"http://h/x")},
        {"digest": "d"},
        {"generation": 1},
        {"history": History((Attempt(1, 503, 0.1),))},
        {"body": bytes(800 * 1024)},
    ],
)
async def test_what_openfaas_form_cannot_hold_is_kept_in_jetstream(
    house: House, changes: dict[str, Any]
) -> None:
    """It is handed out all the same, and nothing of it is lost."""
    queue = await house.queue()
    request = call("one", **changes)
    await put(queue, request)
    assert house.channel() == []
    assert (await house.taker(queue).next()).parcel == request


@pytest_twisted.ensureDeferred
async def test_every_queue_has_a_channel(house: House) -> None:
    """Of its own name, which the message says too; ``default`` has the one of the settings."""
    queue = await house.queue()
    await put(queue, call("one", queue="slow"))
    (message,) = house.channel("slow")
    assert message["QueueName"] == "slow"
    delivery = await house.taker(queue, source=OfQueue("slow")).next()
    assert delivery.parcel.queue == "slow"


@pytest_twisted.ensureDeferred
async def test_what_is_no_call_is_dropped(house: House) -> None:
    """Told in the log, and out of the way of what comes behind it."""
    await house.publish(b"nonsense")
    await house.publish(VARIANTS[1])
    delivery = await house.taker(await house.queue()).next()
    assert delivery.parcel.function == "echo"
    await house.acked(2)


@pytest_twisted.ensureDeferred
async def test_a_callback_goes_where_it_may(house: House) -> None:
    """OpenFaaS' gateway asks nobody; the call runs, and has no callback."""
    fields = json.loads(VARIANTS[1])
    fields["Header"]["X-Callback-Url"] = ["http://evil/latest/meta-data"]
    fields["CallbackUrl"] = {"Scheme": "http", "Host": "evil", "Path": "/latest/meta-data"}
    await house.publish(json.dumps(fields).encode())
    delivery = await house.taker(await house.queue()).next()
    assert delivery.parcel.callback is None


@pytest_twisted.ensureDeferred
async def test_nobody_takes_more_than_could_soon_run(house: House) -> None:
    """What waits beyond that is the other members'."""
    queue = await house.queue(ahead=2)
    for number in range(5):
        await put(queue, call(f"call-{number}"))
    taker = house.taker(queue, room=0)
    await house.acked(2)
    other = house.taker(await house.queue("other"), room=10)
    # JetStream hands out what the first has brought in, NATS Streaming what it has not.
    found = [(await other.next()).parcel.key.call_id for _ in range(3)]
    assert len(set(found)) == 3
    assert taker.waiting == 0


@pytest_twisted.ensureDeferred
async def test_a_refused_call_was_not_stored(house: House) -> None:
    """The gateway says 503."""
    queue = await house.queue()
    house.double.refuses = "stan: channel full"
    with pytest.raises(QueueUnavailable, match="channel full"):
        await put(queue, call("one"))


@pytest_twisted.ensureDeferred
async def test_a_call_that_nobody_acknowledges_may_be_stored(house: House) -> None:
    """The gateway says 504."""
    queue = await house.queue()
    house.double.acknowledges = False
    with pytest.raises(MaybeStored):
        await house.nats.soon(put(queue, call("one")))


@pytest_twisted.ensureDeferred
async def test_without_nats_streaming_nothing_is_accepted(house: House) -> None:
    """At once, not after a while of waiting; and again as soon as it is back."""
    queue = await house.queue()
    taker = house.taker(queue)
    store = house.double.store
    await house.double.leave()
    with pytest.raises(QueueUnavailable):
        await house.nats.soon(put(queue, call("lost")))
    assert not queue.ready
    back: Deferred[None] = Deferred()
    queue._stan.on_open(lambda: back.callback(None))
    await house.serve(store)
    await house.nats.soon(back)
    assert queue.ready
    await put(queue, call("one"))
    assert (await taker.next()).parcel.key.call_id == "one"


@pytest_twisted.ensureDeferred
async def test_a_call_in_nats_streaming_can_be_asked_after(house: House) -> None:
    """By the daemon that accepted it; when it has come out, by all."""
    queue = await house.queue()
    await put(queue, call("a-call-that-waits"))
    known = await queue.lookup.find("a-call-that-waits")
    assert known is not None
    assert (known.place, known.queue) == ("queue", "default")
    taker = house.taker(queue)
    await taker.next()
    other = await house.queue("other")
    known = await other.lookup.find("a-call-that-waits")
    assert known is not None
    assert known.request is not None
    assert known.request.body == b"body"


@pytest_twisted.ensureDeferred
async def test_a_call_that_was_cancelled_before_it_came_out_never_runs(house: House) -> None:
    """Its end is there before it is."""
    queue = await house.queue()
    await put(queue, call("cancelled"))
    await put(queue, call("next"))
    known = await queue.lookup.find("cancelled")
    assert known is not None
    assert known.request is not None
    ending = Ending("cancelled", Outcome(499, (), b"", 0.0), History(), 1)
    await queue.records.record_ending(known.request, ending, ResultSettings())
    taker = house.taker(queue)
    assert (await taker.next()).parcel.key.call_id == "next"
    await house.acked(2)


@pytest_twisted.ensureDeferred
async def test_dead_letters_are_kept_in_jetstream(house: House) -> None:
    """As with the other backend: nothing of it is NATS Streaming's."""
    queue = await house.queue()
    assert (await queue.dead_letters.look_through(Selection(), 0, 10)).letters == []


@pytest_twisted.ensureDeferred
async def test_a_nats_server_without_jetstream_is_refused_by_name(
    reactor: Any, tmp_path: Path
) -> None:
    """What NATS Streaming cannot hold would be nowhere."""
    plain = House(reactor, tmp_path)
    plain.nats = RealNats(reactor, tmp_path, jetstream=False)
    await plain.nats.start()
    queue = plain.make()
    with pytest.raises(StartError, match="has no JetStream"):
        await plain.nats.soon(queue.start())
    await plain.end()


class Workers:
    """Daemons that end every call they are handed, and write down that they have.

    :ivar ended: how often each call was ended.
    """

    def __init__(self, house: House, queues: list[StreamingQueue]) -> None:
        self.ended: Counter[str] = Counter()
        self._house = house
        self._missing: set[str] = set()
        self._progress: Deferred[None] = Deferred()
        self._subscriptions = [
            queue.take_calls(DEFAULT, partial(self._begin, number, queue), lambda: 100)
            for number, queue in enumerate(queues)
        ]

    def _begin(self, number: int, queue: StreamingQueue, delivery: Delivery[QueueRequest]) -> None:
        ending = Deferred.fromCoroutine(self._end(number, queue, delivery))
        ending.addErrback(lambda failure: failure.trap(QueueError) and delivery.give_back())
        ending.addCallback(lambda _: self._subscriptions[number].top_up())

    async def _end(
        self, number: int, queue: StreamingQueue, delivery: Delivery[QueueRequest]
    ) -> None:
        request = delivery.parcel
        if await queue.records.find_ending(request.function, request.key) is None:
            self.ended[request.key.call_id] += 1
            outcome = Outcome(200, (), b"", 0.1)
            ending = Ending("succeeded", outcome, History(), 1)
            await queue.records.record_ending(request, ending, ResultSettings())
        delivery.settle()
        self._missing.discard(request.key.call_id)
        progress, self._progress = self._progress, Deferred()
        progress.callback(None)

    async def when_ended(self, call_ids: set[str]) -> None:
        """However long it takes, as long as something ends now and then."""
        self._missing = call_ids - self.ended.keys()
        while self._missing:
            try:
                await self._progress.addTimeout(60, self._house.reactor)
            except TimeoutError:
                raise AssertionError(
                    f"{len(self._missing)} calls do not end, {min(self._missing)} among them;"
                    f" NATS Streaming has {self._house.double.store.groups}"
                ) from None


@pytest_twisted.ensureDeferred
async def test_ten_thousand_calls_across_five_lost_sessions(house: House) -> None:
    """The server is killed under load and comes back with what it had stored, five times: none of
    the calls that were promised is lost, and hardly one runs twice: only what was in hand at that
    moment may.

    What JetStream had sent off, or was to hand out again, when it was killed is there when its
    lease is over: two daemons share it, and neither can say that nobody has it."""
    queues = [await house.queue(name, ahead=100, lease_seconds=10) for name in ("me", "other")]
    workers = Workers(house, queues)
    promised: set[str] = set()
    batch = -1
    while batch < 100 or len(promised) < 10_000:
        batch += 1
        requests = [call(f"call-{batch}-{number}") for number in range(100)]
        puts = [put(queues[batch % 2], request) for request in requests]
        if batch % 20 == 10 and batch < 100:
            await house.die_and_come_back()
            await gatherResults([house.session(queue) for queue in queues])
        done = await DeferredList(puts, consumeErrors=True)
        promised |= {
            request.key.call_id
            for request, (stored, _) in zip(requests, done, strict=True)
            if stored
        }
    await workers.when_ended(promised)
    assert [queue._stan.sessions for queue in queues] == [6, 6]
    twice = [call_id for call_id, count in workers.ended.items() if count > 1]
    assert len(twice) <= 5 * 200
