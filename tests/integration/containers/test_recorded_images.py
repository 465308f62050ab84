"""faas-cli's whole conversation, byte for byte as it was recorded, about images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from engine import IMAGE, Podman
from listener import Listener, Received, at
from test_faas_cli import RECORDED, ask, config, same_shape, say
from twisted.internet.defer import Deferred

#: The images that were deployed.
IMAGES = ("docker.io/fake/newfn:1.0", "docker.io/fake/newfn:1.1", "docker.io/fake/yamlfn:0.1")


@pytest.fixture
def tagged(engine: Podman) -> Iterator[Podman]:
    """An engine that has the recorded images and need not fetch them."""
    for image in IMAGES:
        engine.run("tag", IMAGE, image)
    yield engine
    for image in IMAGES:
        engine.run("untag", IMAGE, image)


def memory_of(containers: list[Any], image: str) -> int:
    """The limit of the one container of an image; those of others may be on their way out."""
    [found] = [each for each in containers if each.get("Config", {}).get("Image") == image]
    return int(found["HostConfig"]["Memory"])


async def use(daemon: Daemon, name: str, callbacks: Deferred[Received], back: str) -> None:
    """Have a function called in the queue, scaled, and called again."""
    accepted = await daemon.request(
        f"/async-function/{name}.openfaas-fn", b"later", X_Callback_Url=back
    )
    assert accepted.status == 202
    callback = await callbacks
    assert (callback.body, callback.header("X-Function-Name")) == (b"later", name)
    for replicas in (0, 1):
        order = {"serviceName": name, "replicas": replicas}
        path = f"/system/scale-function/{name}"
        assert (await ask(daemon, "POST", path, order)).status == 202
        told = await ask(daemon, "GET", f"/system/function/{name}?usage=1")
        assert json.loads(told.body)["replicas"] == replicas
    assert (await daemon.request(f"/function/{name}", b"again")).body == b"again"


@pytest_twisted.ensureDeferred
async def test_the_recorded_conversation_about_images(
    start_daemon: StartDaemon, tagged: Podman, listener: Listener, tmp_path: Path, state: Path
) -> None:
    """Every request is sent as recorded and answered with the recorded status; what is deployed is
    a container under the recorded limits that can be called, and what is removed is none."""
    callbacks: list[Deferred[Received]] = [Deferred(), Deferred()]
    waiting = iter(callbacks)

    def on_request(received: Received) -> None:
        if at("/back")(received):
            received.answer()
            next(waiting).callback(received)
        elif at("/fail/")(received):
            received.answer(500, b"boom", X_Fn_Header="kept")
        else:
            received.answer(200, received.body)

    listener.on_request = on_request
    daemon = await start_daemon(
        config(tmp_path, listener, "") + f"[containers]\nsocket = 'unix://{tagged.socket}'\n"
    )
    secret = {"name": "api-key", "value": "k"}
    assert (await ask(daemon, "POST", "/system/secrets", secret)).status == 201
    deployed = []
    for exchange in RECORDED:
        answer = await say(daemon, exchange)
        assert answer.status == exchange.status, (str(exchange), answer.body)
        if b"Content-Type: application/json" in exchange.answer and b"[{" in exchange.answer:
            same_shape(answer, exchange)
        if not (exchange.first_line.startswith("POST /system/functions") and answer.status == 202):
            continue
        sent = exchange.sent
        deployed.append(sent["image"])
        if sent["image"] != "docker.io/fake/newfn:1.1":
            answer = await daemon.request(f"/function/{sent['service']}.openfaas-fn", b"now")
            assert (answer.status, answer.body) == (200, b"now")
            memory = {"64Mi": 64 * 2**20, "128Mi": 128 * 2**20}[sent["limits"]["memory"]]
            assert memory_of(tagged.containers(state), sent["image"]) == memory
            await use(daemon, sent["service"], callbacks[len(deployed) // 2], listener.url("/back"))
    assert deployed == list(IMAGES)
    gone = await ask(daemon, "DELETE", "/system/functions", {"functionName": "yamlfn"})
    assert gone.status == 202
    assert await daemon.stop() == 0
    assert tagged.containers(state) == []
