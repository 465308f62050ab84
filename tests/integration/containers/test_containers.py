"""Functions that are images, in containers of a real engine."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import StartDaemon
from engine import IMAGE, Podman
from listener import Listener, Received
from raw_http import Response, converse
from twisted.internet.defer import Deferred, gatherResults


def configured(engine: Podman, function: str = "", name: str = "web") -> str:
    """A daemon with one function that is an image."""
    return (
        f"[queue]\nbackend = 'memory'\n[containers]\nsocket = 'unix://{engine.socket}'\n"
        f"[functions.{name}]\nimage = '{IMAGE}'\npull = 'never'\n{function}\n"
    )


def only(found: list[Any]) -> Any:
    [one] = found
    return one


@pytest_twisted.ensureDeferred
async def test_it_is_called(start_daemon: StartDaemon, engine: Podman, listener: Listener) -> None:
    """A call of a function whose container is not up yet waits for it; one that is queued ends
    with its callback."""
    came: Deferred[Received] = Deferred()

    def on_request(received: Received) -> None:
        received.answer()
        came.callback(received)

    listener.on_request = on_request
    daemon = await start_daemon(configured(engine))
    answer = await daemon.request("/function/web", b"now")
    assert (answer.status, answer.body) == (200, b"now")
    accepted = await daemon.request("/async-function/web", b"later", X_Callback_Url=listener.url())
    assert accepted.status == 202
    callback = await came
    assert callback.body == b"later"
    assert callback.header("X-Function-Status") == "200"


@pytest_twisted.ensureDeferred
async def test_what_it_is_given(start_daemon: StartDaemon, engine: Podman, state: Path) -> None:
    """Variables, a secret it cannot change, labels, limits and a root file system that is read-only
    stand with the engine, and its port is published on loopback alone. When the daemon stops, it
    is asked to end, may say so, and is gone with all of this."""
    (state / "secrets").mkdir(parents=True)
    secret = state / "secrets" / "token"
    secret.touch(0o600)
    secret.write_text("hush\n")
    daemon = await start_daemon(
        configured(
            engine,
            "environment = { COLOUR = 'blue' }\nfprocess = 'cat -n'\nsecrets = ['token']\n"
            "memory = '32MiB'\ncpus = 0.5\nread_only = true\nlabels = { team = 'a' }\n",
        )
    )
    variables = (await daemon.get("/function/web?env")).body.decode().splitlines()
    assert {"COLOUR=blue", "fprocess=cat -n"} <= set(variables)
    assert (await daemon.get("/function/web?secret")).body == b"hush\ntoken\n"
    written = (await daemon.get("/function/web?write")).body.decode().splitlines()
    assert written == ["/file no", "/tmp/file yes", "/var/openfaas/secrets/token no"]

    container = only(engine.containers(state))
    host = container["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (32 * 2**20, 500_000_000)
    stats = engine.ask(f"/v1.41/containers/{container['Id']}/stats?stream=false")
    assert stats["memory_stats"]["limit"] == 32 * 2**20
    assert host["ReadonlyRootfs"] is True
    assert container["Config"]["Labels"]["team"] == "a"
    assert {each["HostIp"] for each in host["PortBindings"]["8080/tcp"]} == {"127.0.0.1"}
    assert not (state / "containers").stat().st_mode & 0o077
    assert await daemon.stop() == 0
    assert "web: asked to end" in daemon.log
    assert engine.containers(state) == []
    assert not list((state / "containers").iterdir())


@pytest_twisted.ensureDeferred
async def test_scale_to_zero_and_back(
    start_daemon: StartDaemon, engine: Podman, state: Path
) -> None:
    """A function that nobody calls has no container any more; calls that come then wait for a new
    one, and have but one."""
    daemon = await start_daemon(
        configured(
            engine,
            "annotations = { 'com.openfaas.scale.zero' = 'true',"
            " 'com.openfaas.scale.zero-duration' = '300ms' }",
        )
    )
    first = (await daemon.get("/function/web?host")).body
    await daemon.says("web is at zero")
    assert engine.containers(state) == []
    answers = await gatherResults([daemon.get("/function/web?host") for _ in range(3)])
    second, *others = {each.body for each in answers}
    assert others == []
    assert second != first


@pytest_twisted.ensureDeferred
async def test_it_crashes(start_daemon: StartDaemon, engine: Podman, state: Path) -> None:
    """Another container takes its place, and the next call waits for it; what both write is in the
    daemon's log."""
    daemon = await start_daemon(configured(engine, "fprocess = 'x'"))
    await daemon.says(r"web: started with x\n")
    first = (await daemon.get("/function/web?host")).body
    await daemon.get("/function/web?crash")
    await daemon.says(r"web: crashing\n")
    await daemon.says("web exited with 3 and is started again")
    await daemon.says("web: started with x")
    assert (await daemon.get("/function/web?host")).body != first
    assert len(engine.containers(state)) == 1


