"""A session with NATS Streaming, in time: what is tried again, when, and what is given up."""

from __future__ import annotations

import re
from typing import Any

import pytest
from memory_server import MemoryServer, error_of

from faasd_async.nats import NatsError, NoResponders, RequestTimedOut
from faasd_async.nats.stan import (
    NoSession,
    PublishRefused,
    SessionRefused,
    StanClient,
    StanLimits,
    StanMessage,
    TooManyUnanswered,
    messages,
)

_PUB = re.compile(rb"PUB (\S+) (\S*) (\d+)\r\n")
_SUB = re.compile(rb"SUB (\S+) +(\S+)\r\n")
_NOBODY = b"NATS/1.0 503\r\n\r\n"


class Asked:
    """Something that the client said, and where it wants the answer."""

    def __init__(self, subject: bytes, reply: bytes, payload: bytes) -> None:
        self.subject = subject
        self.reply = reply
        self.payload = payload


class Server:
    """A NATS Streaming server made of the test's own words, behind a NATS server likewise."""

    def __init__(self) -> None:
        self.nats = MemoryServer()
        self.clock = self.nats.clock
        self._sids: list[tuple[bytes, bytes]] = []

    def client(self, limits: StanLimits | None = None) -> StanClient:
        nats = self.nats.client(started=False)
        return StanClient(self.clock, nats, "test", "me", limits)

    def welcome(self) -> None:
        """NATS lets the client in."""
        self._sids = []
        self.nats.last.info()
        self._hear()
        self.nats.last.say(b"PONG\r\n")

    def _hear(self) -> bytes:
        words = self.nats.last.heard()
        self._sids += [(subject, sid) for subject, sid in _SUB.findall(words)]
        return words

    def asked(self) -> list[Asked]:
        """What the client has said since it was listened to last."""
        words, found = self._hear(), []
        for match in _PUB.finditer(words):
            end = match.end() + int(match[3])
            found.append(Asked(match[1], match[2], words[match.end() : end]))
        return found

    def ask(self, subject: bytes) -> Asked:
        """The one thing that was said."""
        (asked,) = self.asked()
        assert asked.subject == subject
        return asked

    def say(self, subject: bytes, payload: bytes) -> None:
        sid = self._sid(subject)
        self.nats.last.say(b"MSG %b %b %d\r\n%b\r\n" % (subject, sid, len(payload), payload))

    def answer(self, asked: Asked, answer: Any) -> None:
        self.say(asked.reply, messages.write(answer))

    def answer_nobody(self, asked: Asked) -> None:
        """As NATS does for a subject that nobody listens to."""
        sid, size = self._sid(asked.reply), len(_NOBODY)
        head = b"HMSG %b %b %d %d\r\n" % (asked.reply, sid, size, size)
        self.nats.last.say(head + _NOBODY + b"\r\n")

    def _sid(self, subject: bytes) -> bytes:
        for pattern, sid in reversed(self._sids):
            if pattern == subject or (pattern.endswith(b"*") and subject.startswith(pattern[:-1])):
                return sid
        raise AssertionError(f"nobody listens to {subject!r}")

    def let_in(self) -> Any:
        """Agree to a session; return what was asked for."""
        asked = self.ask(b"_STAN.discover.test")
        self.answer(
            asked,
            messages.ConnectResponse(
                pubPrefix="pub",
                subRequests="sub",
                closeRequests="close",
                subCloseRequests="subclose",
                pingRequests="ping",
            ),
        )
        return messages.read(messages.ConnectRequest, asked.payload)


@pytest.fixture
def server() -> Server:
    return Server()


def opened(server: Server, limits: StanLimits | None = None) -> StanClient:
    """A client in a session."""
    client = server.client(limits)
    client.start()
    server.welcome()
    server.let_in()
    assert client.open
    return client


def published(client: StanClient) -> list[NatsError | None]:
    """Publish; return where the end of it will be."""
    acks: list[NatsError | None] = []
    client.publish_then("c", b"x", acks.append)
    return acks


def test_pings_keep_a_session(server: Server) -> None:
    """One every interval, with the session's own id."""
    client = opened(server)
    for _ in range(5):
        server.clock.advance(5)
        server.answer(server.ask(b"ping"), messages.PingResponse())
    assert client.open
    assert client.sessions == 1


def test_pings_that_nobody_answers_lose_it(server: Server) -> None:
    """After as many as may be missed, another session is asked for in the same moment; before that
    it is found out whether the server has come back meanwhile."""
    client = opened(server)
    while client.open:
        server.clock.advance(0.1)
        assert server.clock.seconds() < 21
    *pings, looked = server.asked()
    assert [ping.subject for ping in pings] == [b"ping"] * 3
    server.answer(looked, messages.PingResponse(error="unknown"))
    server.let_in()
    assert client.sessions == 2


