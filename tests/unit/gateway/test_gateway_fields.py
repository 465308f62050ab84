"""Header fields that would become more than one line: no call is stored with such a one."""

from __future__ import annotations

from itertools import product

import pytest
from front_door import FrontDoor
from twisted.web.http import HTTPChannel

from faasd_async.call.request import QueueRequest

POST = b"POST /async-function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
BREAKING = ["\r", "\n", "\0"]

#: What a reader of lines, names or values may stumble over.
ODD = (b"\r", b"\n", b"\0", b"\r\n ", b" ", b":", b"\xff")


def is_clean(call: QueueRequest) -> bool:
    """Whether no field of a stored call could break out of its line."""
    return not any(set(name + value) & set(b"\r\n\0") for name, value in call.headers)


def _lenient(channel: HTTPChannel, line: bytes) -> bool:
    """What versions of Twisted do that take any value."""
    name, _, value = line.partition(b":")
    channel.requests[-1].requestHeaders.addRawHeader(name, value.strip(b" \t"))
    return True


@pytest.mark.parametrize("breaking", BREAKING)
@pytest.mark.parametrize("field", ["X: a{}b", "X: {}a", "X: a{}", "X{}Y: a", "X: a\r\n {}b"])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_field_that_breaks_out_of_its_line(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch, field: str, breaking: str, lenient: bool
) -> None:
    """400 before there is a 202, whatever the version of Twisted; it is the last on its
    connection."""
    if lenient:
        monkeypatch.setattr(HTTPChannel, "headerReceived", _lenient)
    client = door.client()
    client.send(POST + field.format(breaking).encode() + b"\r\n\r\n" + POST + b"\r\n")
    assert client.received == b"HTTP/1.1 400 Bad Request\r\n\r\n"
    assert client.closed
    assert door.store.requests == []


def test_no_stored_call_breaks_out_of_its_lines(door: FrontDoor) -> None:
    """Whatever odd bytes a client puts into a field: refused, or stored as one line."""
    for odd in (b"".join(each) for size in (1, 2, 3) for each in product(ODD, repeat=size)):
        for field in (b"X: a" + odd + b"b", b"X: " + odd, b"X" + odd + b"Y: a"):
            door.client().send(POST + field + b"\r\n\r\n")
    assert len(door.store.requests) > 100
    assert all(map(is_clean, door.store.requests))
