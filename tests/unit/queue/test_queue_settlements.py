"""What a delivery is settled with reaches the broker, on this connection or the next."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from faasd_async.nats import ConnectionDropped, Message, NatsError, NotConnected
from faasd_async.nats.errors import PendingBytesExceeded
from faasd_async.nats.jetstream import JetStreamMessage
from faasd_async.queue.jetstream.delivery import Settlements


class Connection:
    """A connection, in the test's own hands.

    :ivar said: what has left, and to where.
    :ivar refusal: why nothing can be said, if so.
    """

    def __init__(self) -> None:
        self.said: list[tuple[bytes, bytes]] = []
        self.refusal: NatsError | None = None
        self.flushes: list[Deferred[None]] = []

    def publish(self, subject: bytes, payload: bytes, *, reply: bytes = b"") -> None:
        if self.refusal is not None:
            raise self.refusal
        self.said.append((subject, payload))

    def flush(self) -> Deferred[None]:
        flushed: Deferred[None] = Deferred()
        if isinstance(self.refusal, NotConnected):
            flushed.errback(self.refusal)
        else:
            self.flushes.append(flushed)
        return flushed

    def confirm(self) -> None:
        """The broker has worked through what had been said."""
        self.flushes.pop(0).callback(None)

    def lose(self) -> None:
        self.refusal = NotConnected("gone")
        flushes, self.flushes = self.flushes, []
        for each in flushes:
            each.errback(ConnectionDropped("gone"))


class House:
    def __init__(self) -> None:
        self.connection = Connection()
        self.settlements = Settlements(lambda body: None, self.connection.flush)

    def ack(self, reply: bytes) -> JetStreamMessage:
        message = JetStreamMessage(
            self.connection,  # type: ignore[arg-type]  # all of it that is used
            Message(b"faas.call.q.f.1.0", b"1", reply, b"", b"payload"),
        )
        self.settlements.settle(message, message.ack)
        return message

    def come_back(self) -> list[tuple[bytes, bytes]]:
        """:return: what is said at once on a new connection."""
        self.connection.refusal = None
        self.connection.said.clear()
        self.settlements.send_unsent()
        return self.connection.said


@pytest.fixture
def house() -> House:
    return House()


def test_what_was_confirmed_is_said_once(house: House) -> None:
    """One question at a time, about all that was said before it."""
    house.ack(b"1")
    house.ack(b"2")
    assert len(house.connection.flushes) == 1
    house.connection.confirm()
    house.connection.confirm()
    assert house.connection.flushes == []
    house.connection.lose()
    assert house.come_back() == []


def test_what_was_not_confirmed_is_said_again(house: House) -> None:
    """Without holding its payload for as long as the broker is away. What was said after the
    question is not what the answer is about."""
    first = house.ack(b"1")
    second = house.ack(b"2")
    house.connection.confirm()
    house.connection.lose()
    assert (first.payload, second.payload) == (b"payload", b"")
    assert house.come_back() == [(b"2", b"+ACK")]
    house.connection.lose()
    assert house.come_back() == [(b"2", b"+ACK")]
    house.connection.confirm()
    house.connection.lose()
    assert house.come_back() == []


def test_what_is_settled_without_a_connection_is_said_on_the_next(house: House) -> None:
    """In the order in which it was."""
    house.connection.lose()
    house.ack(b"1")
    house.ack(b"2")
    assert house.connection.said == []
    assert house.come_back() == [(b"1", b"+ACK"), (b"2", b"+ACK")]


def test_what_a_connection_has_no_room_for_is_said_when_it_has(house: House) -> None:
    """Which is known when the broker answers, and need not be so yet. The connection stays: there
    may be no next one for long."""
    house.connection.refusal = PendingBytesExceeded(2, 1)
    house.ack(b"1")
    house.connection.confirm()
    assert house.connection.said == []
    house.connection.refusal = None
    house.connection.confirm()
    assert house.connection.said == [(b"1", b"+ACK")]
    house.connection.confirm()
    assert house.connection.flushes == []
