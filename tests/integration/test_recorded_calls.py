"""Calls as OpenFaaS' gateway and queue-worker were recorded with, made to a daemon.

What functions, callers and receivers of callbacks were told there they are told here: each field,
but for those that tell a time, an id or who has served, and those that we leave out on purpose.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_twisted
from daemon import Daemon
from listener import Listener, Received
from raw_http import Response, exchange
from recorded_faas_cli import Exchange, exchanges_in
from test_calls import function

RECORDED = Path(__file__).parent.parent / "recorded"

CALLER = (RECORDED / "c-sync-client-side.txt").read_text("utf-8")
FUNCTION = {
    each.first_line.split("?")[0].split(" HTTP")[0]: each
    for each in exchanges_in("curl", (RECORDED / "c-sync-function-side.txt").read_bytes())
}

CALLBACKS = (
    "callback-200-echo.txt",
    "callback-500-fail.txt",
    "callback-function-hangs-up.txt",
)

FORM = "application/x-www-form-urlencoded"

#: What the gateway was called by.
HOST = ("Host", "127.0.0.1:8080")

#: What differs from call to call, and how it is written.
VARIES = {
    "date": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "x-call-id": r"[-0-9a-f]{36}",
    "x-start-time": r"\d{19}",
    "x-duration-seconds": r"\d+\.\d{6}",
    "x-forwarded-for": r"127\.0\.0\.1(:\d+)?",
    "x-forwarded-host": r"127\.0\.0\.1:\d+",
    "x-served-by": r"\S+",
}

#: What the peers' own HTTP client says of itself, and what is said of one connection alone.
OF_THEIR_CLIENT = ("accept-encoding", "transfer-encoding", "connection", "host", "user-agent")

Fields = list[tuple[str, str]]


class Pair(NamedTuple):
    daemon: Daemon
    listener: Listener


@pytest_twisted.async_yield_fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """A daemon with the recorded functions, which answer as they were recorded."""
    from twisted.internet import reactor

    listener = Listener(reactor)
    await listener.open()
    names = ("headers", "echo", "fail", "hangup", "wd")
    config = "".join(function(name, listener) for name in names)
    daemon = Daemon(reactor, tmp_path_factory.mktemp("recorded"), config)
    await daemon.start()
    yield Pair(daemon, listener)
    await daemon.end()
    await listener.close()


def answer(request: Received) -> None:
    """As the recorded functions did."""
    if request.target.startswith((b"/hangup", b"/wd")):
        request.hang_up()
    elif request.target.startswith(b"/fail"):
        request.answer(500, b"boom\n", X_Fn_Header="kept", Content_Type="text/plain; charset=utf-8")
    else:
        kind = request.header("Content-Type") or ""
        is_json = request.target.startswith(b"/headers")
        request.answer(200, request.body, Content_Type="application/json" if is_json else kind)


def head_of(recorded: bytes) -> tuple[str, Fields]:
    """The first line, and the fields, as they were written."""
    first, *lines = recorded.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    cut = [line.partition(":") for line in lines]
    return first, [(name, value.strip()) for name, _, value in cut]


def expect(recorded: Fields, found: Fields, without: tuple[str, ...] = ()) -> None:
    """Each recorded field is there, once, with its value, or written like it."""
    told = {name.lower(): value for name, value in found}
    assert len(told) == len(found)
    for name, value in recorded:
        key = name.lower()
        if key in without:
            continue
        assert key in told, name
        pattern = VARIES.get(key)
        if pattern is None or not re.fullmatch(pattern, value):
            assert told[key] == value, name
        else:
            assert re.fullmatch(pattern, told[key]), (name, told[key])


# -- synchronous calls


class Curl(NamedTuple):
    """One command, and what it has shown."""

    method: str
    target: str
    fields: Fields
    body: bytes
    shown: bytes

    @property
    def key(self) -> str:
        path = self.target.split("?")[0].replace("%2F", "/")
        return f"{self.method} {path}"


def curl_commands() -> list[Curl]:
    """All of them, with the fields that curl adds."""
    commands = []
    for part in CALLER.split("\n$ curl ")[1:]:
        line, _, shown = part.partition("\n")
        words = iter(shlex.split(line))
        method, target, body, fields = "", "", b"", [("Accept", "*/*")]
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-d":
                body = next(words).encode()
            elif word == "-H":
                name, _, value = next(words).partition(":")
                fields = [each for each in fields if each[0] != name] + [(name, value)]
            elif word.startswith("http"):
                target = "/" + word.split("/", 3)[3]
        if body:
            fields.append(("Content-Type", FORM))
        fields = [HOST, ("User-Agent", "curl/7.88.1"), *((n, v) for n, v in fields if v)]
        method = method or ("POST" if body else "GET")
        commands.append(Curl(method, target, fields, body, shown.replace("\n", "\r\n").encode()))
    return commands


@pytest.mark.parametrize("curl", curl_commands(), ids=lambda each: f"{each.method} {each.target}")
@pytest_twisted.ensureDeferred
async def test_a_call_whose_caller_waits(pair: Pair, curl: Curl) -> None:
    """The caller is shown the recorded status and fields, and the function the recorded request."""
    pair.listener.requests.clear()
    pair.listener.on_request = answer
    reactor, port = pair.daemon.reactor, pair.daemon.port
    found: Response = await exchange(
        reactor, port, curl.method, curl.target, curl.fields, curl.body
    )
    first, fields = head_of(curl.shown)
    if "/nosuch" in curl.target:
        # 503 there: it cannot be known whether it will be. Here it is.
        assert found.status == 404
        return
    assert found.status == int(first.split()[1])
    # Whose body has another length has told the function's own view.
    expect(fields, found.headers, ("content-length", "connection", "x-content-type-options"))
    if curl.key not in FUNCTION:
        return
    (request,) = pair.listener.requests
    _function_saw(FUNCTION[curl.key], request, curl)


def _function_saw(recorded: Exchange, request: Received, curl: Curl) -> None:
    assert request.method == curl.method
    # Theirs is decoded on its way; ours is what the caller wrote.
    expected = curl.target.removeprefix("/function")
    assert request.target.decode() == expected + "/" * (expected.count("/") == 1)
    assert request.body == curl.body
    _, fields = head_of(recorded.request)
    dropped = ("x-drop",) if ("Connection", "close,X-Drop") in curl.fields else ()
    if ("X-Start-Time", "7") in curl.fields:
        fields = [each for each in fields if each != ("X-Start-Time", "7")]
    expect(fields, request.headers, (*OF_THEIR_CLIENT, *dropped))
    for name in dropped:
        assert request.header(name) is None


# -- queued calls


def sections(name: str) -> dict[str, list[Exchange]]:
    """Of a recorded call's way, its parts."""
    parts = re.split(rb"^=== (.*)\n", (RECORDED / name).read_bytes(), flags=re.MULTILINE)
    headings = [heading.decode().split(" (")[0] for heading in parts[1::2]]
    return {
        heading: list(exchanges_in(name, content))
        for heading, content in zip(headings, parts[2::2], strict=True)
    }


