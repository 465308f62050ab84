"""A daemon with a password, over its whole way: settings, start, routes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener, at
from test_calls import function
from test_twistd import ECHO, check

ADMIN = "Basic YWRtaW46czNjcmV0"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "basic-auth-user").write_text("admin\n")
    (directory / "basic-auth-password").write_text("s3cret\n")
    return directory


def environment(secrets: Path) -> dict[str, str]:
    return {"basic_auth": "true", "secret_mount_path": f"{secrets}/"}


@pytest_twisted.ensureDeferred
async def test_the_password_of_a_compose_block(
    start_daemon: StartDaemon, listener: Listener, secrets: Path
) -> None:
    """OpenFaaS' variables and files: /system is closed, functions and health are open, and no
    function hears the password, at once or from the queue."""
    daemon = await start_daemon(function("a", listener), environment=environment(secrets))
    assert (await daemon.get("/system/queues")).status == 401
    assert (await daemon.request("/system/queues", method="GET", Host="localhost")).status == 401
    told = await daemon.request("/system/queues", method="GET", Authorization=ADMIN)
    assert told.status == 200
    assert (await daemon.get("/healthz")).status == 200
    assert (await daemon.request("/function/a", b"1", Authorization=ADMIN)).status == 200
    chunked = await daemon.request("/function/a", Authorization=ADMIN, Prefer="nothing")
    assert chunked.status == 200
    flow = "/system/function/a"
    assert (await daemon.request(f"{flow}/pause", Authorization=ADMIN)).status == 200
    queued = await daemon.request(
        "/async-function/a", b"what is stored", Authorization=ADMIN, X_Call_Id="short"
    )
    assert queued.status == 202
    stored = b"".join(path.read_bytes() for path in daemon.state.rglob("*") if path.is_file())
    assert b"what is stored" in stored
    assert ADMIN.encode() not in stored
    assert (await daemon.request(f"{flow}/resume", Authorization=ADMIN)).status == 200
    requests = await listener.when(3, at("/a/"))
    assert [request.header("Authorization") for request in requests] == [None] * 3
    assert (await daemon.get("/call/short")).status == 401
    shown = await daemon.request("/call/short", method="GET", Authorization=ADMIN)
    assert shown.status == 200


@pytest_twisted.ensureDeferred
async def test_a_function_that_asks_for_it(
    start_daemon: StartDaemon, listener: Listener, secrets: Path
) -> None:
    """Callers are asked; its own schedule, a chain that its password began, and a replay are not.
    Nothing of the password is stored, and the function hears of none."""
    guarded = "auth = 'basic'\nschedule = '@every 1s'\nresults = { keep = '0s' }\n"
    daemon = await start_daemon(
        function("a", listener) + function("b", listener, guarded),
        environment=environment(secrets),
    )
    listener.on_request = lambda request: request.answer(500 if request.body == b"fail" else 200)
    await listener.when(1, at("/b/"))
    for route in ("/function/b", "/async-function/b"):
        refused = await daemon.request(route, b"refused")
        assert (refused.status, refused.header("WWW-Authenticate")) == (
            401,
            'Basic realm="Restricted"',
        )
    assert (await daemon.request("/async-function/b", b"fail", Authorization=ADMIN)).status == 202
    chain = {"X_Callback_Url": daemon.url("/async-function/b/chained")}
    assert (await daemon.request("/async-function/a", b"c", **chain)).status == 401
    chained = await daemon.request("/async-function/a", b"c", Authorization=ADMIN, **chain)
    assert chained.status == 202
    await listener.when(1, at("/b/chained"))
    replay, letters = "/system/dead-letters/replay?all=true", 0
    while not letters:
        answer = await daemon.request(replay, Authorization=ADMIN)
        letters = json.loads(answer.body)["replayed"]
    await listener.when(2, lambda request: request.body == b"fail")
    assert not [request for request in listener.requests if request.header("Authorization")]
    assert not [request for request in listener.requests if request.body == b"refused"]
    assert ADMIN.encode() not in b"".join(
        path.read_bytes() for path in daemon.state.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("content", [None, "  \n"])
@pytest_twisted.ensureDeferred
async def test_a_start_without_a_password_names_the_file(
    reactor: Any, tmp_path: Path, secrets: Path, content: str | None
) -> None:
    """Nothing runs open by mistake."""
    path = secrets / "basic-auth-password"
    path.unlink()
    if content is not None:
        path.write_text(content)
    config = f"basic_auth = true\nsecret_mount_path = 'secrets'\n{ECHO}"
    daemon = Daemon(reactor, tmp_path, config, wait_ready=False)
    await daemon.start()
    assert await daemon.ended() == 1
    assert daemon.errors.startswith(f"{path}: ")
    assert not daemon.state.exists()


def test_a_check_looks_for_the_password(tmp_path: Path) -> None:
    """``--check`` says what a start would."""
    config = tmp_path / "faas.toml"
    config.write_text(f"[gateway]\nbasic_auth = true\nsecret_mount_path = 'none'\n{ECHO}")
    checked = check(config)
    assert checked.returncode == 1
    assert checked.stderr.startswith(f"{tmp_path}/none/basic-auth-user: cannot be read: No such")
