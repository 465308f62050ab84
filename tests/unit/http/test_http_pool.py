"""The connections to one host: how many, for how long, and what happens when one is lost."""

from __future__ import annotations

import pytest
from memory_host import CLOSE, OK_TOLD, PART, PART_TOLD, Setting
from test_http_connection import Streamed

from faasd_async.http import pool
from faasd_async.http.errors import BrokenOff, NotSent


def test_connections_are_kept(setting: Setting) -> None:
    """One exchange after the other goes over one connection."""
    peer = setting.kept()
    for _ in range(3):
        exchange = setting.send()
        peer.answer()
        assert exchange.told == OK_TOLD
    assert peer.requests == 4
    assert not setting.host.connecting


def test_the_last_one_used_is_used_first(setting: Setting) -> None:
    """Of several kept ones the freshest carries the next exchange."""
    setting.send(), setting.send()
    first, second = setting.host.take(), setting.host.take()
    second.answer()
    first.answer()
    setting.send()
    assert (first.requests, second.requests) == (2, 1)


def test_no_more_than_allowed(setting: Setting) -> None:
    """What finds no connection free waits, and goes out in order."""
    exchanges = [setting.send() for _ in range(4)]
    assert len(setting.host.connecting) == 2
    first, second = setting.host.take(), setting.host.take()
    second.answer()
    assert (first.requests, second.requests) == (1, 2)
    second.answer()
    assert exchanges[1].told == exchanges[2].told == OK_TOLD
    first.answer()
    second.answer()
    assert exchanges[0].told == exchanges[3].told == OK_TOLD
    assert (first.requests, second.requests) == (1, 3)


@pytest.mark.parametrize("end", ["close", "reset", "abort", "refuse", "give up"])
def test_a_place_that_is_free_is_taken(setting: Setting, end: str) -> None:
    """However a connection comes to its end, one is made for whoever waits."""
    going = [setting.send(), setting.send()]
    waiting = setting.send()
    if end == "refuse":
        setting.host.refuse()
    elif end == "give up":
        going[0].abort()
        setting.host.connecting.pop(0)
    else:
        peer = setting.host.take()
        {"close": lambda: peer.answer(CLOSE), "reset": peer.reset, "abort": going[0].abort}[end]()
    assert len(setting.pool) == 2
    setting.host.take()
    setting.host.take().answer()
    assert waiting.told == OK_TOLD


