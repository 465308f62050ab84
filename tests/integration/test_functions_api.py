"""Functions deployed to a running daemon: what becomes of them, and of their calls."""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_twisted
from daemon import StartDaemon
from listener import Listener, at
from provider import COMMAND, DEPLOY, URL, deploy, deployment, order, refused, told
from raw_http import Response
from test_calls import function, runs
from test_pausing import sheet
from twisted.internet.defer import Deferred

TELLS = f"{sys.executable} {Path(__file__).parent / 'functions' / 'tells.py'}"


@pytest_twisted.ensureDeferred
async def test_the_files_functions_are_the_files(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """They are shown, and neither deployed, changed nor removed over HTTP: 409 says why."""
    daemon = await start_daemon(DEPLOY + function("a", listener, "labels = { team = 'x' }"))
    body = deployment("a", command="cat")
    for method in ("POST", "PUT"):
        why = await refused(daemon, method, "functions", body, 409)
        assert "settings file" in why
    why = await refused(daemon, "DELETE", "functions", {"functionName": "a.openfaas-fn"}, 409)
    assert "settings file" in why
    (shown,) = await told(daemon, "functions")
    assert (shown["name"], shown["labels"], shown["replicas"]) == ("a", {"team": "x"}, 1)
    assert (await daemon.request("/function/a")).status == 200


@pytest_twisted.ensureDeferred
async def test_nothing_is_deployed_unless_the_settings_allow_it(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Neither kind by default; and each on its own, at the next reading of the file."""
    daemon = await start_daemon("")
    a, b = deployment("a", command="cat"), deployment("b", url=listener.url("/b"))
    for body, key in ((a, COMMAND), (b, URL)):
        assert key in await refused(daemon, "POST", "functions", body, 403)
    daemon.configure("deploy = ['url']\n")
    daemon.signal(signal.SIGHUP)
    await daemon.says("0 functions are deployed now")
    await refused(daemon, "POST", "functions", a, 403)
    assert (await order(daemon, "POST", "functions", b)).status == 202
    assert await told(daemon, "functions") != []
    daemon.configure("")
    daemon.signal(signal.SIGHUP)
    await daemon.says("b is not deployed: ")
    (shown,) = await told(daemon, "functions")
    assert (shown["name"], shown["availableReplicas"]) == ("b", 0)
    assert (await daemon.request("/function/b")).status == 404


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_a_step_of_a_path_is_none(start_daemon: StartDaemon) -> None:
    """Its function could not be called: clients take such steps out of a URL. 400 says so."""
    daemon = await start_daemon(DEPLOY)
    for name in (".", "..", "...openfaas-fn", ".hidden"):
        body = deployment(name, command="cat")
        assert "does not begin with" in await refused(daemon, "POST", "functions", body, 400)
    assert await told(daemon, "functions") == []


@pytest_twisted.ensureDeferred
async def test_a_namespace_may_stand_behind_every_name(start_daemon: StartDaemon) -> None:
    """The one that there is; of others nothing is known."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a.openfaas-fn", command="cat", namespace="openfaas-fn")
    assert (await told(daemon, "function/a.openfaas-fn"))["name"] == "a"
    assert (await told(daemon, "function/a?namespace=openfaas-fn"))["namespace"] == "openfaas-fn"
    assert len(await told(daemon, "functions?namespace=openfaas-fn")) == 1
    assert await told(daemon, "namespaces") == ["openfaas-fn"]
    assert (await told(daemon, "namespace/openfaas-fn"))["name"] == "openfaas-fn"
    for path in ("functions?namespace=b", "function/a?namespace=b", "namespace/b", "function/a.b"):
        await refused(daemon, "GET", path, None, 404)
    assert "openfaas-fn" in await refused(daemon, "POST", "namespace/", {"name": "b"}, 400)
    for method in ("PUT", "DELETE"):
        await refused(daemon, method, "namespace/openfaas-fn", {"name": "openfaas-fn"}, 400)
    other = deployment("a", command="cat", namespace="b")
    assert "openfaas-fn" in await refused(daemon, "POST", "functions", other, 404)
    gone = {"functionName": "a.openfaas-fn", "namespace": "openfaas-fn"}
    assert (await order(daemon, "DELETE", "functions", gone)).status == 202
    assert await told(daemon, "functions") == []


@pytest_twisted.ensureDeferred
async def test_deployments_survive_what_happens_to_the_daemon(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """A crash and a reading of the file; a function of the file takes the place of one of its name
    for as long as it is there."""
    daemon = await start_daemon(DEPLOY + function("a", listener))
    await deploy(daemon, "b", command="cat", labels={"l": "1"})
    created = (await told(daemon, "function/b"))["createdAt"]
    daemon.configure(DEPLOY + function("c", listener))
    daemon.signal(signal.SIGHUP)
    await daemon.says("functions are deployed now")
    assert [each["name"] for each in await told(daemon, "functions")] == ["b", "c"]
    await daemon.kill()
    daemon = await start_daemon(DEPLOY + function("b", listener))
    assert "b is not deployed: the settings file has a function of that name" in daemon.log
    await daemon.request("/function/b", b"1")
    await listener.when(1, at("/b/"))
    daemon.configure(DEPLOY)
    daemon.signal(signal.SIGHUP)
    await daemon.says("functions are deployed now")
    shown = await told(daemon, "function/b")
    assert (shown["createdAt"], shown["labels"]) == (created, {"l": "1"})
    assert (await daemon.request("/function/b", b"2")).body == b"2"
    (stored,) = (daemon.state / "functions").iterdir()
    assert stored.stat().st_mode & 0o777 == 0o600


@pytest_twisted.ensureDeferred
async def test_a_deployment_that_cannot_start_keeps_nobody_else_from_it(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """One whose program has gone is left out and told of; it is back when the program is."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\ncat\n")
    program.chmod(0o755)
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", command=str(program))
    await deploy(daemon, "b", command="cat")
    await daemon.kill()
    program.rename(tmp_path / "elsewhere")
    daemon = await start_daemon(DEPLOY)
    assert "a is not deployed: " in daemon.log
    available = {
        each["name"]: each["availableReplicas"] for each in await told(daemon, "functions")
    }
    assert available == {"a": 0, "b": 1}
    assert (await daemon.request("/function/b", b"x")).body == b"x"
    (tmp_path / "elsewhere").rename(program)
    await deploy(daemon, "c", command="cat")
    assert (await daemon.request("/function/a", b"y")).body == b"y"


@pytest_twisted.ensureDeferred
async def test_a_new_version_that_cannot_start_changes_nothing(start_daemon: StartDaemon) -> None:
    """The old one goes on, now and after a restart."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", command="cat")
    for command in ("no-such-program", "", "'"):
        body = deployment("a", command=command)
        assert "command" in await refused(daemon, "PUT", "functions", body, 400)
        assert (await daemon.request("/function/a", b"x")).body == b"x"
    await daemon.kill()
    daemon = await start_daemon(DEPLOY)
    assert (await told(daemon, "function/a"))["annotations"] == {COMMAND: "cat"}
    assert (await daemon.request("/function/a", b"x")).body == b"x"


@pytest_twisted.ensureDeferred
async def test_an_update_replaces_what_was_there(start_daemon: StartDaemon) -> None:
    """PUT and POST alike; PUT only where there is something."""
    daemon = await start_daemon(DEPLOY)
    await refused(daemon, "PUT", "functions", deployment("a", command="cat"), 404)
    await deploy(daemon, "a", command="echo 1")
    for method, number in (("PUT", "2"), ("POST", "3")):
        body = deployment("a", command=f"echo {number}")
        assert (await order(daemon, method, "functions", body)).status == 202
        assert (await daemon.request("/function/a")).body.decode() == f"{number}\n"
    await daemon.kill()
    daemon = await start_daemon(DEPLOY)
    assert (await daemon.request("/function/a")).body == b"3\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("nonsense", "the body cannot be read"),
        ({}, "service"),
        ({"service": 7}, "service"),
        ({"service": "a", "labels": {"l": 1}}, "labels"),
        (deployment("a b", command="cat"), "a b"),
        (deployment("", command="cat"), "name"),
        (deployment("a"), "no container runtime"),
        (deployment("a", command="cat", url="http://h"), "found url and command"),
        (deployment("a", url="nowhere"), "url: found"),
        (deployment("a", command="cat", secrets=["nosuch"]), "no secret called nosuch"),
        (deployment("a", command="cat", secrets=["../a"]), "secrets"),
        (deployment("a", command="cat", envVars={"mode": "static"}), "mode: found"),
        (deployment("a", command="cat", envVars={"exec_timeout": "soon"}), "timeout: found"),
        (deployment("a", command="cat", envVars={"max_inflight": "x"}), "found"),
        (deployment("a", command="cat", envVars={"A=": "x"}), "environment: found"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_deployed(start_daemon: StartDaemon, body: object, why: str) -> None:
    """The answer is 400 and says what is wrong; nothing is there afterwards."""
    daemon = await start_daemon(DEPLOY + "[queue]\nbackend = 'memory'\n")
    assert why in await refused(daemon, "POST", "functions", body, 400)
    assert await told(daemon, "functions") == []


@pytest_twisted.ensureDeferred
async def test_calls_outlive_their_function(start_daemon: StartDaemon, listener: Listener) -> None:
    """Those that wait when it is removed run when there is one of its name again."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", url=listener.url("/old"))
    assert (await order(daemon, "POST", "function/a/pause")).status == 200
    accepted = await daemon.request("/async-function/a", b"kept")
    assert accepted.status == 202
    assert (await order(daemon, "DELETE", "functions", {"functionName": "a"})).status == 202
    assert (await daemon.request("/async-function/a")).status == 404
    assert (await order(daemon, "POST", "function/a/resume")).status == 200
    await deploy(daemon, "a", url=listener.url("/new"))
    (request,) = await listener.when(1)
    assert (request.target, request.body) == (b"/new/", b"kept")


@pytest_twisted.ensureDeferred
async def test_what_is_under_way_ends_with_the_version_it_began_with(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """A new version takes the calls that come after it."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", url=listener.url("/old"))
    listener.on_request = lambda request: request.answer() if at("/new/")(request) else None
    first: Deferred[Response] = daemon.request("/function/a", b"1")
    (running,) = await listener.when(1)
    await deploy(daemon, "a", url=listener.url("/new"))
    assert (await daemon.request("/function/a", b"2")).status == 200
    running.answer(200, b"old")
    assert (await first).body == b"old"


@pytest_twisted.ensureDeferred
async def test_annotations_and_variables_of_a_deployment_count(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Queue, retries, schedule, time limits and how many run at a time."""
    daemon = await start_daemon(DEPLOY)
    annotations = {
        "com.openfaas.queue": "slow",
        "com.openfaas.retry.attempts": "2",
        "com.openfaas.retry.codes": "500",
        "com.openfaas.retry.min_wait": "10ms",
        "topic": "cron-function",
        "schedule": "@yearly",
    }
    await deploy(
        daemon,
        "a",
        url=listener.url("/a"),
        annotations=annotations,
        envVars={"max_inflight": "7", "exec_timeout": "200ms"},
    )
    known = (await sheet(daemon))["a"]
    assert known["max_inflight"] == 7
    assert "queue slow" in await sheet(daemon)
    schedules = (await told(daemon, "schedules"))["schedules"]
    assert [each["schedule"] for each in schedules] == ["@yearly"]
    listener.on_request = lambda request: request.answer(500)
    await daemon.request("/async-function/a")
    first, second = await listener.when(2)
    assert [first.header("X-Attempt"), second.header("X-Attempt")] == ["1", "2"]
    listener.on_request = lambda request: None
    assert (await daemon.request("/function/a")).status == 504


@pytest_twisted.ensureDeferred
async def test_invocations_are_counted(start_daemon: StartDaemon, listener: Listener) -> None:
    """At once and from the queue, whatever came of them; and when a function was made is told."""
    before = datetime.now(UTC)
    daemon = await start_daemon(DEPLOY + function("f", listener))
    await deploy(daemon, "a", command="cat")
    for _ in range(2):
        await daemon.request("/function/a", b"x")
    callback = listener.url("/told")
    await daemon.request("/async-function/a", b"x", X_Callback_Url=callback)
    await listener.when(1, at("/told"))
    shown = {each["name"]: each for each in await told(daemon, "functions")}
    assert (shown["a"]["invocationCount"], shown["f"]["invocationCount"]) == (3, 0)
    for each in shown.values():
        assert before <= datetime.fromisoformat(each["createdAt"]) <= datetime.now(UTC)


# -- replicas


@pytest_twisted.ensureDeferred
async def test_a_function_scaled_to_nothing_is_woken_by_its_next_call(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Its process ends, and a call, from the queue or not, has it started again; so after a
    restart."""
    daemon = await start_daemon(DEPLOY)
    await deploy(daemon, "a", command=TELLS, envVars={"mode": "http", "max_inflight": "3"})
    first = int((await daemon.request("/function/a", b"x")).body)
    shown = await told(daemon, "function/a?usage=1")
    assert (shown["replicas"], shown["availableReplicas"]) == (1, 1)
    assert shown["usage"]["totalMemoryBytes"] > 2**20
    to_zero = {"serviceName": "a", "replicas": 0, "namespace": "openfaas-fn"}
    assert (await order(daemon, "POST", "scale-function/a", to_zero)).status == 202
    while runs(first):
        await daemon.get("/healthz")
    shown = await told(daemon, "function/a?usage=1")
    assert (shown["replicas"], shown["availableReplicas"]) == (0, 0)
    assert b'gateway_service_count{function_name="a"} 0.0' in (await daemon.figures()).body
    assert shown["usage"] == {"cpu": 0, "totalMemoryBytes": 0}
    callback = listener.url("/told")
    await daemon.request("/async-function/a", b"y", X_Callback_Url=callback)
    (answer,) = await listener.when(1, at("/told"))
    second = int(answer.body)
    assert second != first
    assert (await told(daemon, "function/a"))["availableReplicas"] == 1
    assert (await order(daemon, "POST", "scale-function/a.openfaas-fn", to_zero)).status == 202
    await daemon.kill()
    daemon = await start_daemon(DEPLOY)
    assert (await told(daemon, "function/a"))["replicas"] == 0
    answers = [daemon.request("/function/a", b"z") for _ in range(3)]
    pids = {int((await each).body) for each in answers}
    assert len(pids) == 1
    assert (await told(daemon, "function/a"))["replicas"] == 1


@pytest_twisted.ensureDeferred
async def test_as_many_replicas_run_as_many_more_calls(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Of a function of the file, too, and across a reading of it."""
    config = DEPLOY + function("f", listener, "max_inflight = 2")
    daemon = await start_daemon(config)
    await deploy(daemon, "a", command="cat", envVars={"max_inflight": "3"})
    for name in ("a", "f"):
        assert (
            await order(daemon, "POST", f"scale-function/{name}", {"replicas": 4})
        ).status == 202
    daemon.signal(signal.SIGHUP)
    await daemon.says("functions are deployed now")
    known = await sheet(daemon)
    assert (known["a"]["max_inflight"], known["f"]["max_inflight"]) == (12, 8)
    assert {each["replicas"] for each in await told(daemon, "functions")} == {4}
    await daemon.kill()
    daemon = await start_daemon(config)
    replicas = {each["name"]: each["replicas"] for each in await told(daemon, "functions")}
    assert replicas == {"a": 4, "f": 1}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("scale-function/b", {"replicas": 1}, 404),
        ("scale-function/a", {"replicas": -1}, 400),
        ("scale-function/a", {"replicas": 101}, 400),
        ("scale-function/a", {"replicas": "1"}, 400),
        ("scale-function/a", {}, 400),
        ("scale-function/a", {"serviceName": "b", "replicas": 1}, 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_scaled(
    start_daemon: StartDaemon, path: str, body: object, status: int
) -> None:
    """Nothing is changed."""
    daemon = await start_daemon(
        DEPLOY + "[queue]\nbackend = 'memory'\n[functions.a]\ncommand='cat'\n"
    )
    await refused(daemon, "POST", path, body, status)
    assert (await told(daemon, "function/a"))["replicas"] == 1


@pytest_twisted.ensureDeferred
async def test_what_this_is(start_daemon: StartDaemon) -> None:
    """As ``faas-cli version`` asks."""
    daemon = await start_daemon("")
    info = await told(daemon, "info")
    assert info["provider"]["provider"] == "faasd-async"
    assert info["provider"]["version"].keys() == {"sha", "release"}
    assert json.dumps(info["version"])
    assert info["arch"]
