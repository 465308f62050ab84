"""Callbacks of a running daemon: tried again on their own schedule, through crashes too."""

from __future__ import annotations

import gzip
import json
import re
import signal
from base64 import b64encode
from typing import Any

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener, Received, at
from standardwebhooks import Webhook, WebhookVerificationError
from twisted.internet.defer import gatherResults

ECHO = "[functions.echo]\ncommand = ['{python}', '-m', 'faasd_async.demo.echo']\n"
FAIL = "[functions.fail]\ncommand = ['{python}', '-m', 'faasd_async.demo.fail']\n"
OFTEN = "[callback]\nmin_wait = '100ms'\nmax_wait = '300ms'\nattempts = 50\n"

#: The wait is so long that nothing happens before the daemon has been started again.
SELDOM = "[callback]\nmin_wait = '2s'\n"


def ids(requests: list[Received]) -> list[str]:
    return sorted(request.header("Webhook-Id") or "" for request in requests)


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_is_down_gets_all_of_its_callbacks_when_it_is_back(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """Once each, with an id of its own; and another one waits for nothing meanwhile."""
    other = Listener(reactor)
    await other.open()
    daemon = await start_daemon(ECHO + OFTEN)
    await listener.close()
    calls = [
        daemon.request("/async-function/echo", b"%d" % number, X_Callback_Url=listener.url())
        for number in range(40)
    ]
    await gatherResults(calls)
    await daemon.says("takes no callbacks .*refused")
    await daemon.request("/async-function/echo", b"other", X_Callback_Url=other.url())
    await other.when(1)
    await other.close()
    assert listener.requests == []
    await listener.open()
    callbacks = await listener.when(40)
    assert sorted(callback.body for callback in callbacks) == sorted(
        b"%d" % number for number in range(40)
    )
    assert len(set(ids(callbacks))) == 40
    assert await daemon.stop() == 0
    assert len(listener.requests) == 40


@pytest_twisted.ensureDeferred
async def test_what_is_gone_is_not_tried_again(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """The callback is a dead letter at once."""
    listener.on_request = lambda request: request.answer(410)
    daemon = await start_daemon(ECHO + OFTEN)
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=listener.url())
    await daemon.says("is given up after 1 tries: status 410")
    letters = await daemon.request("/system/dead-letters", method="GET", Host="localhost")
    assert b'"kind":"callback"' in letters.body
    assert b'"reason":"gone"' in letters.body
    assert await daemon.stop() == 0
    assert len(listener.requests) == 1


@pytest_twisted.ensureDeferred
async def test_each_try_carries_the_same_id(start_daemon: StartDaemon, listener: Listener) -> None:
    """So that a receiver can tell a repetition; a redirect is no success, and not followed."""
    answers = iter((500, 301, 200))
    listener.on_request = lambda request: request.answer(next(answers), Location="/elsewhere")
    daemon = await start_daemon(ECHO + OFTEN)
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=listener.url("/here"))
    callbacks = await listener.when(3)
    assert len(set(ids(callbacks))) == 1
    assert {callback.target for callback in callbacks} == {b"/here"}
    assert re.fullmatch(r"msg_[0-9a-f-]+_0_0", ids(callbacks)[0])