def test_waiting_is_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than so many are refused, and nothing of them was sent."""
    monkeypatch.setattr(pool, "MAX_WAITING", 1)
    setting.send(), setting.send(), setting.send()
    exchange = setting.send()
    assert exchange.failed_with(NotSent) == "1 requests wait for a connection already"


def test_aborted_while_it_waits(setting: Setting) -> None:
    """Who gives up waiting is passed over."""
    setting.send(), setting.send()
    waiting, next_one = setting.send(), setting.send()
    waiting.pause()
    waiting.resume()
    waiting.abort()
    peer = setting.host.take()
    peer.answer()
    assert peer.requests == 2
    peer.answer()
    assert next_one.told == OK_TOLD
    assert waiting.told == []
    assert not waiting.sent


def test_idle_connections_are_closed(setting: Setting) -> None:
    """A connection that nobody uses is closed after its time, counted from its last use."""
    setting.send(), setting.send()
    first, second = setting.host.take(), setting.host.take()
    first.answer()
    setting.clock.advance(0.5)
    second.answer()
    setting.clock.advance(0.5)
    assert (first.disconnecting, second.disconnecting) == (True, False)
    assert len(setting.pool) == 1
    setting.clock.advance(0.5)
    assert second.disconnecting
    assert len(setting.pool) == 0
    assert not setting.clock.getDelayedCalls()


def test_used_connections_are_not_closed(setting: Setting) -> None:
    """The time begins anew with each use, and does not run during one."""
    peer = setting.kept()
    for _ in range(4):
        setting.clock.advance(0.75)
        setting.send()
        setting.clock.advance(9.0)
        peer.answer()
    assert not peer.disconnecting
    assert peer.requests == 5


@pytest.mark.parametrize("hang_up", ["hang_up", "reset"])
def test_lost_while_idle(setting: Setting, hang_up: str) -> None:
    """A kept connection that is lost is forgotten."""
    getattr(setting.kept(), hang_up)()
    assert len(setting.pool) == 0
    setting.send()
    assert len(setting.host.connecting) == 1


def test_refused(setting: Setting) -> None:
    """Without a connection nothing was sent."""
    exchange = setting.send()
    setting.host.refuse()
    assert exchange.failed_with(NotSent).startswith("Connection was refused")
    assert not exchange.sent
    assert len(setting.pool) == 0


def test_connection_takes_too_long(setting: Setting) -> None:
    """After its time the attempt is given up."""
    exchange = setting.send()
    setting.clock.advance(2.9)
    assert exchange.told == []
    setting.clock.advance(0.1)
    assert exchange.failed_with(NotSent) == "no connection within 3 s"
    assert not exchange.sent
    assert setting.host.cancelled == 1
    setting.host.connecting.clear()


def test_given_up_before_there_is_a_connection(setting: Setting) -> None:
    """Who gives up while the connection is made ends the attempt, and hears nothing more."""
    exchange = setting.send()
    exchange.pause()
    exchange.resume()
    exchange.abort()
    assert setting.host.cancelled == 1
    assert exchange.told == []
    assert not exchange.sent
    assert len(setting.pool) == 0
    setting.host.connecting.clear()


def test_connection_that_comes_too_late(setting: Setting) -> None:
    """A connection that could not be held back is closed."""
    setting.host.cancelling = setting.host.take
    exchange = setting.send()
    exchange.abort()
    [peer] = setting.host.peers
    assert peer.disconnecting
    assert peer.value() == b""
    assert len(setting.pool) == 0


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
@pytest.mark.parametrize("hang_up", ["hang_up", "reset"])
def test_safe_request_is_sent_again(setting: Setting, method: bytes, hang_up: str) -> None:
    """What changes nothing and met the end of a kept connection goes out on a fresh one."""
    peer = setting.kept()
    exchange = setting.send(method)
    getattr(peer, hang_up)()
    again = setting.host.take()
    again.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert exchange.told == [(204, []), "ended"]
    assert (peer.requests, again.requests) == (2, 1)


def test_sent_again_once(setting: Setting) -> None:
    """The second time is the last."""
    peer = setting.kept()
    exchange = setting.send(b"GET")
    peer.hang_up()
    setting.host.take().hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_sent_again_once_wherever(setting: Setting) -> None:
    """One that has to wait for its second time gets no third one, though the connection it came to
    had been in use before."""
    first, second = setting.send(), setting.send()
    peers = setting.host.take(), setting.host.take()
    for peer in peers:
        peer.answer()
    assert first.told == second.told == OK_TOLD
    exchange = setting.send(b"GET")  # on the last that was used
    setting.send()
    waiting = setting.send()
    peers[1].hang_up()
    setting.host.take()
    assert waiting.sent
    peers[0].answer()
    assert peers[0].requests == 3
    peers[0].hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_sent_again_on_a_fresh_connection(setting: Setting) -> None:
    """Other connections that were kept are as old, and not trusted either."""
    setting.send(), setting.send()
    first, second = setting.host.take(), setting.host.take()
    first.answer()
    second.answer()
    exchange = setting.send(b"GET")
    second.hang_up()
    assert first.disconnecting
    assert first.requests == 1
    setting.host.take().answer()
    assert exchange.told == OK_TOLD


def test_second_try_finds_no_connection(setting: Setting) -> None:
    """The first one may have been read: that is what is told, not that nothing was sent."""
    peer = setting.kept()
    exchange = setting.send(b"GET")
    peer.hang_up()
    setting.host.refuse()
    assert exchange.failed_with(BrokenOff)
    assert exchange.sent


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"get"])
def test_unsafe_request_is_not_sent_again(setting: Setting, method: bytes) -> None:
    """What may have had effects has broken off."""
    peer = setting.kept()
    exchange = setting.send(method)
    peer.hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_nothing_is_sent_again_on_a_first_connection(setting: Setting) -> None:
    """A connection that is lost at its first request was not too old."""
    exchange = setting.send(b"GET")
    setting.host.take().hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_nothing_is_sent_again_after_a_byte_of_the_reply(setting: Setting) -> None:
    """A peer that has begun to answer has read the request."""
    peer = setting.kept()
    exchange = setting.send(b"GET")
    peer.answer(b"H")
    peer.hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_streamed_body_is_not_sent_again(setting: Setting) -> None:
    """A body that comes from elsewhere comes once."""
    peer = setting.kept()
    exchange = setting.send(b"GET", Streamed())
    peer.hang_up()
    assert exchange.failed_with(BrokenOff)
    assert not setting.host.connecting


def test_aborted_exchange_is_not_sent_again(setting: Setting) -> None:
    """Nobody waits for it."""
    peer = setting.kept()
    exchange = setting.send(b"GET")
    exchange.abort()
    peer.reset()
    assert exchange.told == []
    assert not setting.host.connecting


def test_close(setting: Setting) -> None:
    """Closing closes what is idle and tells when that is done; what is carried goes on to its end,
    and its connection is not kept."""
    setting.send(), setting.send()
    idle, busy = setting.host.take(), setting.host.take()
    idle.answer()
    busy.answer(PART)
    closed = setting.pool.close()
    assert (idle.disconnecting, busy.disconnecting) == (True, False)
    assert not closed.called
    idle.hang_up()
    assert closed.called
    busy.answer(b"whole")
    assert busy.disconnecting
    assert not setting.clock.getDelayedCalls()


def test_open_again(setting: Setting) -> None:
    """A pool that is opened again keeps connections again."""
    assert setting.pool.close().called
    setting.pool.open()
    peer = setting.kept()
    exchange = setting.send()
    peer.answer(PART)
    assert exchange.told == PART_TOLD
