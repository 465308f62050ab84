"""What Prometheus reads of a running daemon, under the names OpenFaaS' dashboards know."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import pytest_twisted
from daemon import Daemon, StartDaemon
from listener import Listener
from prometheus_client.parser import text_string_to_metric_families
from test_calls import function


async def figures(daemon: Daemon) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Each sample, by its name and labels."""
    text = (await daemon.figures()).body.decode()
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def of(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


F, QF = of(function_name="f"), of(queue_name="default", function_name="f")


@pytest_twisted.ensureDeferred
async def test_while_calls_run_and_after(start_daemon: StartDaemon, listener: Listener) -> None:
    """What runs now, for whom; what has begun and ended; each receipt among the answers, once,
    however often somebody looks."""
    listener.on_request = lambda request: None
    daemon = await start_daemon(
        f"[functions.f]\nurl = '{listener.url()}'\nmax_inflight = 2\n"
        "retry = { attempts = 2, min_wait = '10ms', max_wait = '10ms' }\n"
    )
    waiting = daemon.request("/function/f")
    await daemon.request("/async-function/f", b"x")
    await listener.when(2)
    await daemon.request("/async-function/f", b"y")
    now = await figures(daemon)
    assert now["gateway_invocation_function_invocation_inflight"][F] == 2
    assert now["queue_worker_function_invocation_inflight"][QF] == 1
    assert now["gateway_function_invocation_started"][F] == 2
    assert now["gateway_service_count"][F] == 1
    assert now["queue_worker_pending_messages"][QF] == 1
    assert now["faasd_async_oldest_seconds"][QF] > 0
    receipts = of(function_name="f", code="202")
    assert now["gateway_function_invocation_total"][receipts] == 2
    assert (await figures(daemon))["gateway_function_invocation_total"][receipts] == 2

    listener.on_request = lambda request: request.answer(503)
    for request in list(listener.requests):
        request.answer(503)
    assert (await waiting).status == 503
    for _ in range(2):
        await daemon.says("is a dead letter now")
    # An end is told of before it is on disk, and its token comes back after that.
    for _ in range(200):
        after = await figures(daemon)
        if not after["gateway_invocation_function_invocation_inflight"][F]:
            break
    assert after["gateway_invocation_function_invocation_inflight"][F] == 0
    assert after["gateway_function_invocation_started"][F] == 5
    answers = of(function_name="f", code="503")
    assert after["gateway_function_invocation_total"][answers] == 5
    assert after["faasd_async_retries_total"][F] == 2
    dead = of(function_name="f", reason="exhausted")
    assert after["faasd_async_dead_letters_total"][dead] == 2
    # The last of them is settled after it was buried.
    while QF in (await figures(daemon)).get("faasd_async_oldest_seconds", {}):
        pass


@pytest_twisted.ensureDeferred
async def test_a_broker_that_was_replaced(start_daemon: StartDaemon) -> None:
    """Each new connection to it is counted."""
    daemon = await start_daemon("[functions.f]\ncommand = ['cat']\n")
    assert (await figures(daemon))["gateway_nats_reconnect_total"][of()] == 0
    os.kill(daemon.broker_pid, signal.SIGKILL)
    await daemon.says("connected to NATS")
    assert (await figures(daemon))["queue_worker_nats_reconnect_total"][of()] == 1


ETC = Path(__file__).parents[2] / "etc"
RULES, DASHBOARD = (
    ETC / "prometheus" / "faasd-async.rules.yml",
    ETC / "grafana" / "faasd-async.json",
)


def named(text: str) -> set[str]:
    """The figures that a text of PromQL asks for."""
    return set(re.findall(r"\b(?:gateway|queue_worker|faasd_async)_[a-z_]+\b(?!=)", text))


@pytest_twisted.ensureDeferred
async def test_what_the_dashboard_and_the_alerts_ask_for(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """Is there: each name of a figure is one that a daemon shows."""
    daemon = await start_daemon(f"[functions.f]\nurl = '{listener.url('/f')}'\n")
    listener.on_request = lambda request: request.answer(500)
    await daemon.request("/async-function/f", b"x", X_Callback_Url=listener.url("/back"))
    await daemon.says("is a dead letter now")
    shown = (await daemon.figures()).body.decode()
    families = {line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE")}
    rules = re.findall(r"expr: (?:\|\n)?(.*?)\n +(?:for|annotations)", RULES.read_text(), re.DOTALL)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = set().union(*map(named, [*rules, *expressions]))
    assert len(rules) > 5
    assert len(asked) > 10
    assert {name.removesuffix("_bucket") for name in asked} <= families


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_the_alerts_are_rules_of_prometheus() -> None:
    """Prometheus' own tool reads them."""
    checked = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest_twisted.ensureDeferred
async def test_requests_by_their_routes(start_daemon: StartDaemon, listener: Listener) -> None:
    """Whichever door they took, receipts and refusals among them, without names and ids."""
    daemon = await start_daemon(function("f", listener))
    listener.on_request = lambda request: request.answer(201)
    for method, target, headers in (
        ("POST", "/function/f", {}),
        ("POST", "/function/f/rest", {"Expect": "100-continue"}),
        ("POST", "/async-function/f", {}),
        ("POST", "/async-function/f", {"Prefer": "respond-async"}),
        ("GET", "/function/nobody", {}),
        ("GET", "/call/0123456789abcdef0123", {}),
        ("GET", "/made/up", {}),
        ("GET", "/system/function/f", {"Host": "localhost"}),
    ):
        await daemon.request(target, b"", method=method, **headers)
    found = await figures(daemon)
    expected = {
        ("POST", "/function", "201"): 2,
        ("POST", "/async-function", "202"): 2,
        ("GET", "/function", "404"): 1,
        ("GET", "/call", "404"): 1,
        ("GET", "other", "404"): 1,
        ("GET", "/system/function", "200"): 1,
    }
    keys = ("method", "path", "status")
    labelled = {of(**dict(zip(keys, each, strict=True))): n for each, n in expected.items()}
    assert found["http_requests_total"] == labelled
    assert found["http_request_duration_seconds_count"] == labelled
