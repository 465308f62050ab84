"""What passes to and from a function behind a URL, over real sockets."""

from __future__ import annotations

import os
from typing import Any

import pytest
import pytest_twisted
from raw_peer import MIB, NEVER, OK, Listener, Upstream, Zeros, call, make

from faasd_async.runtime.collect import gather


@pytest.mark.parametrize(
    "target",
    [
        b"/100%25",
        b"/a%2Fb",
        b"//x",
        b"/%ff",
        b"/\xff",
        b"/a;p=1;q",
        b"/a;",
        b"/a?",
        b"/?x=1&y=%20;z",
        b"/./../a",
        b"/a#b",
        b"/a?b=//c?d",
    ],
)
@pytest_twisted.ensureDeferred
async def test_target_arrives_byte_for_byte(
    upstream: Upstream, listener: Listener, target: bytes
) -> None:
    """No target is decoded, normalised or put together anew."""
    invoked = upstream.invoke(call(target=target), NEVER)
    request = await listener.when_request()
    request.answer(OK)
    await gather(await invoked, MIB)
    assert request.lines[0] == b"POST " + target + b" HTTP/1.1"


@pytest_twisted.ensureDeferred
async def test_head_as_it_is_written(upstream: Upstream, listener: Listener) -> None:
    """Fields keep order and case; hop-by-hop ones and the caller's Host stay behind; the length
    is always told; nothing is added."""
    headers = (
        (b"x-lower", b"1"),
        (b"Host", b"caller.example"),
        (b"Cookie", b"a"),
        (b"X-UPPER", b"2"),
        (b"Connection", b"x-hop"),
        (b"X-Hop", b"3"),
        (b"Cookie", b"b"),
        (b"Transfer-Encoding", b"chunked"),
    )
    invoked = upstream.invoke(call(method=b"GET", headers=headers), NEVER)
    request = await listener.when_request()
    request.answer(OK)
    await gather(await invoked, MIB)
    assert request.lines[1:] == [
        b"Host: 127.0.0.1:%d" % listener.port,
        b"x-lower: 1",
        b"Cookie: a",
        b"X-UPPER: 2",
        b"Cookie: b",
        b"Content-Length: 0",
    ]


@pytest_twisted.ensureDeferred
async def test_base_path_goes_first(reactor: Any, listener: Listener) -> None:
    """The path of the URL is put before the target, without a second slash between them."""
    upstream = make(reactor, f"http://127.0.0.1:{listener.port}/base/")
    invoked = upstream.invoke(call(target=b"/x"), NEVER)
    request = await listener.when_request()
    request.answer(OK)
    await gather(await invoked, MIB)
    await upstream.stop()
    assert request.lines[0] == b"POST /base/x HTTP/1.1"


@pytest_twisted.ensureDeferred
async def test_big_bodies(upstream: Upstream, listener: Listener) -> None:
    """8 MiB go and come byte for byte."""
    body = os.urandom(8 * MIB)
    invoked = upstream.invoke(call(body), NEVER)
    request = await listener.when_request()
    assert request.body == body
    request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert await gather(await invoked, 8 * MIB) == body


@pytest_twisted.ensureDeferred
async def test_reply_headers(upstream: Upstream, listener: Listener) -> None:
    """End-to-end fields come back in order and case, those of one name all of them; the length
    too."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(
        b"HTTP/1.1 404 Not Found\r\nX-B: 1\r\nset-cookie: a=1\r\nX-A: 2\r\nSet-Cookie: b=2\r\n"
        b"Keep-Alive: timeout=5\r\nTrailer: X\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n"
        b"\r\nraw"
    )
    reply = await invoked
    assert reply.status == 404
    assert list(reply.headers) == [
        (b"X-B", b"1"),
        (b"set-cookie", b"a=1"),
        (b"X-A", b"2"),
        (b"Set-Cookie", b"b=2"),
        (b"Content-Length", b"3"),
        (b"Content-Encoding", b"gzip"),
    ]
    assert await gather(reply, MIB) == b"raw"


@pytest.mark.parametrize("end", [b"Content-Length: 2\r\n\r\nok", b"Content-Length: 0\r\n\r\n"])
@pytest_twisted.ensureDeferred
async def test_what_connection_names_stays_behind(
    upstream: Upstream, listener: Listener, end: bytes
) -> None:
    """Fields that a reply declares to be for this hop, in however many lines, with a body or
    without one."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(
        b"HTTP/1.1 200 OK\r\nX-Foo: 1\r\nX-Kept: 2\r\nConnection: keep-alive, X-Foo\r\n"
        b"x-bar: 3\r\nconnection: X-BAR\r\n" + end
    )
    reply = await invoked
    await gather(reply, MIB)
    assert [name for name, _ in reply.headers] == [b"X-Kept", b"Content-Length"]


