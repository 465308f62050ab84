"""What is said to NATS Streaming, against what its own clients and server said."""

from __future__ import annotations

import pytest
from recorded_stan import Frame, frames

from faasd_async.nats.stan import messages
from faasd_async.nats.stan.errors import (
    ClientIdTaken,
    PublishRefused,
    SessionRefused,
    SessionUnknown,
    Unintelligible,
)
from faasd_async.nats.stan.limits import StanLimits
from faasd_async.nats.stan.pings import Pings
from faasd_async.nats.stan.session import (
    Introduction,
    Session,
    durable_name,
    new_id,
    read_closed,
    read_pong,
    read_pub_ack,
    read_subscribed,
)

#: What the recorded clients ask for.
THEIRS = StanLimits(ping_interval_seconds=5, pings_outstanding=88)

PRODUCER = Introduction(
    "faas-cluster",
    "faas-publisher-vm",
    b"F001VDW3DX1HonJvk9TV5m",
    b"_INBOX.F001VDW3DX1HonJvk9TV6R",
)
WORKER = Introduction(
    "faas-cluster",
    "faas-worker-vm",
    b"KUuSV5YTbskrfqROivPv6G",
    b"_INBOX.KUuSV5YTbskrfqROivPv7o",
)


def sent(name: str, subject: bytes) -> list[Frame]:
    return [each for each in frames(name) if each.sent and each.subject.startswith(subject)]


def answer_to(name: str, frame: Frame) -> bytes:
    return next(f.payload for f in frames(name) if not f.sent and f.subject == frame.reply)


def session_of(introduction: Introduction, name: str) -> Session:
    (asked,) = [f for f in sent(name, b"_STAN.discover.faas-cluster") if b"pings" not in f.subject]
    return introduction.agree(answer_to(name, asked), THEIRS)


@pytest.mark.parametrize(("introduction", "name"), [(PRODUCER, "producer"), (WORKER, "worker")])
def test_a_session_is_asked_for_as_recorded(introduction: Introduction, name: str) -> None:
    """Subject and bytes."""
    asked = sent(name, b"_STAN.discover")[0]
    assert introduction.connect(THEIRS) == (asked.subject, asked.payload)


def test_the_recorded_answer_is_understood() -> None:
    """It names the subjects of everything else, and how often to ping."""
    session = session_of(WORKER, "worker")
    assert session.publish_prefix == b"_STAN.pub.faas-cluster"
    assert session.ping_subject == b"_STAN.discover.faas-cluster.pings"
    assert (session.ping_interval_seconds, session.pings_outstanding) == (5, 88)


def test_no_more_pings_may_be_missed_than_we_like() -> None:
    """A server that would be content with 88 of them, seven minutes, is not waited for."""
    (asked, *_) = sent("worker", b"_STAN.discover")
    assert WORKER.agree(answer_to("worker", asked), StanLimits()).pings_outstanding == 3


def test_messages_are_published_as_recorded() -> None:
    """Subject and bytes of both."""
    session = session_of(PRODUCER, "producer")
    published = sent("producer", b"_STAN.pub")
    for frame in published:
        found = messages.read(messages.PubMsg, frame.payload)
        assert session.publish("faas-request", found.data, found.guid) == (
            frame.subject,
            frame.payload,
        )
        read_pub_ack(
            next(f.payload for f in frames("producer") if found.guid.encode() in f.payload[:24]),
            found.guid,
        )
    assert len(published) == 2


def test_a_group_is_joined_as_recorded() -> None:
    """Subject, bytes, and where the answer says to acknowledge."""
    session = session_of(WORKER, "worker")
    (asked,) = sent("worker", b"_STAN.sub.")
    inbox = messages.read(messages.SubscriptionRequest, asked.payload).inbox.encode()
    said = session.subscribe("faas-request", "faas", inbox, max_in_flight=1, ack_wait_seconds=2)
    assert said == (asked.subject, asked.payload)
    assert read_subscribed(answer_to("worker", asked)) == b"_INBOX.Wdg4EIY6WgCICSG7qrmQXw"


