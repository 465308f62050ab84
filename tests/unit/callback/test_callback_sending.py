"""One try at a callback: what is sent, and what came of it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from OpenSSL.SSL import Error as TlsError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers

from faasd_async.call.callback_url import parse
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.callback.sending import Sender
from faasd_async.callback.tried import Try

LIMIT_SECONDS = 30.0


def callback(url: bytes = b"http://h/back?x=1") -> CallbackRequest:
    headers = [(b"X-Call-Id", b"1"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]
    return CallbackRequest("f", CallKey("1", "0"), parse(url), headers, b"the answer")


@dataclass
class Answer:
    """A response whose body the test ends."""

    code: int
    fields: dict[str, str]
    readers: list[Protocol] = field(default_factory=list)
    transport: StringTransport = field(default_factory=StringTransport)

    @property
    def headers(self) -> Headers:
        return Headers({name: [value] for name, value in self.fields.items()})

    def deliverBody(self, reader: Protocol) -> None:  # noqa: N802
        self.readers.append(reader)
        reader.makeConnection(self.transport)

    def end(self) -> None:
        self.readers[0].connectionLost(Failure(ResponseDone()))


class World:
    """An HTTP client whose answers the test gives."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Deferred[Answer]] = []
        self.tries: list[Try] = []
        self.failures: list[Failure] = []

    def post(self, url: Any, **request: Any) -> Deferred[Answer]:
        self.asked.append((url.to_text(), request))
        self.answers.append(Deferred())
        return self.answers[-1]

    def send(self, parcel: CallbackRequest | None = None) -> Deferred[None]:
        sender = Sender(self.clock, cast(HTTPClient, self), lambda function: LIMIT_SECONDS)
        sending = Deferred.fromCoroutine(sender.send(parcel or callback()))
        return sending.addCallbacks(self.tries.append, self.failures.append)

    def answer(self, status: int, **fields: str) -> Answer:
        answer = Answer(status, {name.replace("_", "-"): each for name, each in fields.items()})
        self.answers[-1].callback(answer)
        return answer

    def fail(self, reason: BaseException) -> None:
        self.answers[-1].errback(Failure(reason))


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_sent(world: World) -> None:
    """A POST of the letter as it is, to the URL without its credentials; nothing follows it."""
    world.send(callback(b"http://me:s3cr3t@h/back?x=1"))
    ((url, request),) = world.asked
    assert url == "http://h/back?x=1"
    assert request["data"] == b"the answer"
    assert request["allow_redirects"] is False
    fields = list(request["headers"].getAllRawHeaders())
    assert (b"Set-Cookie", [b"a", b"b"]) in fields
    assert (b"X-Call-Id", [b"1"]) in fields
    assert (b"Authorization", [b"Basic " + b64encode(b"me:s3cr3t")]) in fields
    assert request["headers"].getRawHeaders("user-agent")[0].startswith("faasd-async/")


def test_without_credentials_there_is_no_authorization(world: World) -> None:
    """None is made up."""
    world.send()
    assert not world.asked[0][1]["headers"].hasHeader("authorization")


@pytest.mark.parametrize(
    ("status", "delivered"), [(200, True), (202, True), (204, True), (301, False), (500, False)]
)
def test_what_is_a_success(world: World, status: int, delivered: bool) -> None:
    """Any 2xx, when its body has been read; a redirect is none."""
    world.send()
    answer = world.answer(status)
    assert world.tries == []
    world.clock.advance(2)
    answer.end()
    (tried,) = world.tries
    assert (tried.status, tried.seconds, tried.delivered) == (status, 2, delivered)
    assert str(tried) == f"status {status}"


def test_how_long_to_stay_away(world: World) -> None:
    """What the receiver asks for is passed on."""
    world.send()
    world.answer(503, Retry_After="120").end()
    assert world.tries[0].retry_after == b"120"


def test_no_answer_in_time(world: World) -> None:
    """The limit is the function's."""
    world.send()
    world.clock.advance(LIMIT_SECONDS)
    assert world.tries == [Try(0, LIMIT_SECONDS, "no answer within 30 s")]
    assert not world.tries[0].delivered


def test_a_body_without_an_end(world: World) -> None:
    """The status has been said: the rest is cut off."""
    world.send()
    answer = world.answer(200)
    world.clock.advance(LIMIT_SECONDS)
    assert world.tries == [Try(200, LIMIT_SECONDS)]
    assert answer.transport.disconnecting


REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (REFUSED, "Connection was refused by other side: 111: Connection refused"),
        (ResponseNeverReceived([Failure(ConnectionLost("bye"))]), "Connection to the other side"),
        (
            RequestTransmissionFailed([Failure(ResponseNeverReceived([Failure(REFUSED)]))]),
            "Connection was refused",
        ),
        (
            ResponseNeverReceived(
                [Failure(TlsError([("SSL routines", "", "certificate verify failed")]))]
            ),
            "TLS: certificate verify failed",
        ),
        (TlsError(), "TLS: the connection broke off"),
        (ResponseNeverReceived([]), "[]"),
        (ValueError(), "ValueError"),
    ],
)
def test_why_there_was_no_answer(world: World, reason: BaseException, words: str) -> None:
    """In words, without the wrappers of the client."""
    world.send()
    world.fail(reason)
    (tried,) = world.tries
    assert tried.status == 0
    assert tried.error.startswith(words)
    assert "Failure" not in tried.error


def test_a_url_that_cannot_be_requested(world: World) -> None:
    """It may be older than the rule that refuses it; the callback fails, and nothing else."""
    world.send(callback(b"https://a_b/"))
    assert "a_b" in world.tries[0].error


def test_a_try_can_be_cancelled(world: World) -> None:
    """It has come to nothing then."""
    sending = world.send()
    sending.cancel()
    assert world.tries == []
    assert world.failures[0].check(CancelledError)
    assert world.clock.getDelayedCalls() == []
