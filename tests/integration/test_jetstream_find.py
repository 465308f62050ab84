"""Finding calls in the streams, and asking who has them in hand, with a real nats-server."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from msgspec.structs import replace
from test_jetstream_queue import CALLBACK, House, call, house
from twisted.internet.defer import Deferred, gatherResults

from faasd_async.call.ending import DeadCallback, DeadLetter, Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallName, Grip, Known
from faasd_async.call.posting import Posting
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest
from faasd_async.errors import QueueError, QueueUnavailable
from faasd_async.nats.jetstream import JetStream
from faasd_async.queue.jetstream import JetStreamQueue
from faasd_async.queue.jetstream.subjects import CALLS, LATER, about_subject, queued_subject
from faasd_async.settings import ResultSettings

__all__ = ["house"]

KEEP = ResultSettings()
TRIED = History((Attempt(5, 503, 0.5),), not_before_ns=9)
ENDED = Ending("failed", Outcome(500, [(b"a", b"b")], b"no", 0.5), TRIED, 77, "failed")


async def find(house: House, queue: JetStreamQueue, call_id: str = "1", **which: Any) -> Known:
    known = await house.soon(queue.lookup.find(call_id, **which))
    assert known is not None
    return known


async def end(
    house: House,
    queue: JetStreamQueue,
    request: QueueRequest,
    ending: Ending = ENDED,
    keep: ResultSettings = KEEP,
) -> None:
    assert await house.soon(queue.records.record_ending(request, ending, keep))


def letter(**changes: Any) -> CallbackRequest:
    return CallbackRequest("f", CallKey("1", "0"), CALLBACK, [], b"body", **changes)


# -- where a call is


@pytest_twisted.ensureDeferred
async def test_a_call_that_waits_is_found_whole(house: House) -> None:
    """By another daemon, too; and by its id alone, whatever that is made of."""
    one, other = await house.queue(), await house.queue()
    request = call("an id/with.dots*>", "f.2", "the queue", body=b"body", start_time_ns=1234)
    await house.put(one, call("2"), request, call("3"))
    assert await find(house, other, "an id/with.dots*>") == Known(
        name=CallName("f.2", request.key),
        queue="the queue",
        accepted_ns=1234,
        place="queue",
        request=request,
        history=request.history,
        not_before_ns=0,
        ending=None,
        callback=None,
    )


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_is_not_found(house: House) -> None:
    """Nor what cannot be, nor other calls of an id when one is meant."""
    queue = await house.queue()
    await house.put(queue, call("1"))
    for call_id, accept in (("2", None), ("*", None), ("", None), ("x" * 999, None), ("1", "x")):
        assert await house.soon(queue.lookup.find(call_id, accept)) is None


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_put_off(house: House) -> None:
    """Until when stands in the schedule itself."""
    queue = await house.queue()
    await house.soon(queue.put_later(call("1"), 3600.0))
    known = await find(house, queue)
    assert known.place == "later"
    stored = await house.soon((await house.jetstream()).get_last_message(LATER, "faas.later.>"))
    assert 3599.0 < known.not_before_ns / 1e9 - stored.time.timestamp() < 3601.0


@pytest_twisted.ensureDeferred
async def test_what_was_noted_of_a_call_counts(house: House) -> None:
    """Unless the call itself knows more, or was replayed since."""
    queue = await house.queue()
    await house.put(queue, call("1"))
    await house.soon(queue.records.note_history(call("1"), TRIED))
    known = await find(house, queue)
    assert (known.history, known.not_before_ns) == (TRIED, 9)
    twice = TRIED.with_attempt(Attempt(6, 503, 0.5))
    await house.put(queue, call("2", history=twice), call("3", generation=1))
    for call_id in ("2", "3"):
        await house.soon(queue.records.note_history(call(call_id), TRIED))
    assert (await find(house, queue, "2")).history == twice
    assert (await find(house, queue, "3")).history.attempts == ()


@pytest_twisted.ensureDeferred
async def test_how_a_call_ended(house: House) -> None:
    """While it is in the queue still, and when it is not; after a restart of the server."""
    queue = await house.queue()
    request = call("1", start_time_ns=1234, history=TRIED)
    taker = house.taker(queue)
    await house.put(queue, request)
    delivery = await taker.next()
    await end(house, queue, request)
    known = await find(house, queue)
    assert (known.place, known.request, known.ending) == (None, request, ENDED)
    delivery.settle()
    await house.kill(queue)
    await house.nats.start()
    other = await house.queue()
    known = await find(house, other)
    assert known == Known(
        name=CallName("f", request.key),
        queue="q",
        accepted_ns=1234,
        place=None,
        request=known.request,
        history=TRIED,
        not_before_ns=9,
        ending=ENDED,
        callback=None,
    )


@pytest_twisted.ensureDeferred
async def test_of_a_replayed_call_the_earlier_end_counts_for_nothing(house: House) -> None:
    """It has one to come."""
    queue = await house.queue()
    await end(house, queue, call("1"))
    await house.put(queue, call("1", generation=1))
    known = await find(house, queue)
    assert (known.place, known.ending, known.generation) == ("queue", None, 1)


@pytest.mark.parametrize(
    ("reason", "state"), [("failed", "failed"), ("exhausted", "dead"), ("expired", "expired")]
)
@pytest_twisted.ensureDeferred
async def test_of_which_only_the_dead_letter_is_left(house: House, reason: Any, state: str) -> None:
    """It tells all but the answer."""
    queue = await house.queue()
    request = call("1", history=TRIED, start_time_ns=1234)
    await house.soon(queue.dead_letters.put(DeadLetter(request, reason, 500, "why", 77)))
    known = await find(house, queue)
    outcome = Outcome(500, (), b"", 0.0, "why")
    assert known.ending == Ending(state, outcome, TRIED, 77, reason, "buried")  # type: ignore[arg-type]
    assert (known.queue, known.accepted_ns) == ("q", 1234)


@pytest.mark.parametrize("keep", [ResultSettings(keep_seconds=0), ResultSettings(max_bytes=1)])
@pytest.mark.parametrize("owed", [False, True])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_not_kept_says_so(
    house: House, keep: ResultSettings, owed: bool
) -> None:
    """Whether or not it is there for the callback."""
    queue = await house.queue()
    request = call("1", callback=CALLBACK if owed else None)
    await end(house, queue, request, keep=keep)
    ending = (await find(house, queue)).ending
    assert ending is not None
    assert (ending.withheld is not None, ending.outcome.body) == (True, b"no" if owed else b"")


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_only_remembered_by_its_callback(house: House) -> None:
    """There is a trace, and nothing to tell."""
    queue = await house.queue()
    await house.soon(queue.put_callback(letter()))
    assert (await find(house, queue)).is_forgotten


# -- its callback


async def callback(house: House, queue: JetStreamQueue) -> tuple[str, Posting]:
    known = (await find(house, queue)).callback
    assert known is not None
    return known.state, known.posting


@pytest_twisted.ensureDeferred
async def test_a_callback_on_its_way(house: House) -> None:
    """Pending, waiting, with what was tried of it, delivered."""
    queue = await house.queue()
    request = call("1", callback=CALLBACK)
    await house.put(queue, request)
    assert await callback(house, queue) == ("pending", Posting())
    await end(house, queue, request)
    assert await callback(house, queue) == ("forgotten", Posting())
    await house.soon(queue.put_callback(letter()))
    assert await callback(house, queue) == ("waiting", Posting())
    tried = Posting(tries=1, status=500, not_before_ns=7)
    await house.soon(queue.records.note_posting(letter().name, tried))
    assert await callback(house, queue) == ("waiting", tried)
    taker = house.callback_taker(queue)
    delivery = await taker.next()
    delivered = Posting("delivered", 2, 0, 200)
    await house.soon(queue.records.note_posting(letter().name, delivered))
    delivery.settle()
    jetstream = await house.jetstream()
    while (await house.soon(jetstream.stream_info("FAAS_CALLBACKS"))).state.messages:
        pass
    assert await callback(house, queue) == ("delivered", delivered)


@pytest_twisted.ensureDeferred
async def test_a_callback_that_died(house: House) -> None:
    """Its dead letter remembers it; when it is replayed it waits again."""
    queue = await house.queue()
    await end(house, queue, call("1", callback=CALLBACK))
    dead = DeadCallback(letter(), "exhausted", 500, "", 3, 77)
    await house.soon(queue.dead_letters.put_callback(dead))
    assert await callback(house, queue) == ("given_up", Posting("given_up", 3, 0, 500))
    given_up = Posting("given_up", 3, 0, 500)
    await house.soon(queue.records.note_posting(letter().name, given_up))
    await house.soon(queue.put_callback(letter(replays=1)))
    assert await callback(house, queue) == ("waiting", Posting())


# -- several calls of an id


@pytest_twisted.ensureDeferred
async def test_of_several_the_one_accepted_last_is_the_newest(house: House) -> None:
    """Wherever it is; the others are named."""
    queue = await house.queue()
    first, second, third = (
        call("1", key=CallKey("1", accept), start_time_ns=n) for n, accept in enumerate("bca", 1)
    )
    await house.put(queue, second, first)
    await end(house, queue, third)
    names = [CallName("f", each.key) for each in (first, second, third)]
    known = await find(house, queue)
    assert (known.name, known.others) == (names[2], tuple(names[:2]))
    known = await find(house, queue, accept="c")
    assert (known.name, known.place, known.others) == (names[1], "queue", ())
    await house.soon(queue.put_later(replace(first, key=CallKey("1", "d"), start_time_ns=9), 600))
    assert (await find(house, queue)).place == "later"


# -- a call on the move


@pytest_twisted.ensureDeferred
async def test_a_call_that_moves_back_while_it_is_looked_for_is_found(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves one stream before that is looked into, and has come to the other one after."""
    queue = await house.queue()
    await house.soon(queue.put_later(call("1"), 3600.0))
    await moves(
        house,
        queue,
        monkeypatch,
        when=("stream_info", CALLS),
        to=lambda: queue.put_call(call("1")),
        out_of=(LATER, "faas.later.>"),
    )
    assert (await find(house, queue)).place == "queue"


