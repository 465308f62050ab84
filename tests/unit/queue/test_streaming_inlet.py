"""The inlet: how much is taken from NATS Streaming, and what becomes of what is not brought in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.call.ids import CallKey
from faasd_async.call.openfaas.message import UnreadableMessage
from faasd_async.call.request import QueueRequest
from faasd_async.errors import MaybeStored, QueueUnavailable
from faasd_async.nats import NotConnected
from faasd_async.nats.stan import StanMessage
from faasd_async.queue.streaming.inlet import Inlet, NotNew


class Membership:
    """The inlet's subscription."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def mute(self) -> None:
        self.said.append("mute")

    def stop(self) -> Deferred[None]:
        self.said.append("leave")
        self.left = Deferred[None]()
        return self.left


class Stan:
    """NATS Streaming, in the test's own hands."""

    def __init__(self) -> None:
        self.membership = Membership()
        self.lost: list[Callable[[], None]] = []
        self.acked: list[int] = []
        self.connected = True
        self.max_in_flight = 0
        self._session = 1

    def subscribe(
        self,
        channel: str,
        group: str,
        callback: Callable[[StanMessage], None],
        *,
        max_in_flight: int,
        ack_wait_seconds: int,
    ) -> Membership:
        self.max_in_flight = max_in_flight
        self._callback = callback
        return self.membership

    def on_lost(self, observer: Callable[[], None]) -> Callable[[], None]:
        self.lost.append(observer)
        return lambda: self.lost.remove(observer)

    def lose(self) -> None:
        """The session; there is another one at once."""
        self._session += 1
        for observer in list(self.lost):
            observer()

    def give(self, sequence: int, *, redelivered: bool = False) -> None:
        session = self._session

        def acknowledge() -> None:
            if not self.connected or session != self._session:
                raise NotConnected("gone")
            self.acked.append(sequence)

        data = b"call-%d" % sequence
        self._callback(StanMessage("c", sequence, sequence, data, redelivered, acknowledge))


