"""A daemon in front of another provider of functions."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from daemon import Daemon
from fake_provider import log_line
from listener import Listener, at
from neighbour import PASSWORD, Neighbour
from raw_http import Response, converse
from recorded_faas_cli import Exchange, read_recording
from test_faas_cli import THERE, ask, say
from twisted.internet.defer import Deferred, gatherResults
from twisted.web.http import Request

RECORDED = read_recording()


class Pair(NamedTuple):
    daemon: Daemon
    neighbour: Neighbour

    async def system(self, method: str, path: str, body: object = None) -> Response:
        return await ask(self.daemon, method, f"/system/{path}", body)

    async def told(self, path: str) -> Any:
        answer = await self.system("GET", path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


def settings(directory: Path, neighbour: Neighbour, more: str = "") -> str:
    """Of a daemon with a password, and a function of its own."""
    secrets = directory / "password"
    secrets.mkdir(exist_ok=True)
    user, _, password = PASSWORD.partition(":")
    (secrets / "basic-auth-user").write_text(user)
    (secrets / "basic-auth-password").write_text(password)
    return (
        f"basic_auth = true\nsecret_mount_path = '{secrets}'\ndeploy = ['command']\n"
        f"[provider]\nurl = '{neighbour.url}'\nrefresh = '1h'\n{more}"
        "[functions.ours]\ncommand = 'cat'\n"
    )


@pytest_twisted.async_yield_fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Both, with the functions of the recording, for all tests of this file."""
    from twisted.internet import reactor

    directory = tmp_path_factory.mktemp("pair")
    neighbour = Neighbour(reactor)
    neighbour.come()
    neighbour.fake.namespaces.append("staging")
    for name in THERE:
        neighbour.fake.have(name)
    neighbour.fake.have("echo", "staging", annotations={"com.openfaas.queue": "slow"})
    neighbour.fake.have("asleep", replicas=0, availableReplicas=0)
    daemon = Daemon(reactor, directory, settings(directory, neighbour))
    await daemon.start()
    yield Pair(daemon, neighbour)
    await daemon.end()
    await neighbour.go()


def was_asked(pair: Pair, line: str) -> bool:
    return any(asked.startswith(line) for asked in pair.neighbour.fake.asked)


# -- faas-cli, as recorded


def _answers_alike(exchange: Exchange, answer: Response) -> None:
    assert answer.status == exchange.status, (str(exchange), answer.body)
    if answer.status in (201, 202):
        assert answer.body == b""
    if exchange.first_line.startswith("GET /system/functions"):
        recorded = {each["name"] for each in json.loads(exchange.answer_body)}
        shown = json.loads(answer.body)
        assert shown[0]["name"] == "ours"
        assert recorded <= {each["name"] for each in shown}
    elif exchange.first_line.startswith("POST /function/echo"):
        assert answer.body == exchange.answer_body


@pytest_twisted.ensureDeferred
async def test_the_recorded_conversation_reaches_the_provider(pair: Pair) -> None:
    """Each request is answered with the recorded status, and the orders come to the provider."""

    def function(request: Request, body: bytes) -> bytes:
        if request.path.startswith(b"/function/fail"):
            request.setResponseCode(500)
            return b"boom"
        return body

    pair.neighbour.fake.answer = function
    pair.neighbour.fake.asked.clear()
    for exchange in RECORDED:
        _answers_alike(exchange, await say(pair.daemon, exchange))
    ordered = {each.first_line.removesuffix(" HTTP/1.1") for each in RECORDED}
    for line in ordered:
        method, _, path = line.partition(" ")
        if method != "GET" and path.startswith("/system/"):
            assert line in pair.neighbour.fake.asked
    assert was_asked(pair, "GET /system/logs?name=echo&namespace=openfaas-fn&tail=5&follow=false")
    assert was_asked(pair, "GET /system/function/newfn?namespace=openfaas-fn&usage=1")


