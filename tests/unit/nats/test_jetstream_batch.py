"""Several stored messages for one request."""

import json
import re
from collections.abc import Iterator

import pytest
from memory_server import Connection, MemoryServer, error_of, result_of
from twisted.internet.defer import CancelledError, Deferred

from faasd_async.nats.errors import (
    ConnectionDropped,
    NoResponders,
    NotConnected,
    RequestTimedOut,
)
from faasd_async.nats.jetstream import JetStream, JetStreamError
from faasd_async.nats.jetstream.batch import Batch

PATIENCE_SECONDS = 5.0
END = b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 7\r\n\r\n"


class Asked:
    """A client that has asked for messages."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        client, self.connection = self.server.connected()
        self.batch: Deferred[Batch] = JetStream(
            client, timeout_seconds=PATIENCE_SECONDS
        ).get_messages("S", "s.*", 3, count=5, max_bytes=100)
        said = self.connection.heard()
        found = re.fullmatch(
            rb"SUB (\S+)  (\d+)\r\nPUB (\S+) (\S+) \d+\r\n(.*)\r\n", said, re.DOTALL
        )
        assert found is not None, said
        self.inbox, self.sid, self.subject, reply, body = found.groups()
        assert reply == self.inbox
        self.body = json.loads(body)

    def says(self, block: bytes, payload: bytes = b"") -> None:
        """The server answers."""
        head = (self.inbox, self.sid, len(block), len(block) + len(payload))
        self.connection.say(b"HMSG %b %b %d %d\r\n" % head + block + payload + b"\r\n")

    def gives(self, number: int, headers: bytes = b"") -> None:
        """A stored message."""
        told = b"Nats-Subject: s.x\r\nNats-Sequence: %d\r\n" % number
        told += b"Nats-Time-Stamp: 2026-11-24T07:36:08.263239026Z\r\n"
        self.says(b"NATS/1.0\r\n" + headers + told + b"\r\n", b"m%d" % number)


@pytest.fixture
def asked() -> Iterator[Asked]:
    """After a test nobody listens, and no timer is left."""
    asked = Asked()
    yield asked
    asked.server.last.heard()
    assert asked.batch.called
    assert len(asked.server.clock.getDelayedCalls()) == 1  # the probe of the connection


def unsubscribed(connection: Connection, sid: bytes) -> bool:
    return b"UNSUB %b\r\n" % sid in connection.heard()


def test_what_is_asked(asked: Asked) -> None:
    """One request, under JetStream's names."""
    assert asked.subject == b"$JS.API.DIRECT.GET.S"
    assert asked.body == {"seq": 3, "next_by_subj": "s.*", "batch": 5, "max_bytes": 100}
    asked.says(END)


def test_messages_are_gathered(asked: Asked) -> None:
    """Until the server has said its last word; then nobody listens any more."""
    asked.gives(3, b"A: b\r\n")
    asked.gives(9)
    assert not asked.batch.called
    asked.says(END)
    batch = result_of(asked.batch)
    assert [(each.sequence, each.payload) for each in batch.messages] == [(3, b"m3"), (9, b"m9")]
    assert batch.messages[0].headers.get(b"A") == b"b"
    assert batch.pending == 7
    assert unsubscribed(asked.connection, asked.sid)


def test_there_are_none(asked: Asked) -> None:
    """That is an answer, too."""
    asked.says(b"NATS/1.0 404 Message Not Found\r\n\r\n")
    assert result_of(asked.batch) == ([], 0)


def test_a_messages_own_headers_may_be_anything(asked: Asked) -> None:
    """Where it lies is told by the server, behind what somebody stored."""
    asked.gives(3, b" b\xffad\r\nNats-Sequence: 4\r\n")
    asked.says(END)
    assert [each.sequence for each in result_of(asked.batch).messages] == [3]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b"NATS/1.0 503\r\n\r\n", NoResponders),
        (b"NATS/1.0 408 Bad Request\r\n\r\n", JetStreamError),
        (b"NATS/1.0 204 EOB\r\nNats-Num-Pending: x\r\n\r\n", JetStreamError),
        (b"NATS/1.0\r\n\r\n", JetStreamError),
        (b"NATS/1.0 \r\nbad\r\n\r\n", JetStreamError),
        (b"NATS/1.0\r\nNats-Subject: s\r\nNats-Sequence: x\r\n\r\n", JetStreamError),
    ],
)
def test_other_answers(asked: Asked, block: bytes, error: type[Exception]) -> None:
    """They are an error with a name, and the end of it."""
    asked.gives(3)
    asked.says(block)
    assert type(error_of(asked.batch)) is error
    assert unsubscribed(asked.connection, asked.sid)


def test_silence(asked: Asked) -> None:
    """Each message begins the wait anew; what had come is not taken for the whole."""
    asked.server.clock.advance(PATIENCE_SECONDS - 1)
    asked.gives(3)
    asked.server.clock.advance(PATIENCE_SECONDS - 1)
    assert not asked.batch.called
    asked.server.clock.advance(1)
    assert type(error_of(asked.batch)) is RequestTimedOut


def test_nobody_wants_them_any_more(asked: Asked) -> None:
    """Nobody listens then."""
    asked.batch.cancel()
    assert type(error_of(asked.batch)) is CancelledError
    assert unsubscribed(asked.connection, asked.sid)


def test_the_connection_ends() -> None:
    """The request with it."""
    asked = Asked()
    asked.gives(3)
    asked.connection.lose()
    assert type(error_of(asked.batch)) is ConnectionDropped


def test_without_a_connection() -> None:
    """Nothing is asked, and nothing is left behind."""
    server = MemoryServer()
    server.down = True
    client = server.client()
    listening = len(client._subscriptions)
    batch = JetStream(client).get_messages("S", "s", 1, count=1, max_bytes=1)
    assert type(error_of(batch)) is NotConnected
    assert len(client._subscriptions) == listening
