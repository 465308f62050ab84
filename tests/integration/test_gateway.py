"""What a caller meets at the door of a running daemon."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import StartDaemon, free_port
from lifeline import Lifeline
from listener import Listener, Received
from raw_http import converse, exchange, request_bytes
from test_calls import function
from test_original import DEMO_FUNCTIONS

RAW_TARGETS = ("/100%25", "/a%2Fb", "//x", "/%ff", "/a;b=c", "/?a=%zz&b", "?q", "/a//b/../c")

NO_URLS = ("/relative", "not a url", "ftp://host/", "http://", "http://host:port/", "http://h:0/")
FORBIDDEN_URLS = (
    "http://169.254.169.254/latest",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.254.169.254/",
    "http://0251.0376.0251.0376/",
    "http://[fe80::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://metadata.google.internal/",
)
OWN_HOSTS = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]")


@pytest_twisted.ensureDeferred
async def test_targets_arrive_byte_for_byte(start_daemon: StartDaemon, listener: Listener) -> None:
    """By both routes: nothing is decoded, merged, resolved or encoded again."""
    daemon = await start_daemon(f"[functions.raw]\nurl = '{listener.url()}'\n")
    for count, path in enumerate(RAW_TARGETS, 1):
        await daemon.request(f"/function/raw{path}")
        await daemon.request(f"/async-function/raw{path}")
        sync, queued = (await listener.when(2 * count))[-2:]
        expected = path if path.startswith("/") else "/" + path
        assert (sync.target, queued.target) == (expected.encode(), expected.encode())


@pytest_twisted.ensureDeferred
async def test_a_process_sees_its_target_raw_too(start_daemon: StartDaemon) -> None:
    """In ``Http_Path`` and ``Http_Query``, with the method and the headers."""
    script = "import os, sys, json; json.dump(dict(os.environ), sys.stdout)"
    daemon = await start_daemon(
        f"[functions.environ]\ncommand = ['{sys.executable}', '-c', '{script}']\n",
        environment={"NOTIFY_SOCKET": "/run/x", "LISTEN_FDS": "1", "CREDENTIALS_DIRECTORY": "/c"},
    )
    for target in RAW_TARGETS:
        answer = await daemon.request(f"/function/environ{target}", method="PUT", X_Custom="v")
        seen = json.loads(answer.body)
        path, _, query = target.partition("?")
        assert (seen["Http_Path"], seen.get("Http_Query", "")) == (path or "/", query)
        assert (seen["Http_Method"], seen["Http_X_Custom"]) == ("PUT", "v")
        assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "CREDENTIALS_DIRECTORY"} & seen.keys()


@pytest_twisted.ensureDeferred
async def test_callback_urls_that_are_refused(start_daemon: StartDaemon) -> None:
    """400 for what is no absolute HTTP URL, 403 for where no callback may go: link-local and
    metadata addresses in every notation, and of this daemon all but its functions."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    own = f":{daemon.port}/system/functions"
    expected = {
        **dict.fromkeys(NO_URLS, 400),
        **dict.fromkeys(FORBIDDEN_URLS, 403),
        **dict.fromkeys((f"http://{host}{own}" for host in OWN_HOSTS), 403),
        f"http://localhost:{daemon.metrics_port}/metrics": 403,
    }
    said = {}
    for url in expected:
        answer = await daemon.request("/async-function/echo", X_Callback_Url=url)
        said[url] = answer.status
        assert answer.body.startswith(b"X-Callback-Url: ")
    assert said == expected


