"""How a client gets in, is kept out, loses its connection and comes back."""

import json

import pytest
from memory_server import MemoryServer, error_of

from faasd_async.nats import (
    AuthorizationFailed,
    ConnectionDropped,
    HandshakeFailed,
    Limits,
    NatsClient,
    NotConnected,
    ProtocolError,
    ServerAddress,
    StaleConnection,
    TlsMissing,
)

A, B = ServerAddress("a"), ServerAddress("b")
STEADY = Limits().longest_delay_seconds
"""After so long, a lost connection is replaced at once."""


def test_handshake(server: MemoryServer) -> None:
    """INFO is answered by CONNECT and PING; the client is connected with the PONG, not before."""
    client = server.client(user="u", password="p")
    waiting = client.when_connected()
    assert server.last.heard() == b""
    server.last.info()
    verb, _, rest = server.last.heard().partition(b" ")
    options, _, ping = rest.partition(b"\r\n")
    assert (verb, ping) == (b"CONNECT", b"PING\r\n")
    spoken = json.loads(options)
    assert spoken["user"] == "u"
    assert spoken["pass"] == "p"
    assert (spoken["verbose"], spoken["pedantic"]) == (False, False)
    assert (spoken["headers"], spoken["no_responders"], spoken["echo"]) == (True, True, True)
    assert not client.connected
    server.last.say(b"PONG\r\n")
    assert client.connected
    assert waiting.called
    assert client.max_payload_bytes == 1024
    assert client.server_info is not None


def test_address_credentials_come_first(server: MemoryServer) -> None:
    """A token in the address replaces the client's own user."""
    server.client([ServerAddress("a", token="t")], user="u", password="p")
    spoken = server.last.welcome()
    assert b'"auth_token":"t"' in spoken
    assert b'"user"' not in spoken


def test_authorization(server: MemoryServer) -> None:
    """Refused credentials are an error with a name, and tried again."""
    client = server.client()
    server.last.info(auth_required=True)
    server.last.heard()
    server.last.say(b"-ERR 'Authorization Violation'\r\n")
    server.last.lose()
    assert isinstance(client.last_error, AuthorizationFailed)
    server.clock.advance(STEADY)
    server.last.welcome()
    assert client.connected
    assert client.last_error is None


def test_tls_missing(server: MemoryServer) -> None:
    """A server that cannot prove who it is gets no credentials from us, where it has to."""
    client = server.client((ServerAddress("a", tls=True),), user="u", password="p")
    server.last.info()
    assert isinstance(client.last_error, TlsMissing)
    assert server.last.heard() == b""
    assert server.last.transport.disconnected


@pytest.mark.parametrize("said", [b"", b'INFO {"max_payload":1}\r\n'])
def test_handshake_times_out(server: MemoryServer, said: bytes) -> None:
    """A server that falls silent, before INFO or before PONG, is given up."""
    client = server.client(limits=Limits(handshake_seconds=3))
    server.last.say(said)
    server.clock.advance(2.9)
    assert client.last_error is None
    server.clock.advance(0.2)
    assert isinstance(client.last_error, HandshakeFailed)
    assert server.last.transport.disconnected


def test_no_nats_server(server: MemoryServer) -> None:
    """What answers in another protocol is hung up on."""
    client = server.client()
    server.last.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert server.last.transport.disconnected
    server.last.lose()
    assert isinstance(client.last_error, HandshakeFailed)


def test_dropped_within_handshake(server: MemoryServer) -> None:
    """A connection that ends before the PONG is an attempt that failed."""
    client = server.client()
    server.last.info()
    server.last.lose()
    assert isinstance(client.last_error, HandshakeFailed)
    server.clock.advance(STEADY)
    assert len(server.connections) == 2


def test_clean_close_reconnects(server: MemoryServer) -> None:
    """A server that hangs up politely is connected to again, at once when it had lasted."""
    client, connection = server.connected()
    server.clock.advance(STEADY)
    connection.lose()
    assert not client.connected
    server.clock.advance(0)
    server.last.welcome()
    assert client.connected
    assert client.statistics.reconnects == 1