def accepted(pair: Pair, call: Exchange) -> tuple[str, Fields, bytes]:
    """The call as its caller must have made it, and called back here."""
    first, fields = head_of(call.request)
    target = first.split(" ")[1]
    ours = ("x-callback-url", "x-call-id", "x-start-time", "content-length", *OF_THEIR_CLIENT)
    kept = [HOST, *(each for each in fields if each[0].lower() not in ours)]
    kept.append(("X-Callback-Url", pair.listener.url("/cb?token=1")))
    body = call.request.partition(b"\r\n\r\n")[2]
    return target.replace("/function/", "/async-function/"), kept, body


@pytest.mark.parametrize("name", CALLBACKS)
@pytest_twisted.ensureDeferred
async def test_a_queued_call_and_its_callback(pair: Pair, name: str) -> None:
    """The function is sent what was recorded, and the receiver the recorded callback."""
    way = sections(name)
    (call,) = way["worker -> gateway"]
    target, fields, body = accepted(pair, call)
    pair.listener.requests.clear()
    pair.listener.on_request = lambda each: (
        each.answer(202) if each.target.startswith(b"/cb") else answer(each)
    )
    receipt = await exchange(pair.daemon.reactor, pair.daemon.port, "POST", target, fields, body)
    assert receipt.status == 202
    (callback,) = await pair.listener.when(1, lambda each: each.target == b"/cb?token=1")
    sent = way["gateway -> provider/function"][0]
    invoked = pair.listener.requests[0]
    _, recorded = head_of(sent.request)
    expect(recorded, invoked.headers, ("x-callback-url", *OF_THEIR_CLIENT))
    assert invoked.body == body
    (told,) = way["callback worker -> sink"]
    _, recorded = head_of(told.request)
    expect(recorded, callback.headers, (*OF_THEIR_CLIENT, "authorization", "x-served-by"))
    assert callback.body == told.request.partition(b"\r\n\r\n")[2]
    assert callback.header("X-Call-Id") == receipt.header("X-Call-Id")


@pytest_twisted.ensureDeferred
async def test_a_function_that_is_not_there(pair: Pair) -> None:
    """The peers take the call, and call back a 503; here the caller is told at once."""
    way = sections("callback-unknown-function.txt")
    (told,) = way["callback worker -> sink"]
    assert ("X-Function-Status", "503") in head_of(told.request)[1]
    target, fields, body = accepted(pair, way["worker -> gateway"][0])
    answered = await exchange(pair.daemon.reactor, pair.daemon.port, "POST", target, fields, body)
    assert answered.status == 404
