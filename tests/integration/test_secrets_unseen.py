"""Secrets planted wherever the daemon meets one, and looked for wherever it says something."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from browser import CHROMIUM, Browser
from daemon import StartDaemon
from listener import Listener
from raw_http import converse

#: Each is a needle, and found nowhere else.
IN_SETTINGS, IN_FILE = b"canary-settings-0001", b"canary-in-file-00002"
IN_ENVIRONMENT = b"canary-environ-00003"
SIGNING = b"canary-signing-secret-00004-"
IN_URL, IN_QUERY, IN_HEADER = "canary-url-0005", "canary-query-0006", "canary-header-0007"
IN_PROXY, IN_BODY = "canary-proxy-0008", b"canary-body-0009"
IN_STORE, PASSWORD = "canary-in-store-0010", "canary-password-0011"
WHSEC = b64encode(SIGNING).decode()

NEEDLES = [
    *(IN_SETTINGS, IN_FILE, IN_ENVIRONMENT, SIGNING, WHSEC.encode(), IN_BODY),
    *(each.encode() for each in (IN_URL, IN_QUERY, IN_HEADER, IN_PROXY, IN_STORE, PASSWORD)),
    b64encode(IN_STORE.encode()),
    b64encode(f"admin:{PASSWORD}".encode()),
    b64encode(f"me:{IN_URL}".encode()),
    b64encode(f"me:{IN_PROXY}".encode()),
]


def config(tmp_path: Path) -> str:
    (tmp_path / "hook.secret").write_bytes(IN_FILE)
    (tmp_path / "basic-auth-user").write_text("admin")
    (tmp_path / "basic-auth-password").write_text(PASSWORD)
    return f"""
