"""A delivery: what its acknowledgement's subject tells, and settling it exactly once."""

from collections.abc import Callable

import pytest
from memory_server import Connection, MemoryServer

from faasd_async.nats import Message, NatsClient, NotConnected
from faasd_async.nats.jetstream import AlreadySettled, JetStreamError, JetStreamMessage

SHORT = b"$JS.ACK.ORDERS.worker.3.42.57.1795494079424607326.6"
LONG = b"$JS.ACK.hub.ACCHASH.ORDERS.worker.3.42.57.1795494079424607326.6"


def delivery(client: NatsClient, reply: bytes = SHORT) -> JetStreamMessage:
    block = b"NATS/1.0\r\nA: b\r\n\r\n"
    return JetStreamMessage(client, Message(b"orders.1", b"2", reply, block, b"hello"))


@pytest.mark.parametrize("reply", [SHORT, LONG, LONG + b".random"])
def test_what_it_tells(client: NatsClient, reply: bytes) -> None:
    """Both forms of the subject, and the long one with a further token, tell the same."""
    message = delivery(client, reply)
    assert (message.stream, message.consumer) == ("ORDERS", "worker")
    assert message.delivered == 3
    assert message.stream_sequence == 42
    assert message.timestamp_ns == 1795494079424607326
    assert message.pending == 6
    assert (message.subject, message.payload) == (b"orders.1", b"hello")
    assert message.headers.get(b"A") == b"b"


def test_foreign_subject(client: NatsClient) -> None:
    """A subject of another kind is an error with a name."""
    with pytest.raises(JetStreamError):
        _ = delivery(client, b"$JS.ACK.ORDERS.worker").delivered


SETTLEMENTS: list[tuple[Callable[[JetStreamMessage], None], bytes]] = [
    (lambda message: message.ack(), b"+ACK"),
    (lambda message: message.nak(), b"-NAK"),
    (lambda message: message.nak(1.5), b'-NAK {"delay": 1500000000}'),
    (lambda message: message.term(), b"+TERM"),
    (lambda message: message.term("poison"), b"+TERM poison"),
]


@pytest.mark.parametrize(("settle", "word"), SETTLEMENTS)
def test_settled_once(
    client: NatsClient,
    connection: Connection,
    settle: Callable[[JetStreamMessage], None],
    word: bytes,
) -> None:
    """The word leaves for the subject of the acknowledgement; a second settlement is refused."""
    message = delivery(client)
    settle(message)
    assert message.settled
    assert connection.heard() == b"PUB %b  %d\r\n%b\r\n" % (SHORT, len(word), word)
    for again, _ in SETTLEMENTS:
        with pytest.raises(AlreadySettled):
            again(message)
    with pytest.raises(AlreadySettled):
        message.in_progress()
    assert connection.heard() == b""


def test_in_progress(client: NatsClient, connection: Connection) -> None:
    """A lease may be renewed as often as it takes, and settles nothing."""
    message = delivery(client)
    message.in_progress()
    message.in_progress()
    assert connection.heard() == b"PUB %b  4\r\n+WPI\r\n" % SHORT * 2
    assert not message.settled
    message.ack()


def test_settling_without_a_connection(client: NatsClient, server: MemoryServer) -> None:
    """An acknowledgement that cannot leave is an error, and may be tried on the next connection."""
    message = delivery(client)
    server.last.lose()
    with pytest.raises(NotConnected):
        message.ack()
    assert not message.settled
    server.clock.advance(1)
    server.last.welcome()
    message.ack()
    assert message.settled
    assert server.last.heard().endswith(b"+ACK\r\n")


def test_a_message_without_its_content_is_settled_as_before(
    client: NatsClient, connection: Connection
) -> None:
    """Whoever holds it for long need not hold all of it."""
    message = delivery(client)
    message.forget_content()
    assert (message.payload, message.header_block) == (b"", b"")
    message.nak()
    assert connection.heard() == b"PUB %b  4\r\n-NAK\r\n" % SHORT
