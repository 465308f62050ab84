"""What is on its way to a slow broker has a bound, and what is past it was not stored."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from faasd_async.errors import MaybeStored, QueueUnavailable
from faasd_async.nats.errors import NatsError, NotConnected, RequestTimedOut
from faasd_async.nats.jetstream import PubAck
from faasd_async.queue.jetstream.durability import Acknowledged, Promise
from faasd_async.queue.jetstream.store import MOST_HELD_BYTES, MOST_UNANSWERED, Store

ACK = PubAck("FAAS_CALLS", 1)


class SlowJetStream:
    """Answers when the test says so.

    :ivar unanswered: the ways to answer, oldest first.
    """

    def __init__(self) -> None:
        self.unanswered: list[Any] = []
        self.refusal: NatsError | None = None

    def publish_then(self, subject: bytes, payload: bytes, block: bytes, on_ack: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.unanswered.append(on_ack)

    def answers(self, answer: PubAck | NatsError = ACK) -> None:
        self.unanswered.pop(0)(answer)


class BrokenDisk(Acknowledged):
    """Breaks when the test says so."""

    broken = False

    def why_refused(self) -> str | None:
        return "the disk failed" if self.broken else None

    def when_durable(self, promise: Promise) -> None:
        promise(MaybeStored("the disk failed") if self.broken else None)


class House:
    """A store on a slow broker."""

    def __init__(self) -> None:
        self.jetstream = SlowJetStream()
        self.disk = BrokenDisk()
        self.store = Store(self.jetstream, self.disk)  # type: ignore[arg-type]

    def put(self, size: int = 1) -> list[object]:
        """Put something; what became of it, ``None`` or an error, once that is known."""
        result: list[object] = []
        put: Deferred[None] = self.store.put_durably("faas.call.x", [], b"x" * size)
        put.addCallbacks(result.append, lambda failure: result.append(failure.value))
        return result


@pytest.fixture
def house() -> House:
    return House()


def refused(result: list[object], words: str) -> bool:
    """Surely not stored, for this reason."""
    (reason,) = result
    return isinstance(reason, QueueUnavailable) and words in str(reason)


def test_so_many_may_be_unanswered(house: House) -> None:
    """One more is refused and not sent; an answer, whichever, makes room."""
    for _ in range(MOST_UNANSWERED):
        assert house.put() == []
    assert refused(house.put(), f"has not answered {MOST_UNANSWERED} messages")
    assert len(house.jetstream.unanswered) == MOST_UNANSWERED
    house.jetstream.answers(RequestTimedOut("no answer in time"))
    assert house.put() == []


def test_so_much_may_be_held(house: House) -> None:
    """Beyond it a call is refused and not sent; what is answered is let go."""
    half = MOST_HELD_BYTES // 2
    first, second = house.put(half), house.put(half)
    assert refused(house.put(1), f"{MOST_HELD_BYTES} bytes wait")
    house.jetstream.answers()
    assert (first, second) == ([None], [])
    assert house.put(half) == []


def test_one_call_always_fits(house: House) -> None:
    """Whatever its size: whether it is too large is not for this bound to say."""
    assert house.put(MOST_HELD_BYTES + 1) == []


def test_what_could_not_be_sent_counts_no_more(house: House) -> None:
    """A connection that is down does not use the bounds up."""
    house.jetstream.refusal = NotConnected("there is no connection")
    for _ in range(MOST_UNANSWERED + 1):
        assert refused(house.put(100_000), "no connection")
    house.jetstream.refusal = None
    assert house.put() == []


def test_a_disk_that_failed_before(house: House) -> None:
    """Nothing is sent then."""
    house.disk.broken = True
    assert refused(house.put(), "the disk failed")
    assert house.jetstream.unanswered == []


def test_a_disk_that_fails_meanwhile(house: House) -> None:
    """The call lies in its stream and will run: whether it was stored is in doubt, no refusal."""
    result = house.put()
    house.disk.broken = True
    house.jetstream.answers()
    assert [type(reason) for reason in result] == [MaybeStored]
