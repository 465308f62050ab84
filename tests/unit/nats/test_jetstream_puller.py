"""Pulling: whatever becomes of an ask, what was lent for it is given back, exactly."""

import json
from collections.abc import Callable

import pytest
from memory_server import Connection, MemoryServer

from faasd_async.nats import NatsError, NotConnected
from faasd_async.nats.jetstream import (
    ConsumerDeleted,
    ConsumerUnreachable,
    JetStream,
    JetStreamMessage,
    LeadershipChanged,
    Puller,
    PullerStopped,
    PullRefused,
)


class Owner:
    """Somebody who pulls, and counts."""

    def __init__(
        self, server: MemoryServer, give_back: Callable[[JetStreamMessage], None] | None = None
    ) -> None:
        self.server = server
        self.client = server.connected()[0]
        self.messages: list[JetStreamMessage] = []
        self.unused: list[int] = []
        self.errors: list[NatsError] = []
        self.puller = Puller(
            JetStream(self.client),
            "S",
            "c",
            on_message=self.messages.append,
            on_unused=self.unused.append,
            on_error=self.errors.append,
            give_back=give_back,
            expires_seconds=30,
            heartbeat_seconds=10,
        )

    def ask(self, batch: int) -> "Ask":
        """Ask, and see what the server hears of it."""
        self.puller.ask(batch)
        return Ask(self.server.last)