@pytest_twisted.ensureDeferred
async def test_failures_may_be_told_elsewhere(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Or alone; what is a success goes where successes go."""
    daemon = await start_daemon(ECHO + FAIL)
    both = {
        "X_Callback_Url": listener.url("/succeeded"),
        "X_Callback_On_Failure": listener.url("/failed"),
    }
    await daemon.request("/async-function/fail", **both)
    await daemon.request("/async-function/echo", **both)
    await daemon.request("/async-function/fail", X_Callback_On_Failure=listener.url("/alone"))
    await daemon.request("/async-function/echo", X_Callback_On_Failure=listener.url("/alone"))
    told = {
        path: (await listener.when(1, at(path)))[0].header("X-Function-Name")
        for path in ("/succeeded", "/failed", "/alone")
    }
    assert told == {"/succeeded": "echo", "/failed": "fail", "/alone": "fail"}
    assert await daemon.stop() == 0
    assert len(listener.requests) == 3


@pytest_twisted.ensureDeferred
async def test_a_crash_between_two_tries_changes_nothing(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """The second try is made when it is due, and is the second."""
    listener.on_request = lambda request: request.answer(500)
    daemon = await start_daemon(ECHO + SELDOM)
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=listener.url())
    await daemon.says("status 500, try 1, again in")
    failed_at = reactor.seconds()
    await daemon.kill()
    fresh = await start_daemon(ECHO + SELDOM)
    await fresh.says("status 500, try 2, again in")
    first, second = await listener.when(2)
    assert first.header("Webhook-Id") == second.header("Webhook-Id")
    assert reactor.seconds() - failed_at > 1.3


@pytest_twisted.ensureDeferred
async def test_a_crash_during_a_try_is_made_up_for_at_once(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """The same callback comes again, with its id; the function is not run again."""
    config = ECHO + "[callback]\nmin_wait = '10m'\nmax_wait = '10m'\n"
    listener.on_request = lambda request: None
    daemon = await start_daemon(config)
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=listener.url())
    await listener.when(1)
    await daemon.kill()
    listener.on_request = Received.answer
    fresh = await start_daemon(config)
    first, second = await listener.when(2)
    await fresh.says("callback of .*: 200 in")
    assert first.header("Webhook-Id") == second.header("Webhook-Id")
    assert "echo answered" not in fresh.log


@pytest_twisted.ensureDeferred
async def test_a_callback_may_go_to_an_ipv6_address(
    start_daemon: StartDaemon, reactor: Any
) -> None:
    """As it stands in the URL."""
    six = Listener(reactor, "::1")
    await six.open()
    try:
        daemon = await start_daemon(ECHO)
        url = f"http://[::1]:{six.port}/six?x=1"
        assert (await daemon.request("/async-function/echo", X_Callback_Url=url)).status == 202
        (callback,) = await six.when(1)
        assert callback.target == b"/six?x=1"
        assert callback.header("Host") == f"[::1]:{six.port}"
    finally:
        await six.close()


@pytest_twisted.ensureDeferred
async def test_why_a_receiver_could_not_be_reached_reads_well(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Without the wrappers of the HTTP client; and its credentials are in no log."""
    listener.on_request = Received.hang_up
    daemon = await start_daemon(ECHO + OFTEN)
    url = listener.url("/", "user:canary@")
    await daemon.request("/async-function/echo", X_Callback_Url=url)
    found = await daemon.says(r"callback of \S+ from echo to \S+ failed: (.*), try 1")
    assert found[1].startswith("Connection")
    assert "Failure" not in found[1]
    assert "canary" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_is_gone_cannot_fill_the_room_for_callbacks(
    start_daemon: StartDaemon, listener: Listener, reactor: Any
) -> None:
    """What is too much of its callbacks are dead letters; all calls end, and others are told."""
    gone = Listener(reactor)
    await gone.open()
    await gone.close()
    daemon = await start_daemon("[queue]\nmax_bytes = '1MiB'\n" + ECHO)
    body = b"x" * 100_000
    accepted = []
    for _ in range(20):
        call = await daemon.request("/async-function/echo", body, X_Callback_Url=gone.url())
        accepted.append(call.header("X-Call-Id"))
        result = await daemon.get(f"/call/{accepted[-1]}/result?wait=20s")
        assert (result.status, result.body) == (200, body)
    await daemon.request("/async-function/echo", body, X_Callback_Url=listener.url())
    await listener.when(1)
    found = await daemon.request(
        "/system/dead-letters?reason=crowded", method="GET", Host="localhost"
    )
    letters = json.loads(found.body)["dead_letters"]
    assert len(letters) >= 20 - 10
    assert {letter["id"] for letter in letters} <= set(accepted)
    assert {(letter["kind"], letter["size"]) for letter in letters} == {("callback", len(body))}
    assert "of the room for callbacks is taken" in letters[0]["error"]
    assert await daemon.stop() == 0


WHSEC = "whsec_" + b64encode(bytes(range(32))).decode()
WHSEC_NEXT = "whsec_" + b64encode(bytes(range(32, 64))).decode()


def check(secret: str, callback: Received) -> None:
    """As a receiver does, with the library that Standard Webhooks publishes."""
    Webhook(secret).verify(callback.body, dict(callback.headers), json_parse=False)


@pytest_twisted.ensureDeferred
async def test_callbacks_are_signed(start_daemon: StartDaemon, listener: Listener) -> None:
    """Small and large ones; with one secret, then with two, then with the next one, without a
    restart; and with a function's own. A function's own signature is left out."""
    signed = f"[callback]\nsigning_secrets = ['{WHSEC}']\n"
    own = f"[functions.own]\ncommand = 'cat'\nsigning_secrets = ['{WHSEC_NEXT}']\n"
    daemon = await start_daemon(signed + ECHO + own)
    for number, (function, body, secret) in enumerate(
        (("echo", b"small", WHSEC), ("echo", b"x" * 1_000_000, WHSEC), ("own", b"", WHSEC_NEXT))
    ):
        await daemon.request(f"/async-function/{function}", body, X_Callback_Url=listener.url())
        callback = (await listener.when(number + 1))[-1]
        assert callback.body == body
        check(secret, callback)
    for secrets in ((WHSEC, WHSEC_NEXT), (WHSEC_NEXT,)):
        daemon.configure(f"[callback]\nsigning_secrets = {list(secrets)}\n{ECHO}")
        daemon.signal(signal.SIGHUP)
        await daemon.says("functions are deployed now")
        seen = len(listener.requests)
        await daemon.request("/async-function/echo", b"x", X_Callback_Url=listener.url())
        callback = (await listener.when(seen + 1))[-1]
        for secret in secrets:
            check(secret, callback)
    with pytest.raises(WebhookVerificationError):
        check(WHSEC, callback)
    assert "without effect" not in daemon.log
    assert not any(secret[6:] in daemon.log for secret in (WHSEC, WHSEC_NEXT))
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_signed_callback_opens_a_function_of_the_same_daemon(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """If the function asks for the signature that the callback has; with another it is a 401."""
    asks = "[functions.{}]\ncommand = 'cat'\nsigning_secrets = []\n" + (
        "verify = {{ scheme = 'standard-webhooks', secret = '{}' }}\n"
    )
    daemon = await start_daemon(
        f"[callback]\nsigning_secrets = ['{WHSEC}']\nmin_wait = '1h'\n"
        + ECHO
        + asks.format("ours", WHSEC)
        + asks.format("others", WHSEC_NEXT)
    )
    base = f"http://127.0.0.1:{daemon.port}/async-function"
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=f"{base}/ours")
    await daemon.says("ours answered 200|callback of .* from echo .*: 202")
    await daemon.request("/async-function/echo", b"x", X_Callback_Url=f"{base}/others")
    await daemon.says("callback of .* from echo .*others failed: .*not signed")
    assert (await daemon.request("/function/ours", b"x")).status == 401
    assert await daemon.stop() == 0


@pytest_twisted.ensureDeferred
async def test_a_functions_answer_is_never_unpacked(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """It goes to its caller, its keeper and its callback as it came, however large it would be."""
    bomb = gzip.compress(bytes(50_000_000))

    def answer(request: Received) -> None:
        if request.target == b"/back":
            request.answer(200)
        else:
            request.answer(200, bomb, Content_Encoding="gzip")

    listener.on_request = answer
    daemon = await start_daemon(f"[functions.bomb]\nurl = '{listener.url()}'\n")
    reply = await daemon.request("/function/bomb")
    assert (reply.body, reply.header("Content-Encoding")) == (bomb, "gzip")
    accepted = await daemon.request("/async-function/bomb", X_Callback_Url=listener.url("/back"))
    [callback] = await listener.when(1, at("/back"))
    assert (callback.body, callback.header("Content-Encoding")) == (bomb, "gzip")
    location = accepted.header("Location")
    result = await daemon.request(f"{location}/result", method="GET")
    assert (result.body, result.header("Content-Encoding")) == (bomb, "gzip")
    assert daemon.memory_bytes < 300 * 2**20
    assert await daemon.stop() == 0