def test_publishes_that_time_out_ask_once(server: Server) -> None:
    """However many there are."""
    client = opened(server, StanLimits(publish_seconds=1.0))
    for _ in range(10):
        published(client)
    server.asked()
    server.clock.pump([0.1] * 12)
    server.ask(b"ping")


def test_a_ping_s_error_loses_it_at_once(server: Server) -> None:
    """The server has forgotten us: a new session, with a new id of its connection."""
    client = opened(server)
    server.clock.advance(5)
    server.answer(server.ask(b"ping"), messages.PingResponse(error="unknown"))
    assert not client.open
    server.answer(server.ask(b"ping"), messages.PingResponse(error="unknown"))
    server.let_in()
    assert client.open


def test_a_session_that_the_server_still_knows_is_ended(server: Server) -> None:
    """After the connection to NATS ended: so that the new one need not wait for the server to find
    out that we are not alive twice."""
    client = opened(server)
    server.nats.last.lose()
    server.clock.advance(1)
    server.welcome()
    server.answer(server.ask(b"ping"), messages.PingResponse())
    server.answer(server.ask(b"close"), messages.CloseResponse())
    server.let_in()
    assert (client.sessions, client.client_id) == (2, "me")


def test_an_earlier_session_is_ended_when_its_server_is_back(server: Server) -> None:
    """It is asked until it answers: NATS may be there long before NATS Streaming is."""
    client = opened(server)
    server.nats.last.lose()
    server.clock.advance(1)
    server.welcome()
    for _ in range(3):
        server.answer_nobody(server.ask(b"ping"))
        server.clock.advance(0.5)
    server.answer(server.ask(b"ping"), messages.PingResponse())
    server.answer(server.ask(b"close"), messages.CloseResponse())
    server.let_in()
    assert client.sessions == 2


def test_each_session_has_ids_of_its_own(server: Server) -> None:
    """And a heartbeat inbox, the earlier one being closed: or the server would take us for another
    client that is alive."""
    client = server.client()
    client.start()
    server.welcome()
    first = server.let_in()
    server.nats.last.lose()
    server.clock.advance(1)
    server.welcome()
    server.answer(server.ask(b"ping"), messages.PingResponse(error="unknown"))
    second = server.let_in()
    assert first.connID != second.connID
    assert first.heartbeatInbox != second.heartbeatInbox
    with pytest.raises(AssertionError, match="nobody listens"):
        server.say(first.heartbeatInbox.encode(), b"")


def test_an_id_that_is_taken_gets_something_behind_it(server: Server) -> None:
    """Another client is alive under it; the group does not mind what its members are called."""
    client = server.client()
    client.start()
    server.welcome()
    asked = server.ask(b"_STAN.discover.test")
    taken = "stan: clientID already registered"
    server.answer(asked, messages.ConnectResponse(error=taken))
    asked_for = server.let_in()
    assert re.fullmatch(r"me-[0-9a-f]{6}", asked_for.clientID)
    assert client.client_id == asked_for.clientID


def test_a_client_that_is_not_wanted_cannot_start(server: Server) -> None:
    """The server's reason is told."""
    started = server.client().start()
    server.welcome()
    asked = server.ask(b"_STAN.discover.test")
    server.answer(asked, messages.ConnectResponse(error="stan: invalid client ID"))
    error = error_of(started)
    assert isinstance(error, SessionRefused)
    assert "invalid client ID" in str(error)


def test_a_server_that_is_not_there_yet_is_asked_again(server: Server) -> None:
    """Soon, and then less often."""
    client = server.client()
    client.start()
    server.welcome()
    for _ in range(4):
        server.answer_nobody(server.ask(b"_STAN.discover.test"))
        assert server.asked() == []
        server.clock.advance(0.5)
    server.let_in()
    assert client.open


def test_heartbeats_are_answered(server: Server) -> None:
    """By an empty message, where the server wants it."""
    client = server.client()
    client.start()
    server.welcome()
    inbox = server.let_in().heartbeatInbox.encode()
    server.nats.last.say(b"MSG %b %b alive? 0\r\n\r\n" % (inbox, server._sid(inbox)))
    answer = server.ask(b"alive?")
    assert answer.payload == b""