def test_lasting_connection_clears_the_record(server: MemoryServer) -> None:
    """However hard it was to connect, a connection that lasted is replaced at once."""
    server.down = True
    client = server.client()
    for _ in range(50):
        server.clock.advance(STEADY)
    server.down = False
    server.clock.advance(STEADY)
    server.last.welcome()
    server.clock.advance(STEADY)
    server.last.lose()
    server.clock.advance(0)
    server.last.welcome()
    assert client.connected


def test_close_at_once_does_not_spin(server: MemoryServer) -> None:
    """A server that hangs up on everybody at once is visited ever more slowly."""
    server.connected()
    for _ in range(8):
        server.last.lose()
        server.clock.advance(STEADY)
        server.last.welcome()
    visits = len(server.connections)
    server.last.lose()
    server.clock.advance(STEADY / 2 - 0.01)
    assert len(server.connections) == visits


def test_back_off(server: MemoryServer) -> None:
    """Refused attempts come ever more slowly, up to a bound."""
    server.down = True
    server.client()
    for _ in range(600):
        server.clock.advance(0.1)
    # From 0.05 s, doubling up to 2 s, each shortened by half at most.
    assert 30 <= len(server.dialled) <= 70


def test_reconnect_now(server: MemoryServer) -> None:
    """The present wait ends, and the next begins small again."""
    server.down = True
    client = server.client()
    for _ in range(100):
        server.clock.advance(0.5)
    attempts = len(server.dialled)
    client.reconnect_now()
    assert len(server.dialled) == attempts + 1
    server.clock.advance(0.05)
    assert len(server.dialled) == attempts + 2


def test_servers_take_turns(server: MemoryServer) -> None:
    """A whole round is tried without waiting, and the round goes on after a lost connection."""
    server.down = True
    server.client([A, B])
    server.clock.advance(0)
    assert server.dialled == [A, B]
    server.down = False
    server.clock.advance(0.05)
    server.last.welcome()
    server.clock.advance(STEADY)
    server.last.lose()
    server.clock.advance(0)
    assert server.dialled == [A, B, A, B]


def test_server_source_is_asked_each_time(server: MemoryServer) -> None:
    """A server that came back elsewhere is found there; no server at all is waited for."""
    known: list[ServerAddress] = []
    client = server.client(lambda: known)
    assert server.dialled == []
    assert isinstance(client.last_error, NotConnected)
    known.append(A)
    client.reconnect_now()
    server.last.welcome()
    known[:] = [B]
    server.clock.advance(STEADY)
    server.last.lose()
    server.clock.advance(0)
    assert server.dialled == [A, B]


def test_server_ping_is_answered(server: MemoryServer) -> None:
    """PING, PONG."""
    _, connection = server.connected()
    connection.say(b"PING\r\n")
    assert connection.heard() == b"PONG\r\n"


def test_stale_connection(server: MemoryServer) -> None:
    """A server that answers no PING is hung up on; one that does is kept."""
    limits = Limits(ping_interval_seconds=10, pings_outstanding=2)
    client, connection = server.connected(limits)
    for _ in range(5):
        server.clock.advance(10)
        assert connection.heard() == b"PING\r\n"
        connection.say(b"PONG\r\n")
    for _ in range(3):
        assert not connection.transport.disconnected
        server.clock.advance(10)
    assert connection.transport.disconnected
    connection.lose()
    assert isinstance(client.last_error, StaleConnection)


def test_garbage_ends_the_connection(server: MemoryServer) -> None:
    """What breaks the protocol is hung up on, and is the reason that is told."""
    client, connection = server.connected()
    connection.say(b"FOO\r\n")
    assert connection.transport.disconnected
    connection.lose()
    assert isinstance(client.last_error, ProtocolError)


def test_lesser_complaint_is_survived(server: MemoryServer) -> None:
    """A permission error leaves the connection, and what follows in the same read, alone."""
    client, connection = server.connected()
    got: list[bytes] = []
    client.subscribe(b"a", lambda message: got.append(message.payload))
    connection.heard()
    connection.say(b"-ERR 'Permissions Violation for Publish to \"x\"'\r\nMSG a 2 2\r\nhi\r\n")
    assert got == [b"hi"]
    assert not connection.transport.disconnecting


