"""Hostile input, as a running daemon meets it, and what would come of it without the guard.

Two daemons run side by side: one that is guarded, and one whose configuration leaves the guard out.
What no configuration leaves out is taken out in the tests of its own part: look-ups in
``test_callback_way_out.py``, redirects and packed answers in ``test_callback_world.py``, floods in
``test_gateway_floods.py``, the log in ``test_observe_logs.py``, names in ``test_hostile_names.py``.
"""

from __future__ import annotations

import gzip
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon
from listener import Listener
from raw_http import Conversation, Response, converse
from twisted.internet.defer import Deferred, gatherResults

KEY = b"a key of ours"

FUNCTIONS = """
[functions.page]
command = ["cat"]
content_type = "text/html"
[functions.tells]
command = ["sh", "-c", "cat >&2"]
[functions.github]
command = ["cat"]
{github}
[functions.stripe]
command = ["cat"]
{stripe}
"""
VERIFY = "verify = {{ scheme = '{}', secret = 'a key of ours' }}"

GUARDED = 'read_timeout = "2s"\n[callback]\npolicy = "public"\n' + FUNCTIONS.format(
    github=VERIFY.format("github"), stripe=VERIFY.format("stripe")
)
OPEN = 'read_timeout = "1h"\n[callback]\npolicy = "private"\n' + FUNCTIONS.format(
    github="", stripe=""
)

MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def reactor() -> Any:
    from twisted.internet import reactor

    return reactor