def test_recorded_deliveries_are_read_and_written_again() -> None:
    """Redeliveries among them: each the same, byte for byte."""
    (asked,) = sent("worker", b"_STAN.sub.")
    inbox = messages.read(messages.SubscriptionRequest, asked.payload).inbox.encode()
    delivered = [f.payload for f in frames("worker") if not f.sent and f.subject == inbox]
    found = [messages.read(messages.MsgProto, each) for each in delivered]
    assert [messages.write(each) for each in found] == delivered
    assert [(m.sequence, m.redelivered, m.redeliveryCount) for m in found] == [
        (1, False, 0),
        (2, False, 0),
        (2, True, 1),
        (2, True, 2),
    ]


def test_pings_and_farewells_are_as_recorded() -> None:
    """Subjects and bytes; the answers say nothing, which means that all is well."""
    session = session_of(WORKER, "worker")
    ping, *_ = sent("worker", b"_STAN.discover.faas-cluster.pings")
    (close,) = sent("worker", b"_STAN.close")
    assert session.ping() == (ping.subject, ping.payload)
    assert session.close() == (close.subject, close.payload)
    read_pong(answer_to("worker", ping))
    read_closed(answer_to("worker", close))


def test_leaving_a_group_names_it() -> None:
    """So that the server keeps what the group remembers."""
    said = session_of(WORKER, "worker").close_subscription("a.b", b"_INBOX.acks")
    found = messages.read(messages.UnsubscribeRequest, said.payload)
    assert said.subject == b"_STAN.subclose.faas-cluster"
    assert (found.clientID, found.subject) == ("faas-worker-vm", "a.b")
    assert (found.inbox, found.durableName) == ("_INBOX.acks", "a_b")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("stan: clientID already registered", ClientIdTaken),
        ("stan: invalid client ID", SessionRefused),
    ],
)
def test_a_refused_session_says_why(text: str, kind: type[SessionRefused]) -> None:
    """An id that another client has is told apart."""
    answer = messages.write(messages.ConnectResponse(error=text))
    with pytest.raises(kind, match=text):
        PRODUCER.agree(answer, THEIRS)


def test_a_publish_can_be_refused() -> None:
    """The acknowledgement's error is read."""
    answer = messages.write(messages.PubAck(guid="g", error="stan: invalid publish request"))
    with pytest.raises(PublishRefused, match="invalid publish request"):
        read_pub_ack(answer, "g")


def test_an_acknowledgement_of_something_else_is_none() -> None:
    """Its guid has to be the message's."""
    with pytest.raises(Unintelligible):
        read_pub_ack(messages.write(messages.PubAck(guid="h")), "g")


def test_a_ping_can_say_that_the_session_is_gone() -> None:
    """Another client has its id, or the server has forgotten it."""
    answer = messages.write(messages.PingResponse(error="client replaced"))
    with pytest.raises(SessionUnknown, match="client replaced"):
        read_pong(answer)


def test_a_refused_subscription_says_why() -> None:
    """So does one without a place for acknowledgements."""
    answer = messages.write(messages.SubscriptionResponse(error="stan: bad"))
    with pytest.raises(SessionRefused, match="stan: bad"):
        read_subscribed(answer)
    with pytest.raises(SessionRefused, match="without an inbox"):
        read_subscribed(b"")


@pytest.mark.parametrize("read", [read_pong, read_closed, read_subscribed])
def test_what_is_no_protocol_buffer_is_told(read: object) -> None:
    """One kind of error, whatever came."""
    with pytest.raises(Unintelligible):
        read(b"\xff\xff\xff")  # type: ignore[operator]  # each takes bytes


def test_an_answer_without_subjects_is_no_session() -> None:
    """Somebody else answers there."""
    with pytest.raises(Unintelligible, match="names no subjects"):
        PRODUCER.agree(b"", THEIRS)


def test_pings_have_to_be_missed_in_a_row() -> None:
    """An answer in between begins the count anew."""
    pings = Pings(2)
    assert not pings.missed()
    pings.answered()
    assert not pings.missed()
    assert pings.missed()


def test_names() -> None:
    """Durable names as OpenFaaS has them; ids differ."""
    assert durable_name("faas-request") == "faas-request"
    assert durable_name("a.b.c") == "a_b_c"
    assert new_id() != new_id()