def test_last_complaint_is_the_reason(server: MemoryServer) -> None:
    """When the server complains and hangs up, its words are the reason."""
    client, connection = server.connected()
    connection.say(b"-ERR 'Slow Consumer'\r\n")
    connection.lose()
    assert isinstance(client.last_error, ConnectionDropped)
    assert "Slow Consumer" in str(client.last_error)


def test_lame_duck(server: MemoryServer) -> None:
    """With another server to go to, a lame one is left, after it worked off what was sent."""
    client = server.client([A, B])
    server.last.welcome()
    server.last.heard()
    first = server.last
    first.info(ldm=True)
    assert first.heard() == b"PING\r\n"
    assert not first.transport.disconnecting
    first.say(b"PONG\r\n")
    assert first.transport.disconnecting
    first.lose()
    server.clock.advance(STEADY)
    assert server.dialled == [A, B]
    assert not client.connected


def test_lame_duck_alone(server: MemoryServer) -> None:
    """With nowhere else to go, we stay."""
    _, connection = server.connected()
    connection.info(ldm=True)
    assert connection.heard() == b""


def test_new_max_payload(server: MemoryServer) -> None:
    """A later INFO changes what may be published."""
    client, connection = server.connected()
    connection.info(max_payload=5)
    assert client.max_payload_bytes == 5


def test_observers(server: MemoryServer) -> None:
    """Those who observe are told each time until they leave; one that fails harms nobody."""
    client = server.client()
    told: list[str] = []

    def broken() -> None:
        told.append("broken")
        raise RuntimeError("an observer's own")

    client.on_connected(broken)
    leave = client.on_connected(lambda: told.append("up"))
    client.on_disconnected(lambda: told.append("down"))
    server.last.welcome()
    server.last.lose()
    leave()
    server.clock.advance(STEADY)
    server.last.welcome()
    assert told == ["broken", "up", "down", "broken"]


def test_stop(server: MemoryServer) -> None:
    """Stopping flushes, hangs up, and leaves no timer and no reconnection behind."""
    client, connection = server.connected()
    client.publish(b"a", b"last words")
    stopped = client.stop()
    assert connection.heard() == b"PUB a  10\r\nlast words\r\nPING\r\n"
    assert not connection.transport.disconnecting
    connection.say(b"PONG\r\n")
    assert connection.transport.disconnecting
    assert not stopped.called
    connection.lose()
    assert stopped.called
    assert server.clock.getDelayedCalls() == []
    with pytest.raises(NotConnected):
        client.publish(b"a", b"")


def test_stop_gives_up_on_a_silent_server(server: MemoryServer) -> None:
    """A server that confirms no flush does not hold up the stop for ever."""
    client, connection = server.connected(Limits(flush_seconds=2))
    stopped = client.stop()
    server.clock.advance(2)
    assert connection.transport.disconnected
    connection.lose()
    assert stopped.called
    assert server.clock.getDelayedCalls() == []


def test_stop_while_waiting(server: MemoryServer) -> None:
    """Stopping between two attempts ends the wait, and whoever waits for a connection."""
    server.down = True
    client = server.client()
    waiting = client.when_connected()
    assert client.stop().called
    assert server.clock.getDelayedCalls() == []
    assert isinstance(error_of(waiting), NotConnected)
    assert isinstance(error_of(client.when_connected()), NotConnected)


def test_stop_within_handshake(server: MemoryServer) -> None:
    """Stopping during a handshake hangs up."""
    client = server.client()
    server.last.info()
    stopped = client.stop()
    assert server.last.transport.disconnected
    assert stopped.called
    server.last.lose()
    assert server.clock.getDelayedCalls() == []


def test_stop_before_start(server: MemoryServer) -> None:
    """A client that never started has nothing to stop."""
    assert NatsClient(server.clock, [A]).stop().called


def test_cancelled_wait(server: MemoryServer) -> None:
    """Whoever stops waiting for a connection is forgotten."""
    client = server.client()
    waiting = client.when_connected()
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    server.last.welcome()
    assert client.connected
