"""One connection: what is written, what is told, and when it can serve again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_host import CLOSE, HEAD, OK, OK_TOLD, PART, PART_TOLD, Setting, Told
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.http.errors import BadReply, BrokenOff, NotSent
from faasd_async.http.upload import PIECE_BYTES


@pytest.mark.parametrize("body", [b"", b"body", bytes(PIECE_BYTES)])
def test_one_write(setting: Setting, body: bytes) -> None:
    """Head and body leave in one piece."""
    exchange = setting.send(body=body)
    peer = setting.host.take()
    assert peer.io.getvalue() == HEAD + body
    assert peer.producer is None
    assert exchange.sent


def test_reply(setting: Setting) -> None:
    """Head, body and end are told, in this order, and the connection is kept."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer()
    assert exchange.told == OK_TOLD
    assert not peer.disconnecting
    assert len(setting.pool) == 1


def test_reply_in_pieces(setting: Setting) -> None:
    """Pieces are told as they come."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(b"HTTP/1.1 200 OK\r\nContent-Le")
    assert exchange.told == []
    peer.answer(b"ngth: 4\r\n\r\n")
    assert exchange.told == [(200, [(b"Content-Length", b"4")])]
    peer.answer(b"ab")
    peer.answer(b"cd")
    assert exchange.told[1:] == [b"ab", b"cd", "ended"]


def test_reply_that_the_end_completes(setting: Setting) -> None:
    """A body without a length is whole when the peer hangs up properly."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(b"HTTP/1.1 200 OK\r\n\r\nall")
    peer.hang_up()
    assert exchange.told == [(200, []), b"all", "ended"]


def test_reset_completes_nothing(setting: Setting) -> None:
    """A reset in place of a proper end may have cost some of the body."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(b"HTTP/1.1 200 OK\r\n\r\nall")
    peer.reset()
    *before, end = exchange.told
    assert before == [(200, []), b"all"]
    assert isinstance(end, BrokenOff)


@pytest.mark.parametrize(
    "reply",
    [CLOSE, b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", OK + b"surplus"],
)
def test_connection_that_is_not_kept(setting: Setting, reply: bytes) -> None:
    """A reply that says so, an old server, bytes nobody asked for: the reply counts, its
    connection is closed, and its place is free at once."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(reply)
    assert exchange.told[-1] == "ended"
    assert peer.disconnecting
    assert not peer.aborted
    assert len(setting.pool) == 0


def test_answer_to_nothing(setting: Setting) -> None:
    """A kept connection on which something comes is closed."""
    peer = setting.kept()
    peer.answer()
    assert peer.aborted
    assert len(setting.pool) == 0


def test_garbage(setting: Setting) -> None:
    """What is no reply breaks the exchange, and the connection is reset."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(b"SSH-2.0-OpenSSH\r\n")
    assert exchange.failed_with(BadReply)
    assert peer.aborted
    assert len(setting.pool) == 0


def test_garbage_within_the_body(setting: Setting) -> None:
    """What came before is told first."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
    head, piece, end = exchange.told
    assert (head, piece) == ((200, [(b"Transfer-Encoding", b"chunked")]), b"ok")
    assert isinstance(end, BadReply)
    assert peer.aborted


def test_garbage_behind_a_reply_that_is_let_go(setting: Setting) -> None:
    """Who lets go of a reply is not told how it ends."""
    exchange = setting.send()
    exchange.then = lambda _: exchange.abort()
    peer = setting.host.take()
    peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
    assert len(exchange.told) == 1


@pytest.mark.parametrize("hang_up", ["hang_up", "reset"])
def test_broken_off(setting: Setting, hang_up: str) -> None:
    """A peer that hangs up within the body has broken off; so it has before the head."""
    within, before = setting.send(), setting.send()
    peers = setting.host.take(), setting.host.take()
    peers[0].answer(PART)
    for peer in peers:
        getattr(peer, hang_up)()
    assert within.told[:-1] == PART_TOLD
    assert isinstance(within.told[-1], BrokenOff)
    assert before.failed_with(BrokenOff).startswith("Connection")


def test_head_only(setting: Setting) -> None:
    """A reply to HEAD is whole with its head, and the connection serves on."""
    for _ in range(2):
        exchange = setting.send(b"HEAD")
        peer = setting.host.peers[0] if setting.host.peers else setting.host.take()
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert exchange.told == [(200, [(b"Content-Length", b"5")]), "ended"]


def test_pause(setting: Setting) -> None:
    """Pausing stops the transport, resuming lets it go on; twice is as good as once."""
    exchange = setting.send()
    peer = setting.host.take()
    peer.answer(PART)
    exchange.pause()
    exchange.pause()
    assert peer.producerState == "paused"
    exchange.resume()
    exchange.resume()
    assert peer.producerState == "producing"


