"""JetStream's API: what is asked, and what is made of the answers."""

import json

import pytest
from memory_server import Connection, error_of, result_of

from faasd_async.nats.jetstream import (
    ConsumerConfig,
    ConsumerNotFound,
    JetStream,
    JetStreamApiError,
    JetStreamError,
    MessageNotFound,
    StreamConfig,
    StreamInfo,
    StreamNotFound,
)

STREAM = {
    "config": {"name": "S", "unheard_of": 1},
    "created": "2026-11-24T04:21:19.418521109Z",
    "state": {"messages": 1, "bytes": 9, "first_seq": 1, "last_seq": 1, "consumer_count": 0},
}


def asked(connection: Connection, answer: object) -> tuple[str, object]:
    """Answer the one request that was heard; return its subject and body."""
    head, _, rest = connection.heard().partition(b"\r\n")
    _, subject, reply, _ = head.split()
    payload = json.dumps(answer).encode()
    connection.say(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(payload), payload))
    body = rest.removesuffix(b"\r\n")
    return subject.decode(), json.loads(body) if body else None


def test_defaults_are_left_to_the_server(jetstream: JetStream, connection: Connection) -> None:
    """Only what differs from JetStream's defaults is sent, under JetStream's names."""
    config = StreamConfig(name="S", subjects=("s.>",), retention="workqueue", allow_msg_ttl=True)
    ensured = jetstream.ensure_stream(config)
    subject, body = asked(connection, STREAM)
    assert subject == "$JS.API.STREAM.CREATE.S"
    assert body == {
        "name": "S",
        "subjects": ["s.>"],
        "retention": "workqueue",
        "allow_msg_ttl": True,
    }
    assert isinstance(result_of(ensured), StreamInfo)


def test_stream_that_differs_is_updated(jetstream: JetStream, connection: Connection) -> None:
    """A stream of the name with another configuration is changed."""
    ensured = jetstream.ensure_stream(StreamConfig(name="S"))
    asked(connection, {"error": {"code": 400, "err_code": 10058, "description": "in use"}})
    subject, _ = asked(connection, STREAM)
    assert subject == "$JS.API.STREAM.UPDATE.S"
    assert isinstance(result_of(ensured), StreamInfo)


def test_consumer_filter_stays_in_the_body(jetstream: JetStream, connection: Connection) -> None:
    """A wildcard in the subject of the request would be refused; ``ack_policy`` is always sent."""
    config = ConsumerConfig(name="c", ack_policy="explicit", filter_subject="s.*.x.>")
    jetstream.ensure_consumer("S", config)
    subject, body = asked(connection, {})
    assert subject == "$JS.API.CONSUMER.CREATE.S.c"
    assert body == {
        "stream_name": "S",
        "config": {"name": "c", "ack_policy": "explicit", "filter_subject": "s.*.x.>"},
    }


def test_refusal(jetstream: JetStream, connection: Connection) -> None:
    """Numbers become names."""
    info = jetstream.stream_info("S")
    asked(connection, {"error": {"code": 404, "err_code": 10059, "description": "not found"}})
    assert isinstance(error_of(info), StreamNotFound)
    deleted = jetstream.delete_consumer("S", "c")
    asked(connection, {"error": {"code": 404, "err_code": 10014, "description": "not found"}})
    assert isinstance(error_of(deleted), ConsumerNotFound)


def test_unreadable_answer(jetstream: JetStream, connection: Connection) -> None:
    """An answer of another shape is an error with a name, not a surprise of a JSON library's."""
    info = jetstream.stream_info("S")
    asked(connection, {"config": 7})
    assert isinstance(error_of(info), JetStreamError)


def test_subjects_come_in_pages(jetstream: JetStream, connection: Connection) -> None:
    """All subjects are fetched, however few the server names at a time."""

    def page(**subjects: int) -> object:
        return STREAM | {"total": 3, "limit": 2, "state": STREAM["state"] | {"subjects": subjects}}  # type: ignore[operator]

    info = jetstream.stream_info("S", subjects_filter="s.>")
    assert asked(connection, page(a=1, b=2))[1] == {"subjects_filter": "s.>"}
    assert asked(connection, page(c=3))[1] == {"subjects_filter": "s.>", "offset": 2}
    assert result_of(info).state.subjects == {"a": 1, "b": 2, "c": 3}


def test_names_come_in_pages(jetstream: JetStream, connection: Connection) -> None:
    """All consumers are named; a stream without any has none."""
    names = jetstream.consumer_names("S")
    assert asked(connection, {"total": 3, "consumers": ["a", "b"]})[1] == {"offset": 0}
    assert asked(connection, {"total": 3, "consumers": ["c"]})[1] == {"offset": 2}
    assert result_of(names) == ["a", "b", "c"]
    none = jetstream.consumer_names("S")
    asked(connection, {"total": 0, "consumers": None})
    assert result_of(none) == []


def test_purge(jetstream: JetStream, connection: Connection) -> None:
    """How many messages went is returned."""
    purged = jetstream.purge_stream("S", filter="s.x")
    subject, body = asked(connection, {"success": True, "purged": 4})
    assert (subject, body) == ("$JS.API.STREAM.PURGE.S", {"filter": "s.x"})
    assert result_of(purged) == 4


def test_stored_message(jetstream: JetStream, connection: Connection) -> None:
    """Headers and payload are decoded; a message without them has none."""
    got = jetstream.get_next_message("S", "s.>", 3)
    message = {
        "subject": "s.x",
        "seq": 3,
        "hdrs": "TkFUUy8xLjANCkE6IGINCg0K",
        "data": "aGVsbG8=",
        "time": "2026-11-24T04:21:19.424607326Z",
    }
    assert asked(connection, {"message": message})[1] == {"seq": 3, "next_by_subj": "s.>"}
    stored = result_of(got)
    assert (stored.subject, stored.sequence, stored.payload) == ("s.x", 3, b"hello")
    assert stored.headers.get(b"A") == b"b"
    last = jetstream.get_last_message("S", "s.*")
    bare = {"subject": "s.x", "seq": 3, "time": "2026-11-24T04:21:19Z"}
    assert asked(connection, {"message": bare})[1] == {"last_by_subj": "s.*"}
    stored = result_of(last)
    assert (stored.payload, stored.headers.pairs) == (b"", ())


@pytest.mark.parametrize(
    ("err_code", "description", "kind"),
    [
        (10043, "sequence 3 not found", MessageNotFound),
        (10057, "no message found", MessageNotFound),
        (10057, "stream store EOF", MessageNotFound),
        (10057, "disk on fire", JetStreamApiError),
    ],
)
def test_deleting_what_is_gone(
    jetstream: JetStream,
    connection: Connection,
    err_code: int,
    description: str,
    kind: type[JetStreamApiError],
) -> None:
    """The server has several words for it, and one number for all that can go wrong."""
    deleted = jetstream.delete_message("S", 3)
    refusal = {"code": 400, "err_code": err_code, "description": description}
    subject, body = asked(connection, {"error": refusal})
    assert (subject, body) == ("$JS.API.STREAM.MSG.DELETE.S", {"seq": 3, "no_erase": True})
    assert type(error_of(deleted)) is kind