@pytest_twisted.ensureDeferred
async def test_a_call_that_ends_while_it_is_read_is_looked_for_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there a moment ago."""
    queue = await house.queue()
    await house.put(queue, call("1"))
    await moves(
        house,
        queue,
        monkeypatch,
        when=("stream_info", "FAAS_DEAD"),
        to=lambda: queue.records.record_ending(call("1"), ENDED, KEEP),
        out_of=(CALLS, queued_subject("call", "q", "f", CallKey("1", "0"))),
    )
    assert (await find(house, queue)).ending == ENDED


async def moves(
    house: House,
    queue: JetStreamQueue,
    monkeypatch: pytest.MonkeyPatch,
    *,
    when: tuple[str, str],
    to: Any,
    out_of: tuple[str, str],
) -> None:
    """Have a call move, once, right after a stream was asked."""
    original = JetStream.stream_info
    moved = False

    async def ask(self: JetStream, name: str, **options: Any) -> Any:
        nonlocal moved
        answer = await original(self, name, **options)
        if (name, moved) == (when[1], False):
            moved = True
            await to()
            stream, subject = out_of
            assert await self.purge_stream(stream, filter=subject) == 1
        return answer

    monkeypatch.setattr(
        JetStream, when[0], lambda *about, **more: Deferred.fromCoroutine(ask(*about, **more))
    )


@pytest_twisted.ensureDeferred
async def test_a_record_of_a_newer_version_is_not_guessed_at(house: House) -> None:
    """It is refused by its name."""
    queue = await house.queue()
    subject = about_subject("outcome", "f", CallKey("1", "0"))
    jetstream = await house.jetstream()
    await house.soon(jetstream.publish(subject.encode(), b"", headers=[(b"Faas-Format", b"99")]))
    with pytest.raises(QueueUnavailable, match="format 99"):
        await house.soon(queue.lookup.find("1"))


@pytest_twisted.ensureDeferred
async def test_without_a_server_nothing_is_said(house: House) -> None:
    """That there is no call would be a lie."""
    queue = await house.queue()
    await house.kill(queue)
    with pytest.raises(QueueError):
        await house.soon(queue.lookup.find("1"))


# -- who has it in hand


class PaperHands:
    """A worker that has one call."""

    def __init__(self, key: CallKey, grip: Grip) -> None:
        self._key, self._grip = key, grip
        self.aborted: Deferred[None] = Deferred()

    def grip(self, key: CallKey) -> Grip | None:
        return self._grip if key == self._key else None

    def abort(self, key: CallKey) -> None:
        if key == self._key:
            self.aborted.callback(None)


@pytest_twisted.ensureDeferred
async def test_whoever_has_a_call_says_so(house: House) -> None:
    """To whoever asks; of a call that nobody has nobody says anything."""
    queues = await gatherResults([Deferred.fromCoroutine(house.queue()) for _ in range(3)])
    key, grip = CallKey("an id/with.dots*>", "0"), Grip(7, TRIED)
    queues[1].peers.hands = PaperHands(key, grip)
    assert await gatherResults([house.soon(each.peers.ask(key)) for each in queues]) == [grip] * 3
    assert await house.soon(queues[0].peers.ask(CallKey("2", "0"))) is None


@pytest_twisted.ensureDeferred
async def test_whoever_has_a_call_is_told_to_let_go(house: House) -> None:
    """Another daemon, or the same one, which is told once more by the others."""
    one, other = await house.queue(), await house.queue()
    key = CallKey("an id/with.dots*>", "0")
    hands = other.peers.hands = PaperHands(key, Grip(7, TRIED))
    one.peers.abort(CallKey("2", "0"))
    one.peers.abort(key)
    await house.soon(hands.aborted)


@pytest_twisted.ensureDeferred
async def test_one_call_is_removed_wherever_it_waits(house: House) -> None:
    """That one, and no other of its id."""
    queue = await house.queue()
    others = (call("1", "g"), call("1", key=CallKey("1", "x")), call("2"))
    await house.put(queue, call("1"), *others)
    for request in (call("1"), call("3")):
        await house.soon(queue.put_later(request, 3600.0))
    for request in (call("1"), call("3")):
        await house.soon(queue.backlog.remove(request))
        assert await house.soon(queue.lookup.find(request.key.call_id, "0")) is None or (
            await find(house, queue, request.key.call_id)
        ).name != CallName("f", request.key)
    for request in others:
        assert await house.soon(queue.backlog.holds(request))


@pytest_twisted.ensureDeferred
async def test_alone_a_daemon_asks_nobody(house: House) -> None:
    """It knows at once."""
    queue = await house.queue(alone=True)
    assert queue.peers.ask(CallKey("1", "0")).called
    queue.peers.hands = PaperHands(CallKey("1", "0"), Grip(7, TRIED))
    asked = queue.peers.ask(CallKey("1", "0"))
    assert await asked == Grip(7, TRIED)


def nothing() -> None:
    """What is heard is of no interest."""


@pytest_twisted.ensureDeferred
async def test_a_move_that_another_daemon_tells_of_is_heard(house: House) -> None:
    """That call's, no other's, and only by those who listen."""
    one, other = await house.queue(), await house.queue()
    key, heard = CallKey("an id/with.dots*>", "0"), Deferred[None]()
    stop = one.peers.hear(CallName("f", key), nothing, lambda: heard.callback(None))
    assert await house.soon(one.lookup.find("1")) is None
    other.peers.moved(CallKey("2", "0"))
    other.peers.moved(key)
    await house.soon(heard)
    stop()
    other.peers.moved(key)
    assert await house.soon(one.lookup.find("1")) is None


@pytest_twisted.ensureDeferred
async def test_an_end_that_another_daemon_writes_is_heard_of(house: House) -> None:
    """That call's, no other's; and when the server was away it may have been missed."""
    one, other = await house.queue(), await house.queue()
    name = CallName("f", CallKey("1", "0"))
    heard: list[Deferred[None]] = [Deferred()]
    stop = one.peers.hear(name, lambda: heard[-1].called or heard[-1].callback(None), nothing)
    await end(house, other, call("2"))
    await end(house, other, call("1", "g"))
    # Whatever was published before this has been heard.
    await house.soon(one.lookup.find("2"))
    assert not heard[-1].called
    await end(house, other, call("1"))
    await house.soon(heard[-1])
    assert (await find(house, one)).ending == ENDED
    heard.append(Deferred())
    await house.kill(one, other)
    await house.nats.start()
    await house.soon(heard[-1])
    stop()


@pytest_twisted.ensureDeferred
async def test_nothing_is_heard_after_the_last_word(house: House) -> None:
    """Nor are there timers left."""
    one, other = await house.queue(), await house.queue()
    heard: list[None] = []
    first: Deferred[None] = Deferred()

    def hear() -> None:
        heard.append(None)
        if not first.called:
            stop()
            first.callback(None)

    stop = one.peers.hear(CallName("f", CallKey("1", "0")), hear, nothing)
    # What is asked on the same connection is answered after the server knows who listens.
    assert await house.soon(one.lookup.find("1")) is None
    await end(house, other, call("1"))
    await house.soon(first)
    await end(house, other, call("1", key=CallKey("1", "x")))
    await house.soon(one.lookup.find("1"))
    assert heard == [None]