@pytest_twisted.ensureDeferred
async def test_what_is_shown_is_both(pair: Pair) -> None:
    """Functions ours first, the provider's namespaces, its information, its secrets beside ours."""
    names = [each["name"] for each in await pair.told("functions")]
    assert names[0] == "ours"
    assert {"echo", "asleep"} <= set(names)
    (staged,) = await pair.told("functions?namespace=staging")
    assert (staged["name"], staged["namespace"]) == ("echo", "staging")
    assert await pair.told("namespaces") == ["openfaas-fn", "staging"]
    assert (await pair.told("namespace/staging"))["name"] == "staging"
    assert (await pair.told("info"))["provider"]["provider"] == "fake"
    assert (await pair.told("function/echo?usage=1"))["usage"]["totalMemoryBytes"] == 4096
    assert (await pair.told("function/ours"))["availableReplicas"] == 1
    assert (await pair.system("GET", "function/nobody")).status == 404


@pytest_twisted.ensureDeferred
async def test_a_secret_is_for_functions_of_both(pair: Pair) -> None:
    """Made, changed and removed in both places, listed once, and in no log."""
    fake = pair.neighbour.fake
    assert (await pair.system("POST", "secrets", {"name": "key", "value": "v-one"})).status == 201
    assert fake.secrets["key"] == b"v-one"
    listed = [each["name"] for each in await pair.told("secrets")]
    assert listed.count("key") == 1
    assert (await pair.system("POST", "functions", {
        "service": "tells", "image": "", "secrets": ["key"],
        "annotations": {"com.faasd-async.command": "sh -c 'cat $secret_mount_path/key'"},
    })).status == 202  # fmt: skip
    assert (await pair.daemon.request("/function/tells")).body == b"v-one"
    assert (await pair.system("PUT", "secrets", {"name": "key", "value": "v-two"})).status == 202
    assert (await pair.daemon.request("/function/tells")).body == b"v-two"
    assert fake.secrets["key"] == b"v-two"
    assert (await pair.system("DELETE", "secrets", {"name": "key"})).status == 409
    assert "key" in fake.secrets
    assert (await pair.system("DELETE", "functions", {"functionName": "tells"})).status == 202
    assert (await pair.system("DELETE", "secrets", {"name": "key"})).status == 202
    assert "key" not in fake.secrets
    assert "v-one" not in pair.daemon.log
    assert "v-two" not in pair.daemon.log
    assert PASSWORD.partition(":")[2] not in pair.daemon.log


@pytest_twisted.ensureDeferred
async def test_a_secret_that_is_no_text(pair: Pair) -> None:
    """In base64 it comes to both, byte for byte, when it is made and when it is changed."""
    fake = pair.neighbour.fake
    for method, value in (("POST", b"\x00\xff\n one"), ("PUT", b"\xfe\x00two\r\n")):
        secret = {"name": "raw", "rawValue": b64encode(value).decode()}
        answer = await pair.system(method, "secrets", secret)
        assert answer.status == {"POST": 201, "PUT": 202}[method]
        assert fake.secrets["raw"] == value
        assert (pair.daemon.state / "secrets" / "raw").read_bytes() == value
    assert (await pair.system("DELETE", "secrets", {"name": "raw"})).status == 202


@pytest.mark.parametrize("secret", [{"rawValue": "no base64"}, {"value": ""}, {"name": "../raw"}])
@pytest_twisted.ensureDeferred
async def test_a_secret_that_is_none_is_made_nowhere(pair: Pair, secret: dict[str, str]) -> None:
    """What is refused here has not come to the provider before."""
    answer = await pair.system("POST", "secrets", {"name": "half", "value": "v", **secret})
    assert answer.status == 400
    assert not {"half", "../raw"} & pair.neighbour.fake.secrets.keys()


# -- calls