@pytest_twisted.ensureDeferred
async def test_redirect_is_a_reply(upstream: Upstream, listener: Listener) -> None:
    """Where a function sends its caller is the caller's affair."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
    reply = await invoked
    assert (reply.status, await gather(reply, MIB)) == (302, b"")


@pytest_twisted.ensureDeferred
async def test_chunked(upstream: Upstream, listener: Listener) -> None:
    """Chunks are taken apart, also when they come split; the length stays untold."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4")
    reply = await invoked
    gathered = gather(reply, MIB)
    request.answer(b"\r\ndefg\r\n0\r\n\r\n")
    assert await gathered == b"abcdefg"
    assert list(reply.headers) == []


@pytest_twisted.ensureDeferred
async def test_close_delimited(upstream: Upstream, listener: Listener) -> None:
    """A body without a length ends with the connection."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    request.peer.transport.loseConnection()
    assert await gather(await invoked, MIB) == b"all of it"


@pytest.mark.parametrize(
    ("method", "head", "length"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [(b"Content-Length", b"5")]),
        (b"POST", b"HTTP/1.1 204 No Content\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", []),
    ],
)
@pytest_twisted.ensureDeferred
async def test_replies_without_a_body(
    upstream: Upstream,
    listener: Listener,
    method: bytes,
    head: bytes,
    length: list[tuple[bytes, bytes]],
) -> None:
    """What has no body is whole with its head, and its connection serves the next call."""
    for _ in range(2):
        invoked = upstream.invoke(call(method=method), NEVER)
        (await listener.when_request()).answer(head)
        reply = await invoked
        assert list(reply.headers) == length
        assert await gather(reply, MIB) == b""
    assert len(listener.peers) == 1


@pytest_twisted.ensureDeferred
async def test_interim_replies(upstream: Upstream, listener: Listener) -> None:
    """100 and 103 are not the answer."""
    invoked = upstream.invoke(call(), NEVER)
    request = await listener.when_request()
    request.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    reply = await invoked
    assert (reply.status, await gather(reply, MIB)) == (200, b"ok")
    assert list(reply.headers) == [(b"Content-Length", b"2")]


@pytest_twisted.ensureDeferred
async def test_pause_holds_the_function(upstream: Upstream, listener: Listener) -> None:
    """A slow receiver stops its function, and that one alone; nothing is lost when it goes on."""
    size = 0

    def count(piece: bytes) -> None:
        nonlocal size
        if size == 0:
            reply.pause()
        size += len(piece)

    invoked = upstream.invoke(call(), NEVER)
    slow = Zeros(await listener.when_request(), 64 * MIB)
    reply = await invoked
    delivered = reply.deliver_to(count)

    # As many bytes pass beside it as it would have sent by now, were it not stopped.
    invoked = upstream.invoke(call(), NEVER)
    Zeros(await listener.when_request(), 64 * MIB)
    assert len(await gather(await invoked, 64 * MIB)) == 64 * MIB

    assert size <= 65536
    assert slow.sent < 32 * MIB, "more than the kernel's buffers hold"
    reply.resume()
    await delivered
    assert size == 64 * MIB