class Ask:
    """One request for messages, seen from the server."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.heard = connection.heard()
        head, _, rest = self.heard.rpartition(b"PUB ")[2].partition(b"\r\n")
        self.subject, self.reply, _ = head.split()
        self.body = json.loads(rest)

    def sid(self) -> bytes:
        """Return the number of the lane; only the first ask of a lane tells it."""
        return self.heard.split()[2]

    def deliver(self, sid: bytes, payload: bytes = b"hi") -> None:
        """The server sends a message."""
        ack = b"$JS.ACK.S.c.1.1.1.1.0"
        self.connection.say(b"MSG s.x %b %b %d\r\n%b\r\n" % (sid, ack, len(payload), payload))

    def answer(self, sid: bytes, status: bytes) -> None:
        """The server sends a status."""
        block = b"NATS/1.0 %b\r\n\r\n" % status
        size = len(block)
        self.connection.say(b"HMSG %b %b %d %d\r\n%b\r\n" % (self.reply, sid, size, size, block))


@pytest.fixture
def owner(server: MemoryServer) -> Owner:
    return Owner(server)


def test_ask(owner: Owner) -> None:
    """An ask names batch, expiry and heartbeat, and a lane that is listened to."""
    ask = owner.ask(3)
    assert ask.subject == b"$JS.API.CONSUMER.MSG.NEXT.S.c"
    assert ask.body == {"batch": 3, "expires": 30 * 10**9, "idle_heartbeat": 10 * 10**9}
    lane = ask.reply.rpartition(b".")[0]
    assert ask.heard.startswith(b"SUB %b.*  %b\r\n" % (lane, ask.sid()))
    assert owner.puller.outstanding == 3


def test_messages(owner: Owner) -> None:
    """Messages are handed on as they come, and are outstanding no more."""
    ask = owner.ask(2)
    ask.deliver(ask.sid(), b"one")
    assert owner.puller.outstanding == 1
    ask.deliver(ask.sid(), b"two")
    assert owner.puller.outstanding == 0
    assert [message.payload for message in owner.messages] == [b"one", b"two"]
    assert owner.unused == []


def test_lane_is_used_again(owner: Owner) -> None:
    """After its last message, or a status, a lane carries the next ask under a new subject."""
    first = owner.ask(1)
    sid = first.sid()
    first.deliver(sid)
    second = owner.ask(1)
    assert second.heard.startswith(b"PUB ")
    assert second.reply != first.reply
    second.answer(sid, b"408 Request Timeout")
    third = owner.ask(1)
    assert third.heard.startswith(b"PUB ")
    third.deliver(sid)
    assert len(owner.messages) == 2
    assert owner.unused == [1]


def test_asks_at_once(owner: Owner) -> None:
    """Several asks are told apart by their lanes."""
    first, second = owner.ask(1), owner.ask(5)
    assert first.sid() != second.sid()
    second.deliver(second.sid())
    first.answer(first.sid(), b"404 No Messages")
    assert owner.puller.outstanding == 4
    assert owner.unused == [1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (b"404 No Messages", None),
        (b"408 Request Timeout", None),
        (b"409 Batch Completed", None),
        (b"409 Consumer Deleted", ConsumerDeleted),
        (b"409 Leadership Change", LeadershipChanged),
        (b"409 Server Shutdown", LeadershipChanged),
        (b"409 Exceeded MaxWaiting", PullRefused),
        (b"400 Bad Request", PullRefused),
        (b"503", ConsumerUnreachable),
    ],
)
def test_statuses(owner: Owner, status: bytes, error: type[NatsError] | None) -> None:
    """The rest of an ask is given back; what asking again does not mend is an error, too."""
    ask = owner.ask(3)
    ask.deliver(ask.sid())
    ask.answer(ask.sid(), status)
    assert owner.unused == [2]
    assert owner.puller.outstanding == 0
    assert [type(e) for e in owner.errors] == ([error] if error else [])


def test_late_status(owner: Owner) -> None:
    """A status of an ask that is over does not end the one its lane carries now."""
    first = owner.ask(1)
    sid = first.sid()
    first.deliver(sid)
    owner.ask(1)
    first.answer(sid, b"408 Request Timeout")
    assert owner.unused == []
    assert owner.puller.outstanding == 1


def test_stored_status_is_a_message(owner: Owner) -> None:
    """A message somebody stored with a status in its headers is a message like any other."""
    ask = owner.ask(1)
    ack, block = b"$JS.ACK.S.c.1.1.1.1.0", b"NATS/1.0 409 Consumer Deleted\r\n\r\n"
    size = len(block)
    ask.connection.say(b"HMSG s.x %b %b %d %d\r\n%b\r\n" % (ask.sid(), ack, size, size, block))
    assert len(owner.messages) == 1
    assert owner.errors == []


def test_heartbeats(owner: Owner, server: MemoryServer) -> None:
    """Heartbeats keep an ask; when they fail to come it is given up and its lane drained."""
    ask = owner.ask(2)
    for _ in range(5):
        server.clock.advance(10)
        ask.answer(ask.sid(), b"100 Idle Heartbeat")
    server.clock.advance(10)
    server.clock.advance(10)
    assert owner.unused == []
    server.clock.advance(10)
    assert owner.unused == [2]
    assert owner.puller.outstanding == 0
    assert b"UNSUB %b\r\nPING\r\n" % ask.sid() in server.last.heard()
    assert b"SUB " in owner.ask(1).heard


def test_late_message(owner: Owner, server: MemoryServer) -> None:
    """A message for an ask that was given up returns to its consumer at once."""
    ask = owner.ask(2)
    for _ in range(3):
        server.clock.advance(10)
    server.last.heard()
    ask.deliver(ask.sid())
    assert owner.messages == []
    assert server.last.heard() == b"PUB $JS.ACK.S.c.1.1.1.1.0  4\r\n-NAK\r\n"


def test_late_message_of_somebody_who_can_wait(server: MemoryServer) -> None:
    """Whoever knows what to do while nothing can be sent is handed it, and settles it."""
    late: list[JetStreamMessage] = []
    owner = Owner(server, late.append)
    ask = owner.ask(2)
    owner.puller.stop()
    ask.deliver(ask.sid())
    (message,) = late
    assert (owner.messages, message.settled) == ([], False)


def test_disconnected(owner: Owner, server: MemoryServer) -> None:
    """With the connection all asks end; the next connection has lanes of its own."""
    ask = owner.ask(2)
    owner.ask(3)
    ask.deliver(ask.sid())
    server.last.lose()
    assert owner.unused == [4]
    assert owner.puller.outstanding == 0
    with pytest.raises(NotConnected):
        owner.puller.ask(1)
    assert owner.puller.outstanding == 0
    server.clock.advance(1)
    server.last.welcome()
    again = owner.ask(1)
    assert again.reply.rpartition(b".")[0] != ask.reply.rpartition(b".")[0]
    assert ask.reply.rpartition(b".")[0] not in again.heard


def test_stop(owner: Owner, server: MemoryServer) -> None:
    """Stopping gives back what is outstanding and returns what still comes."""
    idle = owner.ask(1)
    busy = owner.ask(3)
    idle.deliver(idle.sid())
    timers = len(server.clock.getDelayedCalls())
    owner.puller.stop()
    owner.puller.stop()
    assert owner.unused == [3]
    assert owner.puller.outstanding == 0
    words = server.last.heard()
    assert b"UNSUB %b\r\n" % idle.sid() in words
    assert b"UNSUB %b\r\n" % busy.sid() in words
    busy.deliver(busy.sid())
    assert len(owner.messages) == 1
    assert server.last.heard().endswith(b"-NAK\r\n")
    assert len(server.clock.getDelayedCalls()) < timers
    with pytest.raises(PullerStopped):
        owner.puller.ask(1)
    server.last.lose()
    assert owner.unused == [3]


def test_failing_owner(server: MemoryServer) -> None:
    """An owner that fails loses neither the accounting nor the connection."""

    def fail(what: object) -> None:
        raise RuntimeError("an owner's own")

    client = server.connected()[0]
    puller = Puller(JetStream(client), "S", "c", on_message=fail, on_unused=fail, on_error=fail)
    puller.ask(2)
    ask = Ask(server.last)
    ask.deliver(ask.sid())
    assert puller.outstanding == 1
    ask.answer(ask.sid(), b"409 Consumer Deleted")
    assert puller.outstanding == 0
    assert client.connected


def test_asking_again_from_within(owner: Owner, server: MemoryServer) -> None:
    """Whoever asks again while being told of an end finds the lane free."""
    puller = Puller(
        JetStream(owner.client),
        "S",
        "c",
        on_message=lambda message: puller.ask(1),
        on_unused=lambda count: puller.ask(count),
        on_error=owner.errors.append,
    )
    puller.ask(1)
    ask = Ask(server.last)
    sid = ask.sid()
    ask.deliver(sid)
    second = Ask(server.last)
    assert second.heard.startswith(b"PUB ")
    second.answer(sid, b"408 Request Timeout")
    assert Ask(server.last).heard.startswith(b"PUB ")
    assert puller.outstanding == 1


def test_heartbeat_fits_into_expiry(owner: Owner) -> None:
    """The server refuses a heartbeat longer than half the expiry; so do we, earlier."""
    with pytest.raises(ValueError, match="two heartbeats"):
        Puller(
            JetStream(owner.client),
            "S",
            "c",
            on_message=owner.messages.append,
            on_unused=owner.unused.append,
            on_error=owner.errors.append,
            expires_seconds=10,
            heartbeat_seconds=6,
        )


def test_what_was_asked_for_can_be_withdrawn(owner: Owner) -> None:
    """It is given back, and the server hears that nobody listens for it any more."""
    ask = owner.ask(3)
    ask.deliver(ask.sid(), b"in time")
    owner.puller.withdraw()
    assert owner.puller.outstanding == 0
    assert owner.unused == [2]
    assert ask.connection.heard().startswith(b"UNSUB %b\r\n" % ask.sid())


def test_what_comes_after_it_was_withdrawn_is_handed_on(owner: Owner) -> None:
    """It was on its way; whoever asked knows best what to do with it."""
    ask = owner.ask(2)
    sid = ask.sid()
    owner.puller.withdraw()
    ask.deliver(sid, b"late")
    owner.puller.stop()
    ask.deliver(sid, b"later")
    assert [message.payload for message in owner.messages] == [b"late", b"later"]
    assert owner.unused == [2]
    assert owner.puller.outstanding == 0


def test_asking_after_a_withdrawal(owner: Owner) -> None:
    """A new ask has a lane of its own."""
    first = owner.ask(2)
    owner.puller.withdraw()
    first.connection.heard()
    second = owner.ask(1)
    assert second.sid() != first.sid()
    second.deliver(second.sid())
    assert len(owner.messages) == 1
    assert owner.puller.outstanding == 0