@pytest_twisted.ensureDeferred
async def test_calls_go_to_the_provider(pair: Pair) -> None:
    """With path, query and method as they were, and without the operator's password."""
    called = pair.neighbour.fake.called
    called.clear()
    pair.neighbour.fake.answer = lambda request, body: body
    answer = await ask(pair.daemon, "PUT", "/function/echo.openfaas-fn/a%2Fb//c?x=1", "hi")
    assert (answer.status, answer.body) == (200, b'"hi"')
    staged = await pair.daemon.request("/function/echo.staging", b"there")
    assert staged.body == b"there"
    assert [each.uri for each in called] == [
        b"/function/echo/a%2Fb//c?x=1",
        b"/function/echo.staging/",
    ]
    assert called[0].method == b"PUT"
    assert called[0].getHeader("x-call-id") == answer.header("X-Call-Id")
    assert called[0].getHeader("authorization") is None


@pytest_twisted.ensureDeferred
async def test_queued_calls_go_to_the_provider(pair: Pair, listener: Listener) -> None:
    """As ``faas-cli invoke --async`` sends them, and the answer to the callback."""
    pair.neighbour.fake.answer = lambda request, body: body
    answer = await pair.daemon.request(
        "/async-function/echo.openfaas-fn", b"later", X_Callback_Url=listener.url("/told")
    )
    assert answer.status == 202
    (callback,) = await listener.when(1, at("/told"))
    assert (callback.body, callback.header("X-Function-Name")) == (b"later", "echo")


@pytest_twisted.ensureDeferred
async def test_annotations_of_its_functions_count(pair: Pair, listener: Listener) -> None:
    """Queue, retries and limits, when they have changed, too."""
    answers = iter([418, 418, 200])

    def function(request: Request, body: bytes) -> bytes:
        request.setResponseCode(next(answers))
        return b"done"

    pair.neighbour.fake.answer = function
    deployed = await pair.system("POST", "functions", {
        "service": "retried", "image": "fake/retried:1", "envVars": {"exec_timeout": "7s"},
        "annotations": {
            "com.openfaas.queue": "slow", "com.openfaas.retry.codes": "418",
            "com.openfaas.retry.min_wait": "10ms", "com.openfaas.retry.max_wait": "10ms",
        },
    })  # fmt: skip
    assert deployed.status == 202
    answer = await pair.daemon.request(
        "/async-function/retried", b"", X_Callback_Url=listener.url("/retried")
    )
    (callback,) = await listener.when(1, at("/retried"))
    assert (callback.body, callback.header("X-Retry")) == (b"done", "2")
    queues = {each["queue"] for each in (await pair.told("queues"))["queues"]}
    assert "slow" in queues
    assert answer.status == 202


@pytest_twisted.ensureDeferred
async def test_namespaces_are_the_providers(pair: Pair) -> None:
    """They are made and removed there, in the words of ``faas-cli``."""
    made = await pair.system("POST", "namespace/", {"name": "made", "labels": {"a": "b"}})
    assert made.status == 201
    assert await pair.told("namespaces") == ["openfaas-fn", "staging", "made"]
    assert (await pair.system("PUT", "namespace/made", {"name": "made"})).status == 202
    assert (await pair.system("DELETE", "namespace/made", {"name": "made"})).status == 202
    assert await pair.told("namespaces") == ["openfaas-fn", "staging"]
    assert (await pair.system("DELETE", "namespace/made", {"name": "made"})).status == 404


@pytest_twisted.ensureDeferred
async def test_a_function_without_replicas_is_scaled_up(pair: Pair) -> None:
    """The first call waits for it."""
    pair.neighbour.fake.answer = lambda request, body: body
    assert (await pair.daemon.request("/function/asleep", b"good morning")).body == b"good morning"
    assert was_asked(pair, "POST /system/scale-function/asleep")
    assert (await pair.system("POST", "scale-function/asleep", {"replicas": 3})).status == 202
    assert (await pair.told("function/asleep"))["replicas"] == 3


