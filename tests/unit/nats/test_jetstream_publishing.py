"""Publishing into a stream: each answer of the server's is an acknowledgement or a named error."""

import json

import pytest
from memory_server import Connection, error_of, result_of

from faasd_async.nats import (
    ConnectionDropped,
    NatsError,
    NotConnected,
    RequestTimedOut,
)
from faasd_async.nats.jetstream import (
    JetStream,
    JetStreamApiError,
    JetStreamError,
    NoStream,
    PubAck,
    ResourcesExceeded,
    StoreFailed,
    StreamFull,
    WrongLastSequence,
)


def answer(connection: Connection, payload: bytes) -> None:
    """The server answers the one request it heard."""
    reply = connection.heard().split()[2]
    connection.say(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(payload), payload))


def published(jetstream: JetStream) -> "list[PubAck | NatsError]":
    """Publish by the form with a callable; return where its argument will be."""
    acks: list[PubAck | NatsError] = []
    jetstream.publish_then(b"a.b", b"hi", b"", acks.append)
    return acks


def test_acknowledged(jetstream: JetStream, connection: Connection) -> None:
    """The stream, the sequence, and nothing else that the server may add."""
    acks = published(jetstream)
    answer(connection, b'{"stream":"S","seq":7,"later":{"field":1}}')
    assert acks == [PubAck(stream="S", sequence=7)]


def test_duplicate(jetstream: JetStream, connection: Connection) -> None:
    """A message that was stored before is told from a new one."""
    acks = published(jetstream)
    answer(connection, b'{"stream":"S","seq":7,"duplicate": true}')
    assert acks == [PubAck(stream="S", sequence=7, duplicate=True)]


@pytest.mark.parametrize(
    ("code", "description", "kind"),
    [
        (10071, "wrong last sequence: 1", WrongLastSequence),
        (10077, "maximum messages exceeded", StreamFull),
        (10077, "maximum bytes exceeded", StreamFull),
        (10077, "no space left on device", StoreFailed),
        (10047, "insufficient storage resources available", ResourcesExceeded),
        (12345, "something new", JetStreamApiError),
    ],
)
def test_refused(
    jetstream: JetStream,
    connection: Connection,
    code: int,
    description: str,
    kind: type[JetStreamApiError],
) -> None:
    """A refusal is an error of the kind a caller acts on, with the server's number and words."""
    acks = published(jetstream)
    error = {"code": 400, "err_code": code, "description": description}
    answer(
        connection,
        json.dumps({"error": error, "stream": "S", "seq": 0}, separators=(",", ":")).encode(),
    )
    (refusal,) = acks
    assert type(refusal) is kind
    assert (refusal.code, refusal.err_code, refusal.description) == (400, code, description)


@pytest.mark.parametrize("payload", [b"", b"+OK", b'{"stream":"S"}', b'{"error":7}', b"[]"])
def test_no_acknowledgement(jetstream: JetStream, connection: Connection, payload: bytes) -> None:
    """What somebody else answers is never taken for an acknowledgement."""
    acks = published(jetstream)
    answer(connection, payload)
    assert isinstance(acks[0], JetStreamError)


def test_no_stream(jetstream: JetStream, connection: Connection) -> None:
    """A subject without a stream is told by the server's 503."""
    acks = published(jetstream)
    reply = connection.heard().split()[2]
    connection.say(b"HMSG %b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % reply)
    assert isinstance(acks[0], NoStream)


def test_time_out(jetstream: JetStream, connection: Connection) -> None:
    """No answer is an error of its own, after the time the call gives."""
    acks: list[PubAck | NatsError] = []
    jetstream.publish_then(b"a.b", b"hi", b"", acks.append, timeout_seconds=0.9)
    for _ in range(8):
        connection.clock.advance(0.1)
    assert acks == []
    connection.clock.advance(0.2)
    assert isinstance(acks[0], RequestTimedOut)


def test_connection_lost(jetstream: JetStream, connection: Connection) -> None:
    """A publish under way may have been stored; one without a connection certainly was not."""
    acks = published(jetstream)
    connection.lose()
    assert isinstance(acks[0], ConnectionDropped)
    with pytest.raises(NotConnected):
        published(jetstream)


def test_expectations(jetstream: JetStream, connection: Connection) -> None:
    """The public form writes its conditions as headers."""
    jetstream.publish(
        b"a.b",
        b"hi",
        headers=[(b"A", b"b")],
        expected_last_subject_sequence=0,
        message_id=b"id-1",
    )
    head = b"A: b\r\nNats-Expected-Last-Subject-Sequence: 0\r\nNats-Msg-Id: id-1\r\n\r\nhi\r\n"
    assert connection.heard().endswith(b"\r\nNATS/1.0\r\n" + head)


def test_deferred(jetstream: JetStream, connection: Connection) -> None:
    """The public form fires with the acknowledgement, and fails with the refusal."""
    stored = jetstream.publish(b"a.b", b"hi")
    answer(connection, b'{"stream":"S","seq":7}')
    assert result_of(stored) == PubAck(stream="S", sequence=7)
    refused = jetstream.publish(b"a.b", b"hi")
    answer(connection, b'{"error":{"code":400,"err_code":10071,"description":"no"}}')
    assert isinstance(error_of(refused), WrongLastSequence)