@pytest_twisted.async_yield_fixture(scope="module")
async def daemons(
    reactor: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """The one that is guarded, and the one that is not."""
    both = tuple(
        Daemon(reactor, tmp_path_factory.mktemp("daemon"), config) for config in (GUARDED, OPEN)
    )
    await gatherResults([Deferred.fromCoroutine(each.start()) for each in both])
    yield both[0], both[1]
    for each in both:
        await each.end()


@pytest.fixture
def guarded(daemons: tuple[Daemon, Daemon]) -> Daemon:
    return daemons[0]


@pytest.fixture
def unguarded(daemons: tuple[Daemon, Daemon]) -> Daemon:
    return daemons[1]


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "017700000001", "0x7f000001"),
        *("0177.0.0.1", "127.1", "0x7f.0.0.1"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_host_that_is_loopback_in_disguise(
    guarded: Daemon, unguarded: Daemon, listener: Listener, host: str
) -> None:
    """As one number, in octal, in hexadecimal, or within an address of IPv6: where loopback is
    forbidden nothing is sent there; where it is not, the callback comes."""
    url = f"http://{host}:{listener.port}/{host.strip('[]').replace(':', '-')}"
    refused = await guarded.request("/async-function/page", X_Callback_Url=url)
    assert refused.status == 403
    accepted = await unguarded.request("/async-function/page", X_Callback_Url=url)
    assert accepted.status == 202
    [callback] = await listener.when(1)
    assert callback.header("X-Call-Id") == accepted.header("X-Call-Id")


def github(body: bytes, key: bytes = KEY) -> dict[str, str]:
    return {"X_Hub_Signature_256": f"sha256={hmac.new(key, body, 'sha256').hexdigest()}"}


def stripe(body: bytes, age_seconds: int = 0, key: bytes = KEY) -> dict[str, str]:
    at = int(time.time()) - age_seconds
    digest = hmac.new(key, b"%d.%b" % (at, body), "sha256").hexdigest()
    return {"Stripe_Signature": f"t={at},v1={digest}"}


FORGED = {
    "another key": ("github", github(b"pay", b"another key")),
    "another body": ("github", github(b"pay nothing")),
    "another scheme": ("github", stripe(b"pay")),
    "no signature": ("stripe", {}),
    "stale": ("stripe", stripe(b"pay", 400)),
    "of last year": ("stripe", stripe(b"pay", 365 * 86400)),
    "from a time to come": ("stripe", stripe(b"pay", -86400)),
}


@pytest.mark.parametrize("forgery", FORGED)
@pytest_twisted.ensureDeferred
async def test_a_signature_that_does_not_count(
    guarded: Daemon, unguarded: Daemon, forgery: str
) -> None:
    """Forged or stale, it opens neither door; a function that asks for none runs."""
    name, fields = FORGED[forgery]
    for door, taken in (("function", 200), ("async-function", 202)):
        assert (await guarded.request(f"/{door}/{name}", b"pay", **fields)).status == 401
        assert (await unguarded.request(f"/{door}/{name}", b"pay", **fields)).status == taken


@pytest.mark.parametrize("again", ["as it was", "by the other door", "with more fields"])
@pytest_twisted.ensureDeferred
async def test_a_signature_that_comes_again(guarded: Daemon, unguarded: Daemon, again: str) -> None:
    """It is taken once, however it is sent the second time; a function that asks for none runs
    twice."""
    body = again.encode()
    fields = stripe(body)
    more = {"X_Call_Id": "another-call-0123456"} if again == "with more fields" else {}
    door = "async-function" if again == "by the other door" else "function"
    for daemon, second in ((guarded, {401}), (unguarded, {200, 202})):
        first = await daemon.request("/function/stripe", body, **fields)
        replayed = await daemon.request(f"/{door}/stripe", body, **fields, **more)
        assert first.status == 200
        assert replayed.status in second


LINE = b"POST /async-function/page HTTP/1.1\r\nHost: h\r\n"


@pytest_twisted.ensureDeferred
async def test_clients_that_never_come_to_an_end(
    reactor: Any, guarded: Daemon, unguarded: Daemon
) -> None:
    """Half a line, half a head, half a body, a chunk without end: each is told so and let go of
    after ``read_timeout``; without one they stay, each with its connection."""
    begun = [
        LINE[:9],
        LINE + b"X-A: b",
        LINE + b"Content-Length: 9\r\n\r\nhalf",
        LINE + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ]

    async def talk(daemon: Daemon, sent: bytes) -> Conversation:
        client = await converse(reactor, daemon.port)
        client.send(sent)
        return client

    patient = [await talk(unguarded, sent) for sent in begun]
    for client in [await talk(guarded, sent) for sent in begun]:
        await client.when_closed()
        assert client.received.startswith(b"HTTP/1.1 408 ")
    assert [client.closed for client in patient] == [False] * len(begun)
    assert (await guarded.get("/healthz")).status == 200
    for client in patient:
        client.transport.abortConnection()  # type: ignore[union-attr]


FLOODS = {
    "of fields": LINE + b"".join(b"X-%d: y\r\n" % number for number in range(5000)),
    "in one field": LINE + b"X: " + b"y" * 500_000,
    "in one name": LINE + b"y" * 500_000,
    "in the target": b"POST /function/page/" + b"y" * 500_000,
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest_twisted.ensureDeferred
async def test_a_flood_in_a_head(reactor: Any, guarded: Daemon, flood: str) -> None:
    """It is cut off before its end, and the daemon is no larger for it."""
    before = guarded.memory_bytes
    for _ in range(5):
        client = await converse(reactor, guarded.port)
        client.send(FLOODS[flood])
        await client.when_closed()
        assert client.received[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 414", b"HTTP/1.1 431")
    assert guarded.memory_bytes - before < 2**24


TRICKS = [
    *("/call/*", "/call/%3E", "/call/*.%3E", "/call/%2A%2E0", "/call/faas.%3E"),
    *("/call/..%2F..%2Fsystem%2Finfo", "/call/%00", "/call/a%0d%0aSet-Cookie:b"),
    *("/system%2Finfo", "//system/info", "/./system/info", "/system/../system/info"),
    *("/function/..%2Fsystem", "/function/%2e%2e/system/info", "/SYSTEM/info"),
    *("/openapi.json/../system/info", "/function/page%00/x", "/..%5c..%5cetc%5cpasswd"),
]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest_twisted.ensureDeferred
async def test_paths_that_mean_something_else(guarded: Daemon, method: str) -> None:
    """Wildcards of the broker, steps upward, and other spellings name nothing: a call that is there
    is neither shown nor cancelled by them."""
    accepted = await guarded.request("/async-function/page", MARKUP.encode())
    where = accepted.header("Location") or ""
    await guarded.get(f"{where}/result?wait=1m")
    for trick in TRICKS:
        answer = await guarded.request(trick, method=method, Host="localhost")
        assert answer.status in (400, 404, 405), trick
        assert answer.header("Set-Cookie") is None
        assert MARKUP.encode() not in answer.body
    assert json.loads((await guarded.get(where)).body)["state"] == "succeeded"


@pytest_twisted.ensureDeferred
async def test_a_path_upward_is_the_functions_own(guarded: Daemon) -> None:
    """Behind a function's name it goes to the function as it is written, and nowhere else."""
    for path in ("/../../system/info", "/%2e%2e/%2e%2e/system/info", "//system/info"):
        answer = await guarded.request(f"/function/page{path}", b"mine", Host="localhost")
        assert (answer.status, answer.body) == (200, b"mine")


@pytest.mark.parametrize(
    "name", ["../escaped", "..", "/tmp/escaped", ".hidden", "a/../../b", "a\0b"]
)
@pytest_twisted.ensureDeferred
async def test_names_that_would_be_paths(guarded: Daemon, name: str) -> None:
    """A secret or a function of such a name is refused, and nothing is written."""

    def files() -> set[str]:
        return {str(path) for path in guarded.state.parent.rglob("*") if "nats" not in path.parts}

    before = files()
    for route, sheet in (
        ("/system/secrets", {"name": name, "value": "v"}),
        ("/system/functions", {"service": name, "image": "none"}),
    ):
        answer = await guarded.request(route, json.dumps(sheet).encode(), Host="localhost")
        assert answer.status == 400
    assert files() == before


INJECTED = [
    b"\r2026-11-24T15:00:00+0000 [-] ready: 9 functions\n",
    b"\x1b[2K\x1b[1Gcall 1: page answered 200\n",
    b"\x1b]0;a title\x07\xc2\x9b31m\n",
    b"a\xe2\x80\xa8b\x0bc\x0cd\xe2\x80\xaee\n",
]


@pytest.mark.parametrize("injected", INJECTED)
@pytest_twisted.ensureDeferred
async def test_what_is_logged_commands_no_terminal(guarded: Daemon, injected: bytes) -> None:
    """A caller who has a function write what it was sent, or who chooses an id and a callback,
    draws no line of the log anew and makes none."""
    answer = await guarded.request(
        "/function/tells",
        injected + b"the end\n",
        X_Call_Id="\x1b[31m",
        X_Callback_Url="http://a.test/%0d%0a%1b[31m",
    )
    assert answer.status == 200
    await guarded.says("tells: the end")
    odd = {each for each in guarded.log if not each.isprintable()} - {"\n", "\t"}
    assert odd == set()
    assert "\n2026-11-24T15:00:00+0000 [-] ready: 9" not in guarded.log


Ask = Callable[[Daemon], "Deferred[Response]"]

#: Whatever repeats a stranger's words, but for a function's own answer.
REPEATS: dict[str, Ask] = {
    "a function's name": lambda daemon: daemon.get(f"/function/{MARKUP}"),
    "a path": lambda daemon: daemon.get(f"/{MARKUP}"),
    "a query": lambda daemon: daemon.get(f"/call/0123456789abcdef?{MARKUP}=1"),
    "a header": lambda daemon: daemon.request("/async-function/page", X_Callback_Url=MARKUP),
    "a duration": lambda daemon: daemon.request("/async-function/page", X_Delay=MARKUP),
    "an order": lambda daemon: daemon.request(
        "/system/functions", json.dumps({"service": MARKUP}).encode(), Host="localhost"
    ),
}


@pytest.mark.parametrize("where", REPEATS)
@pytest_twisted.ensureDeferred
async def test_markup_in_a_request(guarded: Daemon, where: str) -> None:
    """What repeats it is text, and no page."""
    answer = await REPEATS[where](guarded)
    assert answer.status >= 400
    assert (answer.header("Content-Type") or "").startswith("text/plain")


@pytest_twisted.ensureDeferred
async def test_markup_in_a_call(guarded: Daemon) -> None:
    """Its state is JSON, its result is kept from doing anything in the daemon's name, and what a
    dead letter holds is JSON, too. The same answer of the function itself is a page."""
    call_id = f"{MARKUP}0123456789"
    accepted = await guarded.request("/async-function/page", MARKUP.encode(), X_Call_Id=call_id)
    where = accepted.header("Location") or ""
    assert "<" not in where
    result = await guarded.get(f"{where}/result?wait=1m")
    assert result.body == MARKUP.encode()
    assert result.header("Content-Type") == "text/html"
    assert result.header("Content-Security-Policy") == "sandbox"
    assert result.header("X-Content-Type-Options") == "nosniff"
    status = await guarded.get(where)
    assert MARKUP.encode() in status.body
    assert status.header("Content-Type") == "application/json"
    itself = await guarded.request("/function/page", MARKUP.encode())
    assert itself.header("Content-Type") == "text/html"
    assert itself.header("Content-Security-Policy") is None


BOMB = gzip.compress(bytes(200_000_000))


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate"])
@pytest_twisted.ensureDeferred
async def test_a_receiver_that_answers_with_a_bomb(
    unguarded: Daemon, listener: Listener, encoding: str
) -> None:
    """The callback is delivered, and the daemon is no larger for what it was told."""
    body = gzip.compress(BOMB) if "," in encoding else BOMB
    listener.on_request = lambda request: request.answer(200, body, Content_Encoding=encoding)
    before = unguarded.memory_bytes
    call = await unguarded.request("/async-function/page", X_Callback_Url=listener.url())
    call_id = call.header("X-Call-Id")
    await unguarded.says(f"callback of {call_id} from page to .*: 200 in")
    assert unguarded.memory_bytes - before < 2**25
