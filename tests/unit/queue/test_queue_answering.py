"""A broker that does not answer is found out, one that is asked again in time is not."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.queue.jetstream.answering import ASK_SECONDS, PATIENCE_SECONDS, Answering


class House:
    """A broker that answers when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.answering = Answering(self.clock, self._ask)

    def _ask(self) -> Deferred[None]:
        self.asked.append(Deferred())
        return self.asked[-1]


def test_it_answers_each_time() -> None:
    """It is asked each second, and all is well however long that goes on."""
    house = House()
    house.answering.connected()
    for count in range(1, 6):
        assert len(house.asked) == count
        house.asked[-1].callback(None)
        house.clock.advance(ASK_SECONDS)
        assert house.answering.why_not is None


def test_it_does_not_answer_until_it_does() -> None:
    """The answer that comes in the end counts."""
    house = House()
    house.answering.connected()
    house.clock.advance(PATIENCE_SECONDS)
    assert house.answering.why_not == "the NATS server has not answered for 2 seconds"
    house.asked[-1].callback(None)
    assert house.answering.why_not is None


def test_without_a_connection_nothing_is_asked() -> None:
    """An answer to a question of the connection before is none; nothing is left behind."""
    house = House()
    house.answering.connected()
    (before,) = house.asked
    house.answering.disconnected()
    house.clock.advance(PATIENCE_SECONDS)
    assert house.answering.why_not is None
    before.callback(None)
    assert house.clock.getDelayedCalls() == []
    house.answering.connected()
    house.asked[-1].callback(None)
    house.answering.disconnected()
    assert house.clock.getDelayedCalls() == []