basic_auth = true
secret_mount_path = '.'
[callback]
signing_secrets = ['whsec_{WHSEC}']
min_wait = '100ms'
attempts = 2
[log]
level = 'debug'
[functions.echo]
command = ['{{python}}', '-m', 'faasd_async.demo.echo']
environment = {{ TOKEN = '{IN_ENVIRONMENT.decode()}' }}
[functions.hook]
command = 'cat'
secrets = ['token']
verify = {{ scheme = 'github', secret_file = 'hook.secret' }}
[functions.signed]
command = 'cat'
verify = {{ scheme = 'hmac', secret = '{IN_SETTINGS.decode()}', header = 'X-Signed' }}
"""


def found(where: str, said: bytes, needles: list[bytes] = NEEDLES) -> list[str]:
    return [f"{needle!r} in {where}" for needle in needles if needle in said]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest_twisted.ensureDeferred
async def test_no_secret_is_shown(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path, form: str
) -> None:
    """Not in the log at its lowest level, not under /system or /metrics, nor in the arguments of
    any process; a request that is turned away and callbacks that are given up change nothing."""
    listener.on_request = lambda request: request.answer(500)
    toml = config(tmp_path).replace("[log]\n", f"[log]\nformat = '{form}'\n")
    daemon = await start_daemon(
        toml,
        environment={"HTTPS_PROXY": f"http://me:{IN_PROXY}@127.0.0.1:9"},
        wait_ready=False,
    )
    await daemon.says("ready: ")
    operator = {"Authorization": "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()}
    kept = json.dumps({"name": "token", "value": IN_STORE}).encode()
    assert (await daemon.request("/system/secrets", kept, **operator)).status == 201
    wrong = await daemon.request("/system/secrets", method="GET", Authorization=IN_HEADER)
    assert wrong.status == 401
    url = listener.url(f"/back?token={IN_QUERY}", credentials=f"me:{IN_URL}@")
    sent = {"X_Callback_Url": url, "Authorization": f"Bearer {IN_HEADER}", "Cookie": IN_HEADER}
    accepted = await daemon.request("/async-function/echo", IN_BODY, **sent)
    assert accepted.status == 202
    refused = await daemon.request("/function/signed", IN_BODY, X_Signed=IN_HEADER)
    hook = await daemon.request("/async-function/hook", IN_BODY, X_Hub_Signature_256=IN_HEADER)
    assert (refused.status, hook.status) == (401, 401)
    right = hmac.new(IN_FILE, b"x", "sha256").hexdigest()
    taken = await daemon.request(
        "/async-function/hook",
        b"x",
        X_Hub_Signature_256=f"sha256={right}",
        X_Callback_Url=f"https://me:{IN_URL}@far.test/?{IN_QUERY}",
    )
    assert taken.status == 202
    for _ in range(2):
        await daemon.says("from (echo|hook) .* is given up after 2 tries")
    seen = found("the log", daemon.log.encode())
    seen += found("a refusal", refused.body + hook.body)
    for path in ("dead-letters", "queues", "functions", "info", "schedules", "secrets"):
        answer = await daemon.request(f"/system/{path}", method="GET", **operator)
        assert answer.status == 200
        seen += found(f"/system/{path}", answer.body + repr(answer.headers).encode())
    where = accepted.header("Location") or ""
    call_id = where.rpartition("/")[2]
    for path in (where, "/system/calls", "/system/function/hook", "/system/logs?name=echo"):
        answer = await daemon.request(path, method="GET", **operator)
        assert answer.status == 200, path
        seen += found(path, answer.body)
    # What is asked for there is what was sent.
    others = [needle for needle in NEEDLES if needle != IN_BODY]
    for path in (f"calls/{call_id}", f"dead-letters/{call_id}"):
        answer = await daemon.request(f"/system/{path}", method="GET", **operator)
        assert IN_BODY in answer.body
        seen += found(path, answer.body, others)
    seen += found("/metrics", (await daemon.figures()).body)
    brokers = (daemon.state / "nats" / "credentials").read_bytes().strip().partition(b":")[2]
    seen += found("the log", daemon.log.encode(), [brokers])
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
            seen += found(f"the arguments of {process.name}", arguments, [*NEEDLES, brokers])
        except OSError:
            continue
    assert seen == []
    # The needles were really there to be found.
    callback = listener.requests[0]
    assert IN_QUERY.encode() in callback.target
    assert callback.body == IN_BODY
    assert await daemon.stop() == 0
    assert found("the log", daemon.log.encode()) == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest_twisted.ensureDeferred
async def test_no_secret_is_on_the_page(
    reactor: Any, start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """In none of its views, of which a call's and a dead letter's tell most; nor in what it is sent
    each second."""
    listener.on_request = lambda request: request.answer(500)
    daemon = await start_daemon(config(tmp_path))
    operator = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()
    url = listener.url(f"/back?token={IN_QUERY}", credentials=f"me:{IN_URL}@")
    sent = {"X_Callback_Url": url, "Authorization": f"Bearer {IN_HEADER}", "Cookie": IN_HEADER}
    accepted = await daemon.request("/async-function/echo", b"x", **sent)
    call_id = accepted.header("X-Call-Id")
    await daemon.says("from echo .* is given up after 2 tries")
    await daemon.request("/system/queues/default/pause", Authorization=operator)
    waiting = (await daemon.request("/async-function/echo", b"x", **sent)).header("X-Call-Id")
    stream = await converse(reactor, daemon.port)
    head = f"GET /system/events HTTP/1.1\r\nHost: h\r\nAuthorization: {operator}\r\n\r\n"
    stream.send(head.encode())
    await stream.when_received(b"event: now\n")
    seen = found("the stream", stream.received)
    stream.transport.abortConnection()  # type: ignore[union-attr]
    browser = Browser(reactor, tmp_path / "profile")
    browser.start()
    try:
        tab = await browser.tab(1280, 900, Authorization=operator)
        await tab.go(daemon.url("/ui/"))
        await tab.see("live", "#pulse")
        for place in (
            "",
            "queues",
            "calls",
            "dead",
            "invoke",
            f"call/{call_id}",
            f"call/{waiting}",
        ):
            await tab.evaluate(f"location.hash = '#/{place}'")
            await tab.until("document.querySelector('main').innerText.length > 60")
            if place == "dead":
                await tab.click("summary")
                await tab.until("document.querySelector('details .fields')")
            elif place == f"call/{call_id}":
                await tab.see("Callback given up", "main")
            elif place == f"call/{waiting}":
                await tab.see("X-Start-Time", "main")
            shown = await tab.evaluate("document.documentElement.outerHTML")
            seen += found(f"#/{place}", shown.encode())
    finally:
        await browser.close()
    assert seen == []