@pytest_twisted.ensureDeferred
async def test_the_daemon_is_killed(start_daemon: StartDaemon, engine: Podman, state: Path) -> None:
    """The next daemon goes on with the container that it left behind, and removes that of a
    function that is gone; if the settings have changed, it has a new one alone."""
    gone = f"[functions.gone]\nimage = '{IMAGE}'\n"
    killed = await start_daemon(configured(engine) + gone)
    host = (await killed.get("/function/web?host")).body
    await killed.get("/function/gone")
    await killed.kill()
    adopting = await start_daemon(configured(engine), wait_ready=False)
    await adopting.says("removing faasd-async-gone-")
    assert (await adopting.get("/function/web?host")).body == host
    await adopting.get("/function/web?crash")
    await adopting.says(r"web: crashing\n")
    await adopting.says("web is ready")
    host = (await adopting.get("/function/web?host")).body
    assert len(engine.containers(state)) == 1
    await adopting.kill()
    changed = await start_daemon(configured(engine, "memory = '64MiB'"))
    assert (await changed.get("/function/web?host")).body != host
    assert only(engine.containers(state))["HostConfig"]["Memory"] == 64 * 2**20


@pytest_twisted.ensureDeferred
async def test_its_settings_change(start_daemon: StartDaemon, engine: Podman, state: Path) -> None:
    """When the daemon reads its file again, a container of the new settings takes the old one's
    place."""
    daemon = await start_daemon(configured(engine))
    await daemon.get("/function/web")
    daemon.configure(configured(engine, "environment = { COLOUR = 'red' }"))
    daemon.signal(signal.SIGHUP)
    await daemon.says("functions are deployed now")
    assert b"COLOUR=red" in (await daemon.get("/function/web?env")).body
    await daemon.says("web: asked to end")


@pytest_twisted.ensureDeferred
async def test_the_engine_goes_and_comes(
    start_daemon: StartDaemon, engine: Podman, state: Path
) -> None:
    """A container answers while its engine is away; when it is back, a crash is seen again."""
    daemon = await start_daemon(configured(engine))
    assert (await daemon.get("/function/web?host")).status == 200
    engine.kill()
    await daemon.says("web: whether it runs cannot be asked now")
    assert (await daemon.get("/function/web?host")).status == 200
    engine.start()
    await daemon.get("/function/web?crash")
    await daemon.says("web exited with 3 and is started again")
    assert (await daemon.get("/function/web?host")).status == 200
    assert len(engine.containers(state)) == 1


