"""Requests as they are written."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from faasd_async.errors import InvocationBroken
from faasd_async.runtime.request import PIECE_BYTES, RawRequest, write_head


def test_head() -> None:
    """Target, names and values are written as they are."""
    head = write_head(b"POST", b"//x;?\xff", [(b"x-A", b"1"), (b"B", b""), (b"x-A", b"\xe4")])
    assert head == b"POST //x;?\xff HTTP/1.1\r\nx-A: 1\r\nB: \r\nx-A: \xe4\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        (b"POST", b"/ HTTP/1.1\r\nX: ", (b"A", b"1")),
        (b"POST", b"/a b", (b"A", b"1")),
        (b"PO ST", b"/", (b"A", b"1")),
        (b"POST", b"/", (b"A", b"1\r\nB: 2")),
        (b"POST", b"/", (b"A\n", b"1")),
        (b"POST", b"/", (b"A", b"1\0")),
    ],
)
def test_nothing_breaks_out(method: bytes, target: bytes, field: tuple[bytes, bytes]) -> None:
    """No part of a request can pass for another."""
    with pytest.raises(InvocationBroken):
        write_head(method, target, [field])


def test_small_body() -> None:
    """A small request leaves in one piece."""
    transport = StringTransport()
    request = RawRequest(b"POST", b"head", b"body")
    assert request.writeTo(transport).called
    assert transport.value() == b"headbody"
    assert request.written


def test_big_body_at_the_transport_s_pace() -> None:
    """A big body is given piece by piece, when the transport asks for it."""
    transport = StringTransport()
    body = bytes(range(256)) * 256 * 2 + b"rest"
    request = RawRequest(b"POST", b"head", body)
    written = request.writeTo(transport)
    assert transport.value() == b"head"
    assert transport.streaming is False
    request.resumeProducing()
    request.resumeProducing()
    assert len(transport.value()) == 4 + 2 * PIECE_BYTES
    assert not written.called
    assert not request.written
    request.resumeProducing()
    assert transport.value() == b"head" + body
    assert written.called
    assert request.written
    assert transport.producer is None


def test_cancelling_stops() -> None:
    """Who gives up is not asked for more."""
    transport = StringTransport()
    request = RawRequest(b"POST", b"head", bytes(PIECE_BYTES + 1))
    failures: list[Failure] = []
    written = request.writeTo(transport).addErrback(failures.append)
    written.cancel()
    assert failures[0].check(CancelledError)
    assert transport.producer is None
    assert not request.written
