"""faas-cli's whole conversation, byte for byte as it was recorded, with a running daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, Received, at
from raw_http import Response, converse
from recorded_faas_cli import Exchange, read_recording
from test_calls import function

RECORDED = read_recording()
#: The functions that the recorded provider had.
THERE = ("echo", "fail", "hangup", "headers", "noop", "sleep", "status", "wd")
ADMIN = "Basic YWRtaW46czNjcmV0"


def config(tmp_path: Path, listener: Listener, deploy: str = "deploy = ['command', 'url']") -> str:
    """A daemon with the recorded functions and the recorded password."""
    secrets = tmp_path / "password"
    secrets.mkdir(exist_ok=True)
    (secrets / "basic-auth-user").write_text("admin")
    (secrets / "basic-auth-password").write_text("s3cret")
    return f"basic_auth = true\nsecret_mount_path = '{secrets}'\n{deploy}\n" + "".join(
        "[functions.echo]\ncommand = ['sh', '-c', 'echo line >&2; cat']\n"
        if name == "echo"
        else function(name, listener)
        for name in THERE
    )


async def say(daemon: Daemon, exchange: Exchange, request: bytes | None = None) -> Response:
    """Send what was recorded, or something in its place."""
    request = request or exchange.request
    conversation = await converse(daemon.reactor, daemon.port, request.split(b" ", 1)[0].decode())
    conversation.send(request)
    answer = (await conversation.when_answers(1))[0]
    assert conversation.transport is not None
    conversation.transport.loseConnection()
    return answer


def ask(daemon: Daemon, method: str, path: str, body: object = None) -> Any:
    content = b"" if body is None else json.dumps(body).encode()
    return daemon.request(path, content, method=method, Authorization=ADMIN)


def with_annotation(exchange: Exchange, annotation: dict[str, str]) -> bytes:
    """The recorded deployment, of something that needs no container."""
    body = exchange.sent
    body["annotations"] = {**body.get("annotations", {}), **annotation}
    return exchange.request_with(body)


def same_shape(answer: Response, exchange: Exchange) -> None:
    """Whatever a client found in the recorded answer it finds in ours, of the same kind."""
    recorded, ours = json.loads(exchange.answer_body), json.loads(answer.body)
    if exchange.first_line.startswith("GET /system/info"):
        recorded = {"provider": recorded, "arch": "x86_64"}
    pairs = zip(recorded, ours, strict=True) if isinstance(recorded, list) else [(recorded, ours)]
    for expected, found in pairs:
        assert type(expected) is type(found)
        for key in expected if isinstance(expected, dict) else ():
            # The recorded provider repeated a function's name under this one.
            if key != "service":
                assert type(found[key]) is type(expected[key]), key
        for key in ("name", "namespace", "labels", "replicas", "envVars", "secrets", "limits"):
            if isinstance(expected, dict) and key in expected:
                assert found[key] == expected[key], key


@pytest.mark.parametrize("kind", ["command", "url"])
@pytest_twisted.ensureDeferred
async def test_the_recorded_conversation(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path, kind: str
) -> None:
    """Every request is answered with the recorded status and what the client looks for."""
    listener.on_request = lambda request: (
        request.answer(500, b"boom", X_Fn_Header="kept") if at("/fail/")(request)
        else request.answer(200, request.body)
    )  # fmt: skip
    what = "cat" if kind == "command" else listener.url("/deployed")
    daemon = await start_daemon(config(tmp_path, listener))
    secret = {"name": "api-key", "value": "k"}
    assert (await ask(daemon, "POST", "/system/secrets", secret)).status == 201
    for exchange in RECORDED:
        request = None
        if exchange.first_line.startswith(("PUT /system/functions", "POST /system/functions")):
            request = with_annotation(exchange, {f"com.faasd-async.{kind}": what})
        answer = await say(daemon, exchange, request)
        assert answer.status == exchange.status, (str(exchange), answer.body)
        if answer.status in (201, 202):
            assert (answer.header("Content-Length"), answer.body) == ("0", b"")
        elif b"Content-Type: application/json" in exchange.answer and b"[{" in exchange.answer:
            assert answer.header("Content-Type") == "application/json"
            same_shape(answer, exchange)
        if "/function/echo" in exchange.first_line:
            assert answer.body == exchange.answer_body
    fail = next(each for each in listener.requests if at("/fail/")(each))
    assert fail.body == b"x"
    assert fail.header("Authorization") is None


@pytest_twisted.ensureDeferred
async def test_logs_as_recorded(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """Lines of JSON with the recorded keys: as many as were asked for."""
    daemon = await start_daemon(config(tmp_path, listener))
    (exchange,) = [each for each in RECORDED if "/system/logs" in each.first_line]
    for _ in range(7):
        assert (await daemon.request("/function/echo", b"x")).status == 200
    answer = await say(daemon, exchange)
    assert (answer.status, answer.header("Content-Type")) == (200, "application/x-ndjson")
    expected = json.loads(exchange.answer_body.splitlines()[0])
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert len(lines) == 5
    for line in lines:
        assert line.keys() == expected.keys()
        assert (line["name"], line["namespace"], line["text"]) == ("echo", "openfaas-fn", "line")
    assert len({line["instance"] for line in lines}) == 5


@pytest_twisted.ensureDeferred
async def test_what_the_recorded_deployments_say_is_told_again(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """By describe and list, in whole, after a crash, too."""
    settings = config(tmp_path, listener)
    daemon = await start_daemon(settings)
    await ask(daemon, "POST", "/system/secrets", {"name": "api-key", "value": "k"})
    deployments = [each for each in RECORDED if each.first_line.startswith("POST /system/func")]
    first, _, of_file = deployments
    for exchange in (first, of_file):
        request = with_annotation(exchange, {"com.faasd-async.command": "cat"})
        assert (await say(daemon, exchange, request)).status == 202
    await daemon.kill()
    daemon = await start_daemon(settings)
    for exchange in (first, of_file):
        sent = exchange.sent
        name = sent.pop("service")
        sent["annotations"]["com.faasd-async.command"] = "cat"
        told = json.loads((await ask(daemon, "GET", f"/system/function/{name}")).body)
        assert {key: told[key] for key in sent} == sent
        assert told["availableReplicas"] == told["replicas"] == 1
        assert (await daemon.request(f"/function/{name}.openfaas-fn", b"hi")).body == b"hi"


@pytest_twisted.ensureDeferred
async def test_a_recorded_image_needs_a_container_runtime(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """The answer says so, and nothing is deployed."""
    daemon = await start_daemon(config(tmp_path, listener))
    for exchange in RECORDED:
        if exchange.first_line.startswith("POST /system/functions"):
            answer = await say(daemon, exchange)
            assert answer.status == 400
            assert exchange.sent["image"].encode() in answer.body
            assert b"no container runtime" in answer.body
            name = exchange.sent["service"]
            assert (await ask(daemon, "GET", f"/system/function/{name}")).status == 404


@pytest_twisted.ensureDeferred
async def test_an_asynchronous_invocation_with_a_callback(
    start_daemon: StartDaemon, listener: Listener, tmp_path: Path
) -> None:
    """As ``faas-cli invoke --async`` sends it: chunked, the namespace appended."""
    daemon = await start_daemon(config(tmp_path, listener))
    recorded = next(each for each in RECORDED if each.command.startswith("faas-cli invoke echo -n"))
    field = f"\r\nX-Callback-Url: {listener.url('/told')}\r\n".encode()
    request = recorded.request.replace(b"POST /function/", b"POST /async-function/", 1)
    request = request.replace(b"\r\n", field, 1)
    answer = await say(daemon, recorded, request)
    assert (answer.status, answer.body) == (202, b"")
    callback: Received = (await listener.when(1, at("/told")))[0]
    assert callback.body == b"hello body"
    assert callback.header("X-Function-Name") == "echo"
    assert callback.header("X-Function-Status") == "200"
    assert callback.header("X-Call-Id") == answer.header("X-Call-Id")