def test_a_publish_that_is_not_acknowledged_frees_its_place(server: Server) -> None:
    """And is told as one of which nobody knows; the session is looked after."""
    client = opened(server, StanLimits(unanswered=1, publish_seconds=1.0))
    first = published(client)
    with pytest.raises(TooManyUnanswered):
        published(client)
    server.asked()
    server.clock.pump([0.1] * 12)
    assert [type(each) for each in first] == [RequestTimedOut]
    server.answer(server.ask(b"ping"), messages.PingResponse())
    second = published(client)
    asked = server.ask(b"pub.c")
    guid = messages.read(messages.PubMsg, asked.payload).guid
    server.answer(asked, messages.PubAck(guid=guid))
    assert second == [None]


def test_a_publish_that_nobody_takes_was_not_stored(server: Server) -> None:
    """The server is gone though NATS is not: there is no session from that moment on."""
    client = opened(server)
    acks = published(client)
    server.answer_nobody(server.ask(b"pub.c"))
    assert [type(each) for each in acks] == [NoResponders]
    with pytest.raises(NoSession):
        published(client)


def test_a_refused_publish_has_the_session_looked_after(server: Server) -> None:
    """It may be refused because the server does not know us any more."""
    client = opened(server)
    acks = published(client)
    asked = server.ask(b"pub.c")
    server.answer(asked, messages.PubAck(error="stan: invalid publish request"))
    assert [type(each) for each in acks] == [PublishRefused]
    server.answer(server.ask(b"ping"), messages.PingResponse(error="unknown"))
    assert not client.open


def test_a_message_before_its_subscription_is_not_lost(server: Server) -> None:
    """It may come before the answer that says where to acknowledge it."""
    client = opened(server)
    got: list[StanMessage] = []
    client.subscribe("c", "g", got.append, max_in_flight=5, ack_wait_seconds=30)
    asked = server.ask(b"sub")
    request = messages.read(messages.SubscriptionRequest, asked.payload)
    server.say(request.inbox.encode(), messages.write(messages.MsgProto(sequence=1, data=b"x")))
    assert got == []
    server.answer(asked, messages.SubscriptionResponse(ackInbox="acks"))
    assert [each.data for each in got] == [b"x"]
    got[0].ack()
    assert messages.read(messages.Ack, server.ask(b"acks").payload).sequence == 1


def test_an_acknowledgement_of_an_earlier_session_is_not_sent(server: Server) -> None:
    """It would go to nobody: the message comes again."""
    client = opened(server)
    got: list[StanMessage] = []
    client.subscribe("c", "g", got.append, max_in_flight=5, ack_wait_seconds=30)
    asked = server.ask(b"sub")
    server.answer(asked, messages.SubscriptionResponse(ackInbox="acks"))
    request = messages.read(messages.SubscriptionRequest, asked.payload)
    server.say(request.inbox.encode(), messages.write(messages.MsgProto(sequence=1, data=b"x")))
    server.nats.last.lose()
    with pytest.raises(NatsError):
        got[0].ack()


def test_a_subscription_that_is_refused_has_everything_tried_again(server: Server) -> None:
    """A session without it would look alive and bring nothing."""
    client = opened(server)
    client.subscribe("c", "g", lambda message: None, max_in_flight=5, ack_wait_seconds=30)
    server.answer(server.ask(b"sub"), messages.SubscriptionResponse(error="stan: try again"))
    assert not client.open


def test_what_is_no_message_is_passed_over(server: Server) -> None:
    """Whoever sent it."""
    client = opened(server)
    got: list[StanMessage] = []
    client.subscribe("c", "g", got.append, max_in_flight=5, ack_wait_seconds=30)
    asked = server.ask(b"sub")
    server.answer(asked, messages.SubscriptionResponse(ackInbox="acks"))
    request = messages.read(messages.SubscriptionRequest, asked.payload)
    server.say(request.inbox.encode(), b"\xff\xff")
    server.say(request.inbox.encode(), messages.write(messages.MsgProto(sequence=2)))
    assert [each.sequence for each in got] == [2]


def test_stopping_leaves_the_group_and_ends_the_session(server: Server) -> None:
    """In this order; then nothing is left to be done."""
    client = opened(server)
    client.subscribe("c", "g", lambda message: None, max_in_flight=5, ack_wait_seconds=30)
    server.answer(server.ask(b"sub"), messages.SubscriptionResponse(ackInbox="acks"))
    client.stop()
    (leave,) = server.asked()
    server.answer(leave, messages.CloseResponse())
    (close,) = server.asked()
    assert (leave.subject, close.subject) == (b"subclose", b"close")
    server.answer(close, messages.CloseResponse())
    server.nats.last.heard()
    server.nats.last.say(b"PONG\r\n")
    server.nats.last.lose()
    server.clock.pump([1] * 10)
    assert server.clock.getDelayedCalls() == []