def test_pause_ends_with_the_reply(setting: Setting) -> None:
    """A reply that is whole when it is paused leaves a connection that reads: its peer's end is to
    be seen."""
    exchange = setting.send()
    peer = setting.host.take()
    exchange.pause()
    peer.answer()
    assert peer.producerState == "producing"
    exchange.pause()
    assert peer.producerState == "producing"


@pytest.mark.parametrize("at", [0, 1])
def test_abort_from_within(setting: Setting, at: int) -> None:
    """Who aborts while it is told something is told nothing more."""
    exchange = setting.send()
    exchange.then = lambda _: len(exchange.told) == at + 1 and exchange.abort()
    peer = setting.host.take()
    peer.answer(PART + b"more")
    assert len(exchange.told) == at + 1
    assert peer.aborted
    assert len(setting.pool) == 0
    peer.reset()
    assert len(exchange.told) == at + 1


@pytest.mark.parametrize("at", [0, 1])
def test_abort_of_a_whole_reply(setting: Setting, at: int) -> None:
    """A reply that came whole owns its connection no more, whenever it is let go of."""
    exchange = setting.send()
    exchange.then = lambda _: len(exchange.told) == at + 1 and exchange.abort()
    peer = setting.host.take()
    peer.answer()
    assert exchange.told == OK_TOLD[: at + 1]
    exchange.abort()
    assert not peer.disconnecting
    assert len(setting.pool) == 1


def test_next_from_within(setting: Setting) -> None:
    """The connection is free before the reply is told, so the next request goes out on it."""
    first, second = Told(), Told()
    first.then = lambda what: what == "ended" and setting.pool.send(second)
    setting.pool.send(first)
    peer = setting.host.take()
    peer.answer()
    assert first.told == OK_TOLD
    assert peer.requests == 2
    peer.answer(PART)
    assert second.told == PART_TOLD


def test_failing_receiver(setting: Setting) -> None:
    """An exchange whose owner fails is let go of, and that is logged."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    exchange = setting.send()
    exchange.then = lambda _: 1 / 0
    peer = setting.host.take()
    peer.answer(PART)
    globalLogPublisher.removeObserver(events.append)
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
    assert peer.aborted
    assert len(setting.pool) == 0


BIG = bytes(range(256)) * (PIECE_BYTES // 256) * 2 + b"rest"


def test_big_body(setting: Setting) -> None:
    """A big body goes out piece by piece, each when the transport asks for it."""
    exchange = setting.send(body=BIG)
    peer = setting.host.take()
    assert peer.value() == HEAD + BIG[:PIECE_BYTES]
    assert peer.streaming is False
    while peer.producer is not None:
        peer.producer.resumeProducing()
    assert peer.value() == HEAD + BIG
    peer.answer()
    assert exchange.told == OK_TOLD
    assert not peer.disconnecting


def test_early_reply(setting: Setting) -> None:
    """A reply that comes while the body is on its way counts; the connection is closed then."""
    exchange = setting.send(body=BIG)
    peer = setting.host.take()
    peer.answer(PART)
    assert not peer.disconnecting
    peer.producer.resumeProducing()
    peer.answer(b"whole")
    assert exchange.told == [*PART_TOLD, b"whole", "ended"]
    assert peer.aborted


def test_early_head_and_late_end(setting: Setting) -> None:
    """A reply that begins while the body is on its way and ends after it leaves a connection that
    serves on."""
    exchange = setting.send(body=BIG)
    peer = setting.host.take()
    peer.answer(PART)
    while peer.producer is not None:
        peer.producer.resumeProducing()
    peer.answer(b"whole")
    assert exchange.told[-1] == "ended"
    assert not peer.disconnecting


class Streamed:
    """A body that comes from elsewhere."""

    def __init__(self) -> None:
        self.stopped = False

    def begin(self, transport: ITCPTransport, done: Callable[[], object]) -> None:
        self.transport, self.done = transport, done
        transport.registerProducer(self, True)

    def end(self) -> None:
        self.transport.write(b"late")
        self.transport.unregisterProducer()
        self.done()

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped = True


def test_streamed_body(setting: Setting) -> None:
    """A body can come from elsewhere, at the transport's pace."""
    body = Streamed()
    exchange = setting.send(body=body)
    peer = setting.host.take()
    assert (peer.value(), peer.producer, peer.streaming) == (HEAD, body, True)
    body.end()
    peer.answer()
    assert peer.value() == HEAD + b"late"
    assert exchange.told == OK_TOLD
    assert not peer.disconnecting


def test_own_peer(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose two ends are one is none: nobody listens there."""
    address = IPv4Address("TCP", "127.0.0.1", 40000)
    monkeypatch.setattr("memory_host.Peer.getHost", lambda _: address)
    monkeypatch.setattr("memory_host.Peer.getPeer", lambda _: address)
    exchange = setting.send()
    peer = setting.host.take()
    assert exchange.failed_with(NotSent) == "nobody listens there"
    assert not exchange.sent
    assert peer.disconnecting
    assert peer.value() == b""
