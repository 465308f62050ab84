"""IPv6: to the doors, to a function, and to a receiver of callbacks."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from daemon import StartDaemon, free_port
from listener import Listener, at
from raw_http import Conversation, converse, request_bytes


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="needs IPv6")


@pytest_twisted.async_yield_fixture
async def six(reactor: Any) -> AsyncIterator[Listener]:
    """A function, and a receiver of callbacks."""
    listening = Listener(reactor, "::1")
    await listening.open()
    yield listening
    await listening.close()


def call(door: str, route: str, six: Listener) -> bytes:
    """A request as the short cut takes it, or one that goes to the routes."""
    target = f"/{route}/six/{route}/{door}?x=1"
    fields = [("X-Callback-Url", f"http://[::1]:{six.port}/callback/{door}")]
    if door == "short-cut":
        return request_bytes("POST", target, fields, b"body")
    fields.append(("Transfer-Encoding", "chunked"))
    head = request_bytes("PUT" if route == "function" else "POST", target, fields)
    head = head.replace(b"Content-Length: 0\r\n", b"")
    return head + b"4\r\nbody\r\n0\r\n\r\n"


def name_of(conversation: Conversation) -> str:
    """Our end of a connection, as ``X-Forwarded-For`` has it."""
    assert conversation.transport is not None
    ours: Any = conversation.transport.getHost()  # type: ignore[attr-defined]  # TCP's
    return f"[{ours.host}]:{ours.port}" if ":" in ours.host else f"{ours.host}:{ours.port}"


@pytest_twisted.ensureDeferred
async def test_calls_and_callbacks_go_over_ipv6(
    start_daemon: StartDaemon, six: Listener, reactor: Any
) -> None:
    """By the short cut and by the routes, at once and through the queue: to a function behind an
    address of IPv6, from there to a receiver behind one, and back to a client that has one. A
    listener of IPv6 serves clients of IPv4, too, and knows each by its own address."""
    port = free_port()
    daemon = await start_daemon(
        f"[functions.six]\nurl = 'http://[::1]:{six.port}'\n",
        options=("--listen", f"tcp6:{port}"),
    )
    for host in ("::1", "127.0.0.1"):
        for door in ("short-cut", "routes"):
            six.requests.clear()
            client = await converse(reactor, port, host=host)
            for number, (route, status) in enumerate(
                (("function", 200), ("async-function", 202)), 1
            ):
                client.send(call(door, route, six))
                answer = (await client.when_answers(number))[-1]
                assert answer.status == status
                (called,) = await six.when(1, at(f"/{route}/{door}"))
                assert called.body == b"body"
                assert called.header("Host") == f"[::1]:{six.port}"
                assert called.header("X-Forwarded-For") == name_of(client)
            (callback,) = await six.when(1, at(f"/callback/{door}"))
            assert callback.header("Host") == f"[::1]:{six.port}"
            assert callback.header("X-Call-Id") == answer.header("X-Call-Id")
            client.transport.loseConnection()  # type: ignore[union-attr]
    assert await daemon.stop() == 0
