"""One try at a callback over our own client: what is sent, and what came of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from faasd_async.call.callback_url import parse
from faasd_async.call.http_form import read, write
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest
from faasd_async.callback import plain
from faasd_async.callback.names import Names
from faasd_async.callback.plain import IDLE_SECONDS, PlainSender
from faasd_async.callback.tried import Try
from faasd_async.callback.way_out import CONNECT_SECONDS, WayOut
from faasd_async.callback.world import World
from faasd_async.callback.written import LONGEST_ANSWER_BYTES
from faasd_async.http.errors import Unsendable

LIMIT_SECONDS = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEADERS = ((b"X-Call-Id", b"1"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"))


def callback(url: bytes = b"http://h/back?x=1", headers: Any = HEADERS) -> CallbackRequest:
    return CallbackRequest("f", CallKey("1", "0"), parse(url), headers, b"the answer")


class Peer(StringTransport):
    """A receiver's end of a connection."""

    aborted = False
    protocol: Any

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.aborted = True

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        super().loseConnection()
        self.hang_up()

    def says(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def hang_up(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


@implementer(IStreamClientEndpoint)
class Receivers:
    """Whoever is connected to; and a sender.

    :ivar reached: which hosts and ports were asked for.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.reached: list[tuple[str, int]] = []
        self.connecting: list[tuple[IProtocolFactory, Deferred[IProtocol]]] = []
        self.tries: list[Try] = []
        self.failures: list[Failure] = []
        self.sender = PlainSender(self.clock, lambda function: LIMIT_SECONDS, self.reach)

    def reach(self, host: str, port: int, calls_function: bool) -> IStreamClientEndpoint:
        self.reached.append((host, port))
        return self

    def connect(
        self,
        protocolFactory: IProtocolFactory,  # noqa: N803 - Twisted's name
    ) -> Deferred[IProtocol]:
        self.connecting.append((protocolFactory, Deferred()))
        return self.connecting[-1][1]

    def take(self) -> Peer:
        factory, connected = self.connecting.pop(0)
        peer = Peer()
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer.protocol = protocol
        protocol.makeConnection(peer)
        connected.callback(protocol)
        return peer

    def send(self, parcel: CallbackRequest | None = None) -> Deferred[Any]:
        sending = self.sender.send(parcel or callback())
        return sending.addCallbacks(self.tries.append, self.failures.append)


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    receivers = Receivers()
    yield receivers
    receivers.clock.advance(IDLE_SECONDS + 1)
    assert not receivers.clock.getDelayedCalls()


def test_what_our_client_sends(receivers: Receivers) -> None:
    """A POST of the letter as it is, to the URL without its credentials, which go in a field."""
    receivers.send(callback(b"http://me:s3cr3t@h:81/back?x=1"))
    peer = receivers.take()
    head, _, body = peer.value().partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert receivers.reached == [("h", 81)]
    assert line == b"POST /back?x=1 HTTP/1.1"
    assert body == b"the answer"
    agent = next(field for field in fields if field.startswith(b"User-Agent: faasd-async/"))
    assert sorted(fields) == sorted(
        [
            b"Host: h:81",
            b"X-Call-Id: 1",
            b"Set-Cookie: a",
            b"Set-Cookie: b",
            b"Authorization: Basic " + b64encode(b"me:s3cr3t"),
            b"Content-Length: 10",
            agent,
        ]
    )
    peer.says(OK)


@pytest.mark.parametrize("url", [b"http://h/back", b"http://me:s3cr3t@h/back"])
@pytest.mark.parametrize("fields", [HEADERS, (*HEADERS, (b"Host", b"else"), (b"TE", b"x"))])
def test_our_client_sends_what_is_stored_as_if_it_were_not(
    receivers: Receivers, url: bytes, fields: Any
) -> None:
    """Which is how a callback comes out of the queue: its fields are not looked at."""
    receivers.send(callback(url, fields))
    peer = receivers.take()
    sent = peer.value()
    peer.clear()
    peer.says(OK)
    receivers.send(callback(url, read(write(b"/", fields, b""))[1]))
    assert peer.value() == sent
    peer.says(OK)


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        (b"http://h", b"POST / HTTP/1.1", b"Host: h"),
        (b"http://H:80?a=b", b"POST /?a=b HTTP/1.1", b"Host: h"),
        (b"http://[::1]:81/a", b"POST /a HTTP/1.1", b"Host: [::1]:81"),
    ],
)
def test_where_our_client_sends_it(
    receivers: Receivers, url: bytes, line: bytes, host: bytes
) -> None:
    """Target and host are told as a browser would."""
    receivers.send(callback(url))
    peer = receivers.take()
    assert peer.value().split(b"\r\n")[:2] == [line, host]
    peer.says(OK)


@pytest.mark.parametrize(
    ("status", "delivered"), [(200, True), (202, True), (204, True), (301, False), (500, False)]
)
def test_what_our_client_calls_a_success(
    receivers: Receivers, status: int, delivered: bool
) -> None:
    """Any 2xx, when its body has been read; a redirect is none."""
    receivers.send()
    peer = receivers.take()
    receivers.clock.advance(2)
    length = b"" if status == 204 else b"Content-Length: 4\r\n"
    peer.says(b"HTTP/1.1 %d No\r\n%b\r\n" % (status, length))
    if status != 204:
        assert receivers.tries == []
        peer.says(b"body")
    (tried,) = receivers.tries
    assert (tried.status, tried.seconds, tried.delivered) == (status, 2, delivered)


def test_how_long_a_receiver_asks_to_stay_away(receivers: Receivers) -> None:
    """Is passed on."""
    receivers.send()
    receivers.take().says(b"HTTP/1.1 503 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n")
    assert receivers.tries == [Try(503, 0, "", b"120")]


def test_one_connection_carries_many_callbacks(receivers: Receivers) -> None:
    """One after the other, for a few seconds."""
    receivers.send()
    peer = receivers.take()
    peer.says(OK)
    receivers.send()
    assert receivers.connecting == []
    peer.says(OK)
    assert [each.status for each in receivers.tries] == [200, 200]
    receivers.clock.advance(IDLE_SECONDS + 1)
    assert peer.disconnecting


def test_a_receiver_that_does_not_answer_in_time(receivers: Receivers) -> None:
    """Is hung up on; the limit is the function's."""
    receivers.send()
    peer = receivers.take()
    receivers.clock.advance(LIMIT_SECONDS)
    assert receivers.tries == [Try(0, LIMIT_SECONDS, "no answer within 30 s")]
    assert peer.aborted


def test_an_answer_without_an_end(receivers: Receivers) -> None:
    """The status has been said: the rest is cut off when the time is up."""
    receivers.send()
    peer = receivers.take()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\nand")
    receivers.clock.advance(LIMIT_SECONDS)
    assert receivers.tries == [Try(200, LIMIT_SECONDS)]
    assert peer.aborted


def test_an_answer_that_is_too_long(receivers: Receivers) -> None:
    """It is cut off at once."""
    receivers.send()
    peer = receivers.take()
    peer.says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * LONGEST_ANSWER_BYTES)
    assert receivers.tries == []
    peer.says(b"x")
    assert receivers.tries == [Try(200, 0)]
    assert peer.aborted


def test_a_receiver_that_refuses(receivers: Receivers) -> None:
    """It is told in words."""
    receivers.send()
    reason = ConnectionRefusedError(111, "Connection refused")
    receivers.connecting.pop()[1].errback(Failure(reason))
    assert receivers.tries == [
        Try(0, 0, "Connection was refused by other side: 111: Connection refused")
    ]


def test_a_receiver_that_cannot_be_reached(receivers: Receivers) -> None:
    """It is not waited for as long as for an answer."""
    receivers.send()
    receivers.clock.advance(CONNECT_SECONDS)
    assert receivers.tries == [Try(0, CONNECT_SECONDS, "no connection within 10 s")]


def test_a_receiver_that_hangs_up(receivers: Receivers) -> None:
    """The callback is not sent again: it may have had its effects."""
    receivers.send()
    peer = receivers.take()
    peer.says(OK)
    receivers.send()
    peer.hang_up()
    assert receivers.tries[1].status == 0
    assert receivers.tries[1].error.startswith("Connection was closed cleanly")
    assert receivers.connecting == []


def test_a_url_our_client_cannot_request(receivers: Receivers) -> None:
    """It may be older than the rule that refuses it; the callback fails, and nothing else."""
    receivers.send(callback(b"http://-a_b/"))
    assert "hyphen" in receivers.tries[0].error


def test_a_try_of_our_client_can_be_cancelled(receivers: Receivers) -> None:
    """It has come to nothing then, and nothing of it goes on."""
    sending = receivers.send()
    peer = receivers.take()
    sending.cancel()
    assert receivers.tries == []
    assert receivers.failures[0].check(CancelledError)
    assert peer.aborted
    assert not receivers.clock.getDelayedCalls()


def test_only_so_many_hosts_are_remembered(
    receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was not sent to longest is forgotten, its connection closed."""
    monkeypatch.setattr(plain, "MOST_HOSTS", 2)
    peers = []
    for host in (b"a", b"b", b"a", b"c"):
        receivers.send(callback(b"http://%b/" % host))
        if receivers.connecting:
            peers.append(receivers.take())
            peers[-1].says(OK)
        else:
            peers[0].says(OK)
    assert [each.disconnecting for each in peers] == [False, True, False]
    assert [each.status for each in receivers.tries] == [200] * 4


def test_a_field_that_would_break_out_of_its_line(receivers: Receivers) -> None:
    """Our client does not send it; what goes out into the world goes by treq then."""
    broken = callback(headers=((b"X-Broken", b"a\nb"),))
    with pytest.raises(Unsendable):
        receivers.sender.send(broken)
    way = WayOut(receivers.clock, Names(cast(Any, receivers.clock)), lambda *asked: None)
    world = World(receivers.clock, lambda function: LIMIT_SECONDS, way)
    asked: list[CallbackRequest] = []

    class Sender:
        async def send(self, parcel: CallbackRequest) -> Try:
            asked.append(parcel)
            return Try(200, 0)

    world._sender = Sender()  # type: ignore[assignment] # treq's place
    tries: list[Try] = []
    world.send(broken).addCallback(tries.append)
    assert (asked, tries) == ([broken], [Try(200, 0)])
    world.send(callback(b"https://h/"))
    assert len(asked) == 2
