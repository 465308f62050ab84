"""A snapshot of a stream, as its pieces come."""

from __future__ import annotations

import json
import re

import pytest
from memory_server import MemoryServer, error_of, result_of
from twisted.internet.defer import Deferred

from faasd_async.nats.errors import ConnectionDropped, RequestTimedOut
from faasd_async.nats.jetstream import JetStream, JetStreamError, Snapshots

HEAD = {"config": {"name": "S"}, "state": {"messages": 1}}


class Taken:
    """A client that takes one.

    :ivar came: what it was given, in its order.
    """

    def __init__(self) -> None:
        self.server = MemoryServer()
        client, self.connection = self.server.connected()
        self.came: list[bytes] = []
        self.done = Deferred.fromCoroutine(
            Snapshots(JetStream(client)).take("S", self.came.append, self.came.append)
        )
        said = self.connection.heard()
        found = re.fullmatch(
            rb"SUB (\S+)  (\d+)\r\nPUB \$JS\.API\.STREAM\.SNAPSHOT\.S (\S+) \d+\r\n(.*)\r\n",
            said,
            re.DOTALL,
        )
        assert found is not None, said
        self.inbox, self.sid, self.reply, body = found.groups()
        assert json.loads(body)["deliver_subject"] == self.inbox.decode()

    def answer(self) -> None:
        payload = json.dumps(HEAD).encode()
        self.connection.say(b"MSG %b 1 %d\r\n%b\r\n" % (self.reply, len(payload), payload))

    def piece(self, payload: bytes, reply: bytes = b"") -> None:
        head = b" ".join(filter(None, (b"MSG", self.inbox, self.sid, reply)))
        self.connection.say(b"%b %d\r\n%b\r\n" % (head, len(payload), payload))

    def last(self, status: bytes) -> None:
        block = b"NATS/1.0 %b\r\n\r\n" % status
        self.connection.say(
            b"HMSG %b %b %d %d\r\n%b\r\n" % (self.inbox, self.sid, len(block), len(block), block)
        )


@pytest.fixture
def taken() -> Taken:
    return Taken()


def test_pieces_come_one_after_the_other(taken: Taken) -> None:
    """Those that want to be acknowledged are, when they were taken."""
    taken.answer()
    taken.piece(b"one", b"ack.1")
    assert taken.connection.heard() == b"PUB ack.1  0\r\n\r\n"
    taken.piece(b"two")
    taken.last(b"204")
    result_of(taken.done)
    assert [json.loads(taken.came[0]), *taken.came[1:]] == [HEAD, b"one", b"two"]


def test_what_overtakes_the_answer_comes_after_it(taken: Taken) -> None:
    """The head is first, whatever is heard first: whole snapshots, too."""
    taken.piece(b"one")
    taken.piece(b"")
    assert taken.came == []
    taken.answer()
    result_of(taken.done)
    assert [json.loads(taken.came[0]), *taken.came[1:]] == [HEAD, b"one"]


def test_what_is_not_whole_fails(taken: Taken) -> None:
    """The server's own word for it is told."""
    taken.answer()
    taken.piece(b"one")
    taken.last(b"408 No Flow Response")
    error = error_of(taken.done)
    assert isinstance(error, JetStreamError)
    assert "408 No Flow Response" in str(error)


def test_silence_and_lost_connections_fail(taken: Taken) -> None:
    """Nothing is waited for that does not come."""
    taken.answer()
    taken.connection.clock.advance(61)
    assert isinstance(error_of(taken.done), RequestTimedOut)
    other = Taken()
    other.answer()
    other.connection.lose()
    assert isinstance(error_of(other.done), ConnectionDropped)