class House:
    """An inlet that can have two calls ahead, and a JetStream that stores when it is told to.

    :ivar waiting: what JetStream says of how many calls wait.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.stan = Stan()
        self.waiting = 2
        self.looks = 0
        self._moves: dict[str, Deferred[None]] = {}
        self.again: dict[str, bool] = {}
        self.inlet = Inlet(
            self.clock,
            self.stan,  # type: ignore[arg-type]  # all of it that is used
            "c",
            "g",
            ahead=2,
            ack_wait_seconds=30,
            read=self._read,
            bring_in=self._bring_in,
            count_waiting=self._count,
        )

    def _read(self, message: StanMessage) -> QueueRequest:
        if message.sequence == 13:
            raise UnreadableMessage("an unlucky number")
        call_id = message.data.decode()
        return QueueRequest("f", "q", CallKey(call_id, "0"), 1, b"/", [], b"")

    def _bring_in(self, request: QueueRequest, again: bool) -> Deferred[None]:
        name = request.key.call_id
        self.again[name] = again
        self._moves[name] = Deferred()
        return self._moves[name]

    async def _count(self) -> int:
        self.looks += 1
        return self.waiting

    @property
    def moving(self) -> list[str]:
        return list(self._moves)

    def stored(self, number: int) -> None:
        self._moves.pop(f"call-{number}").callback(None)

    def failed(self, number: int, reason: Exception) -> None:
        self._moves.pop(f"call-{number}").errback(reason)

    def take(self, number: int) -> None:
        self.inlet.taken(CallKey(f"call-{number}", "0"))


@pytest.fixture
def house() -> House:
    return House()


def test_a_call_is_acknowledged_when_it_is_stored(house: House) -> None:
    """Not before: what is not in JetStream stays where it is."""
    house.stan.give(1)
    assert (house.moving, house.stan.acked) == (["call-1"], [])
    house.stored(1)
    assert house.stan.acked == [1]


def test_no_more_is_brought_in_than_could_soon_run(house: House) -> None:
    """A call that a worker is handed makes room for another; the server is told how many."""
    for number in (1, 2, 3, 4):
        house.stan.give(number)
    assert house.moving == ["call-1", "call-2"]
    house.stored(1)
    house.stored(2)
    assert house.moving == []
    house.take(1)
    assert house.moving == ["call-3"]
    assert house.stan.max_in_flight == 2


def test_what_is_held_too_long_is_let_go_of(house: House) -> None:
    """Before its ack wait is over: somebody else will be given it."""
    for number in (1, 2, 3):
        house.stan.give(number)
    house.stored(1)
    house.stored(2)
    house.clock.pump([1] * 25)
    house.take(1)
    assert house.moving == []
    house.stan.give(3, redelivered=True)
    assert house.moving == ["call-3"]
    assert house.again["call-3"]


def test_a_call_that_cannot_be_stored_is_tried_again(house: House) -> None:
    """It goes first; what stands behind it waits."""
    house.stan.give(1)
    house.failed(1, QueueUnavailable("not now"))
    house.stan.give(2)
    assert house.moving == []
    house.clock.advance(0.05)
    assert house.moving == ["call-1", "call-2"]
    house.stored(1)
    assert house.stan.acked == [1]


def test_a_call_that_comes_again_while_it_is_stored_is_passed_over(house: House) -> None:
    """It is acknowledged in a moment."""
    house.stan.give(1)
    house.stan.give(1, redelivered=True)
    house.stored(1)
    assert (house.moving, house.stan.acked) == ([], [1])


def test_a_call_that_comes_again_in_another_session_is_acknowledged_there(house: House) -> None:
    """While it is stored: what it came in before is gone, and with it the place to acknowledge
    it. It would take up one of the places in flight until its ack wait was over."""
    house.stan.give(1)
    house.stan.lose()
    house.stan.give(1, redelivered=True)
    house.stored(1)
    assert (house.moving, house.stan.acked) == ([], [1])


def test_a_call_that_was_not_stored_in_a_session_that_is_gone_is_another_s(house: House) -> None:
    """It comes again, perhaps to another member, who begins it: it is not kept here as well. Given
    to us, it is looked for."""
    house.stan.give(1)
    house.stan.lose()
    house.failed(1, QueueUnavailable("not now"))
    house.clock.pump([1] * 5)
    assert house.moving == []
    house.stan.give(1, redelivered=True)
    assert house.again == {"call-1": True}
    house.stored(1)
    assert house.stan.acked == [1]


def test_a_call_that_is_tried_again_is_looked_for(house: House) -> None:
    """It may have been stored, and moved on, though we did not hear of it."""
    house.stan.give(1)
    assert not house.again["call-1"]
    house.failed(1, MaybeStored("no answer"))
    house.clock.advance(0.05)
    assert house.again["call-1"]


def test_a_call_that_was_there_before_is_acknowledged(house: House) -> None:
    """And takes no room."""
    for number in (1, 2, 3):
        house.stan.give(number, redelivered=True)
    house.failed(1, NotNew())
    assert house.stan.acked == [1]
    assert house.moving == ["call-2", "call-3"]


def test_what_is_no_call_is_acknowledged(house: House) -> None:
    """Nobody can ever do anything with it."""
    house.stan.give(13)
    assert house.stan.acked == [13]


def test_a_lost_session_takes_with_it_what_is_held(house: House) -> None:
    """It comes again, perhaps to another member; what is being stored is stored."""
    for number in (1, 2, 3):
        house.stan.give(number)
    for observer in house.stan.lost:
        observer()
    house.stan.connected = False
    house.stored(1)
    house.take(1)
    assert house.moving == ["call-2"]
    assert house.stan.acked == []


def test_what_others_took_makes_room_too(house: House) -> None:
    """Another daemon's workers, or a purge: it is looked how many still wait, ever less often."""
    for number in (1, 2, 3):
        house.stan.give(number)
    house.stored(1)
    house.stored(2)
    house.clock.pump([0.05] * 60)
    assert house.moving == []
    assert 2 <= house.looks <= 10
    house.waiting = 1
    house.clock.advance(1)
    assert house.moving == ["call-3"]


def test_stopping_waits_for_what_is_on_its_way(house: House) -> None:
    """Only then is the group left: what was not brought in goes to the others at once."""
    for number in (1, 2, 3):
        house.stan.give(number)
    stopped: list[None] = []
    house.inlet.stop().addCallback(stopped.append)
    house.stan.give(4)
    house.stored(1)
    assert (house.stan.membership.said, stopped) == (["mute"], [])
    house.failed(2, QueueUnavailable("not now"))
    assert (house.stan.membership.said, stopped) == (["mute", "leave"], [])
    house.stan.membership.left.callback(None)
    assert stopped == [None]
    assert house.stan.acked == [1]
    assert house.clock.getDelayedCalls() == []
    house.inlet.stop().addCallback(stopped.append)
    assert stopped == [None, None]