@pytest_twisted.ensureDeferred
async def test_refusals(start_daemon: StartDaemon, listener: Listener, reactor: Any) -> None:
    """Each with its status, and with the header fields that belong to it."""
    listener.on_request = Received.hang_up
    daemon = await start_daemon(
        DEMO_FUNCTIONS.replace("max_inflight", "#max_inflight")
        + function("hangup", listener)
        + f"[functions.closed]\nurl = 'http://127.0.0.1:{free_port()}'\n"
        + "[functions.small]\ncommand = ['cat']\nmax_body = '1kB'\n"
        + "[functions.stuck]\ncommand = ['sleep', '600']\ntimeout = '200ms'\n"
    )

    async def status(target: str, body: bytes = b"", method: str = "POST", **headers: str) -> int:
        return (await daemon.request(target, body, method=method, **headers)).status

    assert await status("/async-function/unknown") == 404
    assert await status("/function/unknown") == 404
    assert await status("/async-function/echo.other-namespace") == 404
    assert await status("/async-function/") == 404
    assert await status("/nothing/here", method="GET") == 404
    for method in ("GET", "PUT", "HEAD"):
        answer = await daemon.request("/async-function/echo", method=method)
        assert (answer.status, answer.header("Allow")) == (405, "POST, DELETE")
    for method in ("TRACE", "CONNECT"):
        assert await status("/function/echo", method=method) == 405
    assert await status("/async-function/small", b"x" * 1001) == 413
    assert await status("/function/small", b"x" * 1001) == 413
    assert await status("/function/small", b"x" * 1000) == 200
    for route in ("/async-function/echo", "/function/echo"):
        assert await status(route, X_Call_Id="i" * 129) == 400
    assert await status("/function/fail") == 500
    assert await status("/function/hangup") == 502
    assert await status("/function/closed") == 502
    assert await status("/function/stuck") == 504


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    start_daemon: StartDaemon, reactor: Any
) -> None:
    """By its length, without a 100 Continue, and in the middle of its chunks."""
    daemon = await start_daemon("[functions.small]\ncommand = ['cat']\nmax_body = '1kB'\n")
    for field in ("Content-Length: 5000", "Content-Length: 5000\r\nExpect: 100-continue"):
        conversation = await converse(reactor, daemon.port)
        head = f"POST /async-function/small HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n"
        conversation.send(head.encode())
        (answer,) = await conversation.when_answers(1)
        assert answer.status == 413
        assert b"100 Continue" not in conversation.received
    for route in ("function", "async-function"):
        conversation = await converse(reactor, daemon.port)
        head = f"POST /{route}/small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        conversation.send(head.encode() + b"400\r\n%b\r\n" % (b"x" * 1024))
        (answer,) = await conversation.when_answers(1)
        assert answer.status == 413


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_announced_is_invited(start_daemon: StartDaemon, reactor: Any) -> None:
    """A client that expects 100 Continue is told so, and then answered."""
    daemon = await start_daemon("[functions.cat]\ncommand = ['cat']\n")
    conversation = await converse(reactor, daemon.port)
    conversation.send(
        b"POST /function/cat HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    await conversation.when_received(b"HTTP/1.1 100 Continue\r\n\r\n")
    conversation.send(b"hello")
    (answer,) = await conversation.when_answers(1)
    assert (answer.status, answer.body) == (200, b"hello")


@pytest_twisted.ensureDeferred
async def test_a_caller_who_waits_is_turned_away_when_all_tokens_are_taken(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """429 with a Retry-After; the queue takes the call all the same."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(function("one", listener, "max_inflight = 1"))
    first = daemon.request("/function/one")
    (running,) = await listener.when(1)
    second = await daemon.request("/function/one")
    assert (second.status, second.header("Retry-After")) == (429, "1")
    assert (await daemon.request("/async-function/one")).status == 202
    running.answer(200, b"done")
    assert (await first).body == b"done"
    await listener.when(2)


@pytest_twisted.ensureDeferred
async def test_the_queue_may_be_away(start_daemon: StartDaemon) -> None:
    """503 with a Retry-After for calls, not ready, and callers who wait are served."""
    port = free_port()
    daemon = await start_daemon(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{port}']\n" + DEMO_FUNCTIONS,
        wait_ready=False,
    )
    await daemon.says("functions are deployed")
    answer = await daemon.request("/async-function/echo")
    assert (answer.status, answer.header("Retry-After")) == (503, "1")
    assert (await daemon.request("/function/echo", b"now")).body == b"now"
    assert (await daemon.get("/readyz")).status == 503
    assert (await daemon.get("/healthz")).status == 200


@pytest_twisted.ensureDeferred
async def test_the_queue_may_be_slow(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """504 when a call is not safe by its deadline, long before the broker is given up, under the
    id that it may still run with."""
    daemon = await start_daemon("[queue]\naccept_deadline = '200ms'\n" + function("f", listener))
    os.kill(daemon.broker_pid, signal.SIGSTOP)
    began = reactor.seconds()
    doubtful = await daemon.request("/async-function/f", X_Call_Id="doubtful")
    assert 0.2 <= reactor.seconds() - began < 4
    os.kill(daemon.broker_pid, signal.SIGCONT)
    assert (doubtful.status, doubtful.header("X-Call-Id")) == (504, "doubtful")
    (request,) = await listener.when(1)
    assert request.header("X-Call-Id") == "doubtful"
    assert (await daemon.request("/async-function/f")).status == 202


@pytest_twisted.ensureDeferred
async def test_names_and_ids(start_daemon: StartDaemon, listener: Listener) -> None:
    """The configured namespace may stand behind a name; a caller's id is kept if it is one."""
    daemon = await start_daemon(function("f", listener))
    assert (await daemon.request("/async-function/f.openfaas-fn")).status == 202
    await listener.when(1)
    for count, route in enumerate(("/function/f", "/async-function/f.openfaas-fn")):
        kept = await daemon.request(route, X_Call_Id="my-own")
        drawn = await daemon.request(route, X_Call_Id="no id \xe9")
        seen = await listener.when(3 + 2 * count)
        assert kept.header("X-Call-Id") == "my-own"
        assert str(uuid.UUID(drawn.header("X-Call-Id"))) == drawn.header("X-Call-Id")
        ids = {request.header("X-Call-Id") for request in seen[-2:]}
        assert ids == {"my-own", drawn.header("X-Call-Id")}
    kept = await daemon.request("/function/f")
    assert kept.header("X-Duration-Seconds")
    assert (kept.header("X-Start-Time") or "").isdigit()


@pytest_twisted.ensureDeferred
async def test_what_goes_on_to_the_function(start_daemon: StartDaemon, listener: Listener) -> None:
    """The caller's fields and what a proxy adds; nothing that was meant for this hop."""
    daemon = await start_daemon(function("f", listener))
    for route in ("/function/f", "/async-function/f"):
        await daemon.request(
            route,
            b"x",
            Connection="close, X-Hop",
            X_Hop="1",
            TE="trailers",
            Keep_Alive="5",
            Proxy_Authorization="secret",
            X_Start_Time="7",
            X_Callback_Url=listener.url("/cb") if route == "/function/f" else "",
            X_Kept="yes",
        )
    sync, queued = await listener.when(2)
    for request in (sync, queued):
        names = [name.lower() for name, _ in request.headers]
        assert not {"x-hop", "te", "keep-alive", "proxy-authorization"} & set(names)
        assert request.header("X-Kept") == "yes"
        assert request.header("X-Forwarded-Host") == "gateway.test"
        assert (request.header("X-Forwarded-For") or "").startswith("127.0.0.1:")
        assert names.count("x-start-time") == 1
        assert request.header("X-Start-Time") != "7"
        assert request.header("Host") == f"127.0.0.1:{listener.port}"
    # Passed on and not acted upon: nobody was called back.
    assert sync.header("X-Callback-Url") == listener.url("/cb")
    assert [request.target for request in listener.requests] == [b"/f/", b"/f/"]


@pytest_twisted.ensureDeferred
async def test_field_lines_keep_their_order_and_case(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """And their repetitions, on their way to a function behind a URL."""
    daemon = await start_daemon(function("f", listener))
    sent = [
        ("x-lower", "1"),
        ("Accept", "a/b"),
        ("X-UPPER", "2"),
        ("Cookie", "a=1"),
        ("x-Lower", "3"),
        ("accept", "c/d"),
    ]
    for count, route in enumerate(("/function/f", "/async-function/f"), 1):
        await exchange(reactor, daemon.port, "POST", route, sent)
        request = (await listener.when(count))[-1]
        names = {name.lower() for name, _ in sent}
        assert [field for field in request.headers if field[0].lower() in names] == sent


@pytest_twisted.ensureDeferred
async def test_a_reply_is_streamed(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """Its first bytes reach the caller while the function still writes."""
    listener.on_request = lambda request: request.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
        b"5\r\nfirst\r\n"
    )
    daemon = await start_daemon(function("f", listener))
    conversation = await converse(reactor, daemon.port)
    conversation.send(request_bytes("POST", "/function/f"))
    await conversation.when_received(b"first")
    listener.requests[0].write(b"6\r\nsecond\r\n0\r\n\r\n")
    (answer,) = await conversation.when_answers(1)
    assert answer.body == b"firstsecond"
    assert [value for name, value in answer.headers if name == "X-Twice"] == ["1", "2"]


@pytest_twisted.ensureDeferred
async def test_a_reply_that_breaks_off_is_cut_off(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """A caller cannot take what has come for the whole."""
    daemon = await start_daemon(function("f", listener))

    def break_off(request: Received) -> None:
        request.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        request.hang_up()

    listener.on_request = break_off
    conversation = await converse(reactor, daemon.port)
    conversation.send(request_bytes("POST", "/function/f"))
    with pytest.raises(ConnectionError):
        await conversation.when_answers(1)
    assert conversation.received.endswith(b"only this")


@pytest_twisted.ensureDeferred
async def test_a_caller_who_leaves_stops_the_function(
    start_daemon: StartDaemon, reactor: Any, tmp_path: Path
) -> None:
    """Its process group is killed, and its token comes back."""
    lifeline = Lifeline(reactor, tmp_path)
    script = f"read again && exit; exec 3>{lifeline.path}; echo begun; sleep 600"
    daemon = await start_daemon(
        f"[functions.long]\nmax_inflight = 1\ncommand = ['sh', '-c', '{script}']\n"
    )
    conversation = await converse(reactor, daemon.port)
    conversation.send(request_bytes("POST", "/function/long"))
    await conversation.when_received(b"begun")
    conversation.transport.abortConnection()  # type: ignore[union-attr]
    await lifeline.when_cut()
    await daemon.says("long answered its caller")
    # The token is back when the daemon, too, has noticed that the process is gone.
    while (answer := await daemon.request("/function/long", b"again\n")).status == 429:
        pass
    assert answer.status == 200


@pytest_twisted.ensureDeferred
async def test_calls_of_one_at_a_time_do_not_overlap_after_a_time_out(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """The caller is told at once, and the next call waits until the process is dead: it ignores
    SIGTERM, so that takes its time."""
    script = tmp_path / "alone.sh"
    script.write_text(
        """trap "" TERM
[ -e pid ] && { kill -0 $(cat pid) && echo overlaps || echo alone; exit; }
echo $$ > pid
exec sleep 600
"""
    )
    daemon = await start_daemon(
        "[functions.one]\nmax_inflight = 1\ntimeout = '300ms'\n"
        f"command = ['sh', '{script}']\ndirectory = '{tmp_path}'\n"
    )
    assert (await daemon.request("/function/one")).status == 504
    await daemon.request("/async-function/one", X_Callback_Url=listener.url("/told"))
    (told,) = await listener.when(1)
    assert told.body == b"alone\n"


@pytest_twisted.ensureDeferred
async def test_connections_are_kept_and_may_be_pipelined(
    start_daemon: StartDaemon, reactor: Any
) -> None:
    """Three requests at once, the absolute form among them, answered in their order."""
    daemon = await start_daemon("[functions.cat]\ncommand = ['cat']\n")
    conversation = await converse(reactor, daemon.port)
    conversation.send(
        request_bytes("POST", "/function/cat", body=b"1")
        + request_bytes("POST", daemon.url("/function/cat/x"), body=b"2")
        + request_bytes("GET", "/healthz")
    )
    answers = await conversation.when_answers(3)
    assert [answer.body for answer in answers] == [b"1", b"2", b"OK\n"]
    assert not conversation.closed


@pytest_twisted.ensureDeferred
async def test_figures(start_daemon: StartDaemon, listener: Listener, reactor: Any) -> None:
    """Calls are counted under OpenFaaS' names, on a listener of their own."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    await daemon.request("/function/echo")
    await daemon.request("/async-function/echo", X_Callback_Url=listener.url())
    await daemon.says("callback of")
    figures = (await exchange(reactor, daemon.metrics_port, "GET", "/metrics")).body.decode()
    invoked = 'gateway_function_invocation_total{code="200",function_name="echo"} 2.0'
    assert invoked in figures
    assert 'faasd_async_callbacks_total{function_name="echo",result="delivered"} 1.0' in figures
    assert (await daemon.get("/metrics")).status == 404


@pytest_twisted.ensureDeferred
async def test_health(start_daemon: StartDaemon) -> None:
    """Alive and ready are told apart, to those who only read."""
    daemon = await start_daemon(DEMO_FUNCTIONS)
    for path in ("/healthz", "/readyz"):
        answer = await daemon.get(path)
        assert (answer.status, answer.body) == (200, b"OK\n")
        refused = await daemon.request(path)
        assert refused.status == 405
        assert set((refused.header("Allow") or "").split(", ")) >= {"GET", "HEAD"}