@pytest_twisted.ensureDeferred
async def test_an_unknown_function_is_asked_for(pair: Pair) -> None:
    """One that the provider was given by somebody else is there with its first call, right after
    the provider was asked, too; of one that it does not have it is said after it was asked. Those
    who call such functions at the same time have one question for all of them."""
    fake = pair.neighbour.fake
    fake.answer = lambda request, body: body
    assert (await pair.daemon.request("/function/nobody")).status == 404
    fake.have("fresh")
    assert (await pair.daemon.request("/async-function/fresh", b"x")).status == 202
    fake.have("fresher")
    fake.asked.clear()
    unknown = [pair.daemon.request(f"/function/nobody-{number}") for number in range(50)]
    assert (await pair.daemon.request("/function/fresher", b"y")).body == b"y"
    assert {answer.status for answer in await gatherResults(unknown)} == {404}
    lists = [asked for asked in fake.asked if "functions?namespace=openfaas-fn" in asked]
    assert 1 <= len(lists) <= 3


@pytest_twisted.ensureDeferred
async def test_logs_come_as_they_are_written(pair: Pair) -> None:
    """To whoever follows them, until they leave; then the provider is let go of."""
    conversation = await converse(pair.daemon.reactor, pair.daemon.port, "GET")
    authorization = next(
        line for line in RECORDED[0].request.split(b"\r\n") if line.startswith(b"Authorization")
    )
    conversation.send(
        b"GET /system/logs?name=echo&follow=true&tail=1 HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n"
        % authorization
    )
    await conversation.when_received(b"line 0")
    (follower,) = pair.neighbour.fake.following
    gone = follower.notifyFinish()
    follower.write(log_line("echo", "as it happens"))
    await conversation.when_received(b"as it happens")
    conversation.transport.loseConnection()
    left: Deferred[bool] = gone.addErrback(lambda _: True)
    assert await left


# -- a provider that is away


@pytest_twisted.ensureDeferred
async def test_a_provider_that_is_away(pair: Pair, listener: Listener) -> None:
    """What was known holds: queued calls are taken and run when it is back, others are answered
    502, as OpenFaaS' gateway does, and of what is not known nobody can tell."""
    await pair.neighbour.go()
    assert (await pair.daemon.request("/function/echo", b"now")).status == 502
    queued = await pair.daemon.request(
        "/async-function/echo", b"then", X_Callback_Url=listener.url("/back")
    )
    assert queued.status == 202
    assert (await pair.daemon.request("/function/who")).status == 502
    unknown = await pair.daemon.request("/async-function/who")
    assert (unknown.status, unknown.header("Retry-After")) == (503, "1")
    assert "echo" in [each["name"] for each in await pair.told("functions")]
    assert (await pair.system("POST", "functions", {"service": "a", "image": "b"})).status == 503
    await pair.daemon.says("cannot be asked: .*; what is known of its .* functions holds on")
    pair.neighbour.fake.answer = lambda request, body: body
    pair.neighbour.come()
    (callback,) = await listener.when(1, at("/back"))
    assert callback.body == b"then"


@pytest_twisted.ensureDeferred
async def test_what_was_known_outlives_a_restart(
    reactor: Any, tmp_path: Path, listener: Listener
) -> None:
    """While the provider is away its functions take calls; a password that it refuses is named."""
    neighbour = Neighbour(reactor)
    neighbour.come()
    neighbour.fake.have("echo")
    config = settings(tmp_path, neighbour)
    daemon = Daemon(reactor, tmp_path, config)
    await daemon.start()
    assert (await daemon.request("/function/echo", b"1")).body == b"1"
    await neighbour.go()
    await daemon.kill()
    daemon = Daemon(reactor, tmp_path, config)
    try:
        await daemon.start()
        assert (await daemon.request("/async-function/echo", b"2")).status == 202
        assert oct((daemon.state / "provider.json").stat().st_mode & 0o777) == "0o600"
        neighbour.fake.password = "admin:other"
        neighbour.come()
        refused = await ask(daemon, "GET", "/system/function/echo")
        assert refused.status == 502
        assert b"[provider] secret_mount_path" in refused.body
    finally:
        await daemon.end()
        await neighbour.go()
