"""Secrets of a running daemon: who finds them, and who does not."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from provider import DEPLOY, deploy, deployment, order, refused, told

SHOW = """sh -c 'test "$secret_mount_path" || exit 0
cd "$secret_mount_path"; for f in *; do echo "$f=$(cat $f)"; done'"""


async def put(daemon: Daemon, name: str, value: str, method: str = "POST") -> None:
    answer = await order(daemon, method, "secrets", {"name": name, "value": value})
    assert answer.status == (201 if method == "POST" else 202), answer.body


@pytest_twisted.ensureDeferred
async def test_a_function_finds_the_secrets_that_it_names_and_no_others(
    start_daemon: StartDaemon,
) -> None:
    """As files; what is changed is there at once; after a restart it is all the same."""
    daemon = await start_daemon(DEPLOY)
    for name in ("one", "two", "three"):
        await put(daemon, name, f"value of {name}")
    await deploy(daemon, "a", command=SHOW, secrets=["one", "two"])
    await deploy(daemon, "b", command=SHOW)
    shown = b"one=value of one\ntwo=value of two\n"
    assert (await daemon.request("/function/a")).body == shown
    assert (await daemon.request("/function/b")).body == b""
    await put(daemon, "two", "another", "PUT")
    shown = b"one=value of one\ntwo=another\n"
    assert (await daemon.request("/function/a")).body == shown
    await daemon.kill()
    daemon = await start_daemon(DEPLOY)
    assert (await daemon.request("/function/a")).body == shown
    await deploy(daemon, "a", command=SHOW, secrets=["three"])
    assert (await daemon.request("/function/a")).body == b"three=value of three\n"


@pytest_twisted.ensureDeferred
async def test_a_function_of_the_file_names_secrets_too(start_daemon: StartDaemon) -> None:
    """They need not be there before the daemon is: it is over HTTP that they come."""
    daemon = await start_daemon(f"[functions.a]\ncommand = '''{SHOW}'''\nsecrets = ['key']\n")
    await put(daemon, "key", "k")
    assert (await daemon.request("/function/a")).body == b"key=k\n"


@pytest_twisted.ensureDeferred
async def test_a_secret_is_shown_to_nobody(start_daemon: StartDaemon) -> None:
    """Only its name is told; its file is the daemon's own, and the log does not hold it."""
    daemon = await start_daemon(DEPLOY)
    await put(daemon, "key", "hush-hush")
    await deploy(daemon, "a", command="cat", secrets=["key"])
    assert await told(daemon, "secrets") == [{"name": "key", "namespace": "openfaas-fn"}]
    for path in ("secrets", "functions", "function/a", "secrets?name=key"):
        assert b"hush" not in (await order(daemon, "GET", path)).body
    file = daemon.state / "secrets" / "key"
    assert file.read_text() == "hush-hush"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "hush" not in daemon.log


@pytest_twisted.ensureDeferred
async def test_a_secret_is_made_changed_and_removed(start_daemon: StartDaemon) -> None:
    """Once each; one that a function is given is kept until that function is gone."""
    daemon = await start_daemon(DEPLOY)
    await put(daemon, "key", "1")
    again = {"name": "key", "value": "2"}
    await refused(daemon, "POST", "secrets", again, 409)
    await refused(daemon, "PUT", "secrets", {"name": "other", "value": "2"}, 404)
    await deploy(daemon, "a", command="cat", secrets=["key"])
    assert "given to a" in await refused(daemon, "DELETE", "secrets", {"name": "key"}, 409)
    assert (await order(daemon, "DELETE", "functions", {"functionName": "a"})).status == 202
    gone = {"name": "key", "namespace": "openfaas-fn"}
    assert (await order(daemon, "DELETE", "secrets", gone)).status == 202
    await refused(daemon, "DELETE", "secrets", gone, 404)
    assert await told(daemon, "secrets") == []
    body = deployment("a", command="cat", secrets=["key"])
    await refused(daemon, "POST", "functions", body, 400)


@pytest_twisted.ensureDeferred
async def test_a_secret_may_be_of_any_bytes(start_daemon: StartDaemon) -> None:
    """``rawValue`` holds them in base64."""
    daemon = await start_daemon("")
    content = bytes(range(256)) * 4
    body = {"name": "raw", "rawValue": b64encode(content).decode()}
    assert (await order(daemon, "POST", "secrets", body)).status == 201
    assert (daemon.state / "secrets" / "raw").read_bytes() == content


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nonsense", "cannot be read"),
        ({"value": "v"}, "name"),
        ({"name": "a"}, "value: found none"),
        ({"name": "a", "rawValue": "not base64"}, "rawValue"),
        ({"name": "../a", "value": "v"}, "name: found"),
        ({"name": ".a", "value": "v"}, "name: found"),
        ({"name": "", "value": "v"}, "name: found"),
        ({"name": "a", "value": 7}, "value"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_secret(start_daemon: StartDaemon, body: object, why: str) -> None:
    """The answer says what is wrong, without the value; nothing is written."""
    daemon = await start_daemon("[queue]\nbackend = 'memory'\n")
    told_why = await refused(daemon, "POST", "secrets", body, 400)
    assert why in told_why
    assert "not base64" not in told_why
    assert json.loads((await order(daemon, "GET", "secrets")).body) == []
