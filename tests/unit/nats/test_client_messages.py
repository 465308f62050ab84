"""Publishing, subscribing, requesting: bytes in, bytes out."""

from functools import partial

import pytest
from memory_server import Connection, MemoryServer, error_of, result_of

from faasd_async.nats import (
    BadHeader,
    BadSubject,
    ConnectionDropped,
    Limits,
    MaxPayloadExceeded,
    Message,
    NatsClient,
    NatsError,
    NoResponders,
    NotConnected,
    PendingBytesExceeded,
    RequestTimedOut,
)


def reply_of(heard: bytes) -> bytes:
    """Return the reply subject of the one request that was heard."""
    return heard.split()[2]


# -- publishing


def test_one_write_a_turn(
    client: NatsClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published within one turn leaves together, in order, at its end."""
    writes: list[bytes] = []
    monkeypatch.setattr(connection.transport, "write", writes.append)
    client.publish(b"a", b"1")
    client.publish(b"b", b"2", reply=b"r")
    client.publish(b"c", b"3", headers=[(b"N", b"v")])
    assert writes == []
    connection.clock.advance(0)
    assert writes == [
        b"PUB a  1\r\n1\r\nPUB b r 1\r\n2\r\nHPUB c  18 19\r\nNATS/1.0\r\nN: v\r\n\r\n3\r\n"
    ]


def test_not_connected(server: MemoryServer) -> None:
    """Without a connection nothing is kept for later: it fails at once."""
    client = server.client()
    with pytest.raises(NotConnected):
        client.publish(b"a", b"")
    with pytest.raises(NotConnected):
        client.request_then(b"a", b"", lambda reply: None)
    assert isinstance(error_of(client.request(b"a", b"")), NotConnected)
    assert isinstance(error_of(client.flush()), NotConnected)


def test_max_payload(client: NatsClient, connection: Connection) -> None:
    """Headers and payload together are checked before anything is sent."""
    client.publish(b"a", b"x" * 1024)
    with pytest.raises(MaxPayloadExceeded) as caught:
        client.publish(b"a", b"x" * 1024, headers=b"NATS/1.0\r\n\r\n")
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (1036, 1024)
    assert isinstance(error_of(client.request(b"a", b"x" * 1025)), MaxPayloadExceeded)


def test_nothing_is_smuggled(client: NatsClient, connection: Connection) -> None:
    """A subject or header that would be more than one is refused, and nothing sent."""
    with pytest.raises(BadSubject):
        client.publish(b"a\r\nPING", b"")
    with pytest.raises(BadSubject):
        client.subscribe(b"a b", lambda message: None)
    with pytest.raises(BadHeader):
        client.publish(b"a", b"", headers=[(b"N", b"v\r\nM: w")])
    assert connection.heard() == b""


def test_pending_bytes(server: MemoryServer) -> None:
    """A socket that takes nothing lets so much wait; the next publish is refused, by name."""
    client, connection = server.connected(Limits(pending_bytes=100))
    connection.protocol.pauseProducing()
    client.publish(b"a", b"x" * 80)
    with pytest.raises(PendingBytesExceeded):
        client.publish(b"a", b"x" * 20)
    assert client.pending_bytes == 93
    assert connection.heard() == b""
    connection.protocol.resumeProducing()
    assert connection.heard() == b"PUB a  80\r\n%b\r\n" % (b"x" * 80)
    assert client.pending_bytes == 0
    client.publish(b"a", b"x" * 20)


def test_pending_bytes_count_what_the_transport_holds(
    server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written to a transport that is full counts until it has room again."""
    client, connection = server.connected(Limits(pending_bytes=100))

    def fill(data: bytes) -> None:
        connection.protocol.pauseProducing()

    monkeypatch.setattr(connection.transport, "write", fill)
    client.publish(b"a", b"x" * 80)
    connection.clock.advance(0)
    assert client.pending_bytes == 93
    with pytest.raises(PendingBytesExceeded):
        client.publish(b"a", b"x" * 20)


def test_flood_of_pings_is_bounded(server: MemoryServer) -> None:
    """Answers to a server that asks and does not read have a bound, too."""
    _, connection = server.connected(Limits(pending_bytes=100))
    connection.protocol.pauseProducing()
    pings = b"PING\r\n" * 10_000
    for _ in range(20):
        connection.say(pings)
    assert connection.transport.disconnected


def test_flush(client: NatsClient, connection: Connection) -> None:
    """Each flush has its own PING, and the PONGs come in order."""
    client.publish(b"a", b"")
    first, second = client.flush(), client.flush()
    assert connection.heard() == b"PUB a  0\r\n\r\nPING\r\nPING\r\n"
    connection.say(b"PONG\r\n")
    assert (first.called, second.called) == (True, False)
    connection.lose()
    assert isinstance(error_of(second), ConnectionDropped)


def test_statistics(client: NatsClient, connection: Connection) -> None:
    """Messages and bytes, both ways."""
    statistics = client.statistics
    before = (statistics.in_bytes, statistics.out_bytes)
    client.publish(b"a", b"hi")
    sent = connection.heard()
    connection.say(b"MSG x 99 0\r\n\r\nMSG x 99 0\r\n\r\n")
    assert (statistics.in_messages, statistics.out_messages) == (2, 1)
    assert (statistics.in_bytes - before[0], statistics.out_bytes - before[1]) == (28, len(sent))


# -- subscribing


def test_subscribe(client: NatsClient, connection: Connection) -> None:
    """A subscription hears its messages, whatever their subject, until it ends."""
    got: list[Message] = []
    subscription = client.subscribe(b"a.*", got.append, queue=b"q")
    assert connection.heard() == b"SUB a.* q 2\r\n"
    connection.say(b"HMSG a.b 2 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    assert got == [Message(b"a.b", b"2", b"r", b"NATS/1.0\r\n\r\n", b"hi")]
    subscription.unsubscribe()
    subscription.unsubscribe()
    assert connection.heard() == b"UNSUB 2\r\n"
    connection.say(b"MSG a.b 2 2\r\nhi\r\n")
    assert len(got) == 1


def test_replay(client: NatsClient, server: MemoryServer) -> None:
    """Subscriptions are made again on the next connection, for as many messages as remain."""
    client.subscribe(b"ended", lambda message: None).unsubscribe()
    client.subscribe(b"a", lambda message: None)
    client.subscribe(b"b", lambda message: None, queue=b"q", max_messages=3)
    assert server.last.heard().endswith(b"SUB a  3\r\nSUB b q 4\r\nUNSUB 4 3\r\n")
    server.last.say(b"MSG b 4 0\r\n\r\n")
    server.last.lose()
    client.subscribe(b"while.away", lambda message: None)
    server.clock.advance(1)
    server.last.welcome()
    _, _, replayed = server.last.heard().partition(b"*  1\r\n")
    assert replayed == b"SUB a  3\r\nSUB b q 4\r\nUNSUB 4 2\r\nSUB while.away  5\r\n"


def test_max_messages(client: NatsClient, connection: Connection, server: MemoryServer) -> None:
    """After its last message a subscription is over, here and on the next connection."""
    got: list[Message] = []
    client.subscribe(b"a", got.append, max_messages=1)
    connection.heard()
    connection.say(b"MSG a 2 0\r\n\r\nMSG a 2 0\r\n\r\n")
    assert len(got) == 1
    connection.lose()
    server.clock.advance(1)
    server.last.welcome()
    assert b"SUB a " not in server.last.heard()


def test_drain(client: NatsClient, connection: Connection) -> None:
    """A drained subscription hears what was on its way, up to the server's confirmation."""
    got: list[Message] = []
    client.subscribe(b"a", got.append).drain()
    assert connection.heard() == b"SUB a  2\r\nUNSUB 2\r\nPING\r\n"
    connection.say(b"MSG a 2 0\r\n\r\nPONG\r\nMSG a 2 0\r\n\r\n")
    assert len(got) == 1


def test_drain_is_not_replayed(
    client: NatsClient, connection: Connection, server: MemoryServer
) -> None:
    """A connection that ends has drained what was draining."""
    client.subscribe(b"a", lambda message: None).drain()
    connection.lose()
    server.clock.advance(1)
    server.last.welcome()
    assert b"SUB a " not in server.last.heard()


def test_failing_callback(client: NatsClient, connection: Connection) -> None:
    """A callback that raises harms neither the connection nor the next message."""
    got: list[Message] = []

    def fail(message: Message) -> None:
        got.append(message)
        raise RuntimeError("a subscriber's own")

    client.subscribe(b"a", fail)
    connection.heard()
    connection.say(b"MSG a 2 0\r\n\r\nMSG a 2 0\r\n\r\n")
    assert len(got) == 2
    assert client.connected


# -- requesting


def test_request(client: NatsClient, connection: Connection) -> None:
    """Answers find their request, in whatever order they come."""
    first, second = client.request(b"a", b"1"), client.request(b"b", b"2")
    heard = connection.heard()
    to_first, to_second = heard.split()[2], heard.split()[7]
    assert to_first != to_second
    connection.say(b"MSG %b 1 1\r\n2\r\n" % to_second)
    assert (first.called, second.called) == (False, True)
    connection.say(b"MSG %b 1 1\r\n1\r\n" % to_first)
    assert result_of(first).payload == b"1"


def test_second_answer_is_dropped(client: NatsClient, connection: Connection) -> None:
    """A request has one answer."""
    replies: list[Message | NatsError] = []
    client.request_then(b"a", b"", replies.append)
    to = reply_of(connection.heard())
    connection.say(b"MSG %b 1 0\r\n\r\nMSG %b 1 0\r\n\r\n" % (to, to))
    assert len(replies) == 1


def test_no_responders(client: NatsClient, connection: Connection) -> None:
    """The server's 503 is an error; the same status around a payload is somebody's answer."""
    asked, answered = client.request(b"a", b""), client.request(b"a", b"")
    heard = connection.heard().split()
    connection.say(b"HMSG %b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % heard[2])
    assert isinstance(error_of(asked), NoResponders)
    connection.say(b"HMSG %b 1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n" % heard[6])
    assert isinstance(result_of(answered), Message)


def test_time_out(client: NatsClient, connection: Connection, server: MemoryServer) -> None:
    """Each request has its own time; one timer serves all, and rests when none is open."""
    timers = len(server.clock.getDelayedCalls())
    replies: list[tuple[str, Message | NatsError]] = []

    def replied(name: str, reply: Message | NatsError) -> None:
        replies.append((name, reply))

    for name, seconds in (("long", 2.0), ("short", 0.5)):
        client.request_then(b"a", b"", partial(replied, name), timeout_seconds=seconds)
    connection.heard()
    assert len(server.clock.getDelayedCalls()) == timers + 1
    server.clock.advance(0.4)
    assert replies == []
    server.clock.advance(0.2)
    assert [name for name, _ in replies] == ["short"]
    assert isinstance(replies[0][1], RequestTimedOut)
    for _ in range(20):
        server.clock.advance(0.1)
    assert [name for name, _ in replies] == ["short", "long"]
    assert len(server.clock.getDelayedCalls()) == timers


def test_in_flight_when_the_connection_ends(client: NatsClient, connection: Connection) -> None:
    """Open requests fail at once, with an error that does not claim they were not received."""
    seen: list[tuple[Message | NatsError, bool]] = []
    client.request_then(b"a", b"", lambda reply: seen.append((reply, client.connected)))
    connection.heard()
    connection.lose()
    ((error, connected),) = seen
    assert isinstance(error, ConnectionDropped)
    assert not isinstance(error, NotConnected)
    assert not connected


def test_cancelled_request(client: NatsClient, connection: Connection) -> None:
    """A request that nobody waits for any more is forgotten, and its answer dropped."""
    timers = len(connection.clock.getDelayedCalls())
    request = client.request(b"a", b"")
    request.addErrback(lambda failure: None)
    to = reply_of(connection.heard())
    request.cancel()
    connection.clock.advance(0.1)
    assert len(connection.clock.getDelayedCalls()) == timers
    connection.say(b"MSG %b 1 0\r\n\r\n" % to)


def test_refused_request_is_not_answered(client: NatsClient, connection: Connection) -> None:
    """A request that raised has no answer to come, not even an error."""
    replies: list[Message | NatsError] = []
    with pytest.raises(MaxPayloadExceeded):
        client.request_then(b"a", b"x" * 1025, replies.append)
    connection.lose()
    assert replies == []


def test_failing_on_reply(client: NatsClient, connection: Connection) -> None:
    """One caller's failure does not keep the end of the connection from the others."""
    told: list[NatsError | Message] = []

    def fail(reply: NatsError | Message) -> None:
        raise RuntimeError("a caller's own")

    client.request_then(b"a", b"", fail)
    client.request_then(b"a", b"", told.append)
    connection.lose()
    assert len(told) == 1