@pytest_twisted.ensureDeferred
async def test_the_engine_comes_late(
    start_daemon: StartDaemon, engine: Podman, tmp_path: Path
) -> None:
    """Without an engine the function answers 503 and says why, and others work; a call that was
    queued meanwhile runs when there is one. Without its image it says so, too."""
    socket = tmp_path / "later.sock"
    config = configured(engine).replace(str(engine.socket), str(socket))
    daemon = await start_daemon(
        f"{config}[functions.echo]\ncommand = 'cat'\n"
        "[functions.none]\nimage = 'localhost/no-such-image:1'\npull = 'never'\n"
    )
    refused = await daemon.request("/function/web", b"x")
    assert refused.status == 503
    assert f"there is no container engine at {socket}" in refused.body.decode()
    assert refused.header("Retry-After") is not None
    assert f"function web cannot be started: there is no container engine at {socket}" in daemon.log
    assert (await daemon.request("/function/echo", b"x")).body == b"x"
    accepted = await daemon.request("/async-function/web", b"late")
    socket.symlink_to(engine.socket)
    result = await daemon.get(f"/call/{accepted.header('X-Call-Id')}/result?wait=25s")
    assert (result.status, result.body) == (200, b"late")
    refused = await daemon.request("/function/none", b"x")
    assert refused.status == 503
    assert b"the image localhost/no-such-image:1 is not there" in refused.body


@pytest_twisted.ensureDeferred
async def test_it_is_deployed_over_http(
    start_daemon: StartDaemon, engine: Podman, listener: Listener, state: Path
) -> None:
    """As OpenFaaS' clients deploy an image: it is called, queued and called back, scaled to zero
    and from there by a call, shown as it is, what it writes is followed, and it is removed with
    its container."""
    came: Deferred[Received] = Deferred()

    def on_request(received: Received) -> None:
        received.answer()
        came.callback(received)

    listener.on_request = on_request
    daemon = await start_daemon(
        f"[containers]\nsocket = 'unix://{engine.socket}'\n[defaults]\npull = 'never'\n"
    )

    async def order(method: str, path: str, sheet: object) -> Response:
        body = json.dumps(sheet).encode()
        return await daemon.request(path, body, method=method, Host="localhost")

    deployed = await order(
        "POST",
        "/system/functions",
        {
            "service": "web",
            "image": IMAGE,
            "envProcess": "cat",
            "envVars": {"COLOUR": "green"},
            "limits": {"memory": "32Mi", "cpu": "500m"},
        },
    )
    assert deployed.status in (200, 202), deployed.body

    async def available() -> int:
        shown = await order("GET", "/system/function/web", None)
        return int(json.loads(shown.body)["availableReplicas"])

    following = await converse(daemon.reactor, daemon.port, "GET")
    following.send(b"GET /system/logs?name=web&follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await following.when_received(b'"text":"started with cat"')
    assert (await daemon.request("/function/web.openfaas-fn", b"now")).body == b"now"
    assert b"COLOUR=green" in (await daemon.get("/function/web?env")).body
    assert await available() == 1
    container = only(engine.containers(state))["Name"].lstrip("/")
    told = await order("GET", f"/system/logs?name=web&instance={container}&tail=1", None)
    assert json.loads(told.body)["text"] == "started with cat"
    assert only(engine.containers(state))["HostConfig"]["Memory"] == 32 * 2**20
    await daemon.request("/async-function/web", b"later", X_Callback_Url=listener.url())
    assert (await came).body == b"later"
    scaled = await order(
        "POST", "/system/scale-function/web", {"serviceName": "web", "replicas": 0}
    )
    assert scaled.status in (200, 202)
    while engine.containers(state):
        await daemon.get("/healthz")
    await following.when_received(b'"text":"asked to end"')
    assert await available() == 0
    assert (await daemon.request("/function/web", b"again")).body == b"again"
    gone = await order("DELETE", "/system/functions", {"functionName": "web"})
    assert gone.status in (200, 202)
    while engine.containers(state):
        await daemon.get("/healthz")
    assert (await daemon.request("/function/web", b"x")).status == 404
    sheet = {"service": "web", "image": "localhost/no-such-image"}
    assert (await order("POST", "/system/functions", sheet)).status in (200, 202)
    await daemon.says("web cannot be started")
    assert await available() == 0
