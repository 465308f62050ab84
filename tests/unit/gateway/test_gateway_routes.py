"""What is where, whatever the request line and the ``Host`` look like."""

from __future__ import annotations

import pytest
from front_door import Failures, FrontDoor, request
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

ODD_HOSTS = [
    "",
    "a b",
    "127.0.0.1:99999999",
    "[::1",
    "[::1]:8080",
    "xn--",
    "h\xe9llo",
    "%00",
    "a" * 300,
    "-.-",
    "h:p",
    "user@h",
    "/x",
]


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_no_route_depends_on_the_host(door: FrontDoor, host: str) -> None:
    """Whatever a client calls this machine: the doors are the same."""
    assert door.ask("GET", "/healthz", f"Host: {host}").answer().status == 200
    assert door.ask("POST", "/async-function/f", f"Host: {host}").answer().status == 202


@pytest.mark.parametrize("host", ["a b", "h\xe9llo:1", "[::1"])
def test_the_host_is_passed_on_as_it_came(door: FrontDoor, host: str) -> None:
    """As ``X-Forwarded-Host``; ``Host`` itself is the worker's to say."""
    door.ask("POST", "/async-function/f", f"Host: {host}")
    stored = dict(door.store.requests[0].headers)
    assert stored[b"X-Forwarded-Host"] == host.encode("latin-1")
    assert b"Host" not in stored


def test_without_a_host(door: FrontDoor) -> None:
    """HTTP/1.0 needs none, and nothing is passed on for it; who forwards may have said its own."""
    old, client = door.client(), door.client()
    old.send(b"POST /async-function/f HTTP/1.0\r\n\r\n")
    client.send(
        b"POST /async-function/f HTTP/1.1\r\nX-Forwarded-Host: first.test\r\nHost: h\r\n\r\n"
    )
    assert [each.answer().status for each in (old, client)] == [202, 202]
    without, forwarded = (
        [value for name, value in each.headers if name == b"X-Forwarded-Host"]
        for each in door.store.requests
    )
    assert (without, forwarded) == ([], [b"first.test"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (IPv4Address("TCP", "192.0.2.1", 5), b"192.0.2.1:5"),
        (IPv6Address("TCP", "2001:db8::1", 5), b"[2001:db8::1]:5"),
        (UNIXAddress(None), b"unix"),
    ],
)
def test_who_calls_is_passed_on(door: FrontDoor, address: IAddress, expected: bytes) -> None:
    """Address and port as ``X-Forwarded-For``, unless a proxy has said it already."""
    client = door.client(address)
    client.send(request("POST", "/async-function/f"))
    client.send(request("POST", "/async-function/f", "X-Forwarded-For: 10.9.8.7"))
    seen = [dict(each.headers)[b"X-Forwarded-For"] for each in door.store.requests]
    assert seen == [expected, b"10.9.8.7"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/async-function/f", b"/"),
        ("/async-function/f/", b"/"),
        ("/async-function/f//", b"//"),
        ("/async-function/f?", b"/?"),
        ("/async-function/f?a=%zz", b"/?a=%zz"),
        ("/async-function/f/../g/./h", b"/../g/./h"),
        ("/async-function/f/%2e%2e/%ff%00", b"/%2e%2e/%ff%00"),
        ("/async-function/f/a;b=c#d", b"/a;b=c#d"),
        ("http://else.where:9/async-function/f/x", b"/x"),
        ("HTTPS://u@else.where/async-function/f?x", b"/?x"),
        ("/async-function/f/\x80", b"/\x80"),
    ],
)
def test_the_target_a_function_sees(door: FrontDoor, target: str, expected: bytes) -> None:
    """Cut behind the name from the raw bytes, in origin and in absolute form."""
    assert door.ask("POST", target).answer().status == 202
    assert door.store.requests[0].target == expected


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/nothing",
        "/%ff",
        "/\x80",
        "/%00",
        "//",
        "//function/f",
        "/function",
        "/function/",
        "/async-function/",
        "/async-function//f",
        "/async-function/%66",
        "/function/f%2Fx",
        "/function/f;x",
        "/Function/f",
        "/x/../function/f",
        "/function/f#x",
        "/%68ealthz",
        "function/f",
        "http:/function/f",
        "http://else.where",
        "?/function/f",
    ],
)
def test_there_is_nothing_else(door: FrontDoor, target: str) -> None:
    """404, without a redirect and without a line in the log."""
    answer = door.ask("POST", target).answer()
    assert answer.status == 404
    assert answer.header("Location") is None
    assert (door.runs, door.store.requests) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "get"])
def test_alive(door: FrontDoor, method: str) -> None:
    """200, whatever the daemon waits for."""
    door.waiting_for = "the broker is starting"
    answer = door.ask(method, "/healthz").answer(bodiless=method == "HEAD")
    assert (answer.status, answer.header("Content-Length")) == (200, b"3")


def test_ready(door: FrontDoor) -> None:
    """503 with what has to be waited for, then 200."""
    door.waiting_for = "the broker is starting"
    answer = door.ask("GET", "/readyz").answer()
    assert (answer.status, answer.body) == (503, b"the broker is starting\n")
    door.waiting_for = None
    answer = door.ask("GET", "/readyz?verbose").answer()
    assert (answer.status, answer.body) == (200, b"OK\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "CONNECT", "BREW"])
@pytest.mark.parametrize("target", ["/healthz", "/readyz"])
def test_only_to_be_read(door: FrontDoor, method: str, target: str) -> None:
    """405 with what is allowed."""
    answer = door.ask(method, target).answer()
    assert answer.status == 405
    assert b"GET" in (answer.header("Allow") or b"")


@pytest.mark.parametrize(("method", "target"), [("CONNECT", "example.org:443"), ("TRACE", "/x")])
def test_this_is_no_open_proxy(door: FrontDoor, method: str, target: str) -> None:
    """What asks for another host or for its own echo gets neither."""
    assert door.ask(method, target).answer().status in (404, 405)


def test_options_of_the_whole_server(door: FrontDoor) -> None:
    """``OPTIONS *`` is answered, and by no function."""
    assert door.ask("OPTIONS", "*").answer().status < 500
    assert door.runs == []


def test_a_bug_in_a_function_door_is_no_ones_answer(door: FrontDoor, failures: Failures) -> None:
    """500 if nothing is written yet, the end of the connection if something is."""
    early = door.ask("POST", "/function/f")
    bug = RuntimeError("a bug")
    door.runs[0].fails(bug)
    assert early.answer().status == 500
    late = door.ask("POST", "/function/f")
    reply = door.runs[1].answers(body=None)
    reply.says(b"half")
    reply.breaks(bug)
    assert late.closed
    with pytest.raises(AssertionError):
        late.answers()
    assert failures.take() == [bug, bug]
    assert door.free == 2
