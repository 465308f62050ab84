"""What the page on moving from faasd says of OpenFaaS' variables is what they do."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from faasd_async.settings import Settings, environment, load

PAGE = Path(__file__).parents[3] / "docs" / "migrating-from-faasd.rst"

#: What OpenFaaS' gateway and queue-worker read, and faasd's compose file sets.
GATEWAY = (
    "read_timeout write_timeout upstream_timeout functions_provider_url logs_provider_url"
    " faas_nats_address faas_nats_port faas_nats_cluster_name faas_nats_channel basic_auth"
    " secret_mount_path scale_from_zero max_idle_conns max_idle_conns_per_host function_namespace"
    " direct_functions auth_proxy_pass_body"
)
QUEUE_WORKER = (
    "faas_nats_address faas_nats_port faas_nats_cluster_name faas_nats_queue_group"
    " faas_gateway_address faas_gateway_port gateway_invoke ack_wait max_inflight"
    " faas_max_reconnect faas_reconnect_delay faas_print_body write_debug basic_auth"
    " secret_mount_path"
)

#: A value that is not the default, of those that have an effect.
VALUES = {
    "read_timeout": "61s", "upstream_timeout": "62s", "ack_wait": "10m",
    "functions_provider_url": "http://p:1", "logs_provider_url": "http://l:1",
    "faas_nats_address": "elsewhere", "faas_nats_port": "4223", "faas_nats_cluster_name": "other",
    "faas_nats_channel": "other", "faas_nats_queue_group": "other", "basic_auth": "true",
    "secret_mount_path": "/other", "scale_from_zero": "false", "function_namespace": "other",
    "max_inflight": "7", "faas_print_body": "true", "write_debug": "true",
}  # fmt: skip

OWN_QUEUE = "[functions.f]\nurl = 'http://127.0.0.1:1'\n"
STREAMING = (
    "[queue]\nbackend = 'nats-streaming'\n[nats.streaming]\nurls = ['nats://file:4222']\n"
    f"{OWN_QUEUE}"
)


def rows(heading: str) -> dict[str, str]:
    """The table under a heading: what is said of each variable."""
    text = PAGE.read_text("utf-8")
    text = text[text.index(f"\n{heading}\n{'-' * len(heading)}\n") :]
    _, table, _ = re.split(r"^=+ =+\n", text, maxsplit=2, flags=re.MULTILINE)
    return dict(re.findall(r"^``([a-z_]+)`` +(.+)$", table, re.MULTILINE))


SAID = {**rows("Queue-worker for JetStream"), **rows("Queue-worker"), **rows("Gateway")}


def read_by_the_settings() -> set[str]:
    """Every variable that is taken, or named as having no effect."""
    taken = {
        call.args[0].value
        for call in ast.walk(ast.parse(inspect.getsource(environment)))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name | ast.Attribute)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) in ("take", "_take")
        and isinstance(call.args[0], ast.Constant)
    }
    bodies = {"write_debug", "faas_print_body"}
    idle = {*environment.WITHOUT_EFFECT, *environment.RETRIES, *environment.NATS_STREAMING}
    return {*taken, *bodies, *idle, *environment.NATS_ADDRESS}


def test_every_variable_is_on_the_page() -> None:
    """Those of OpenFaaS in its own table, and no other than the settings know."""
    assert set(GATEWAY.split()) - rows("Gateway").keys() == set()
    assert set(QUEUE_WORKER.split()) - rows("Queue-worker").keys() == set()
    assert read_by_the_settings() == SAID.keys()


@pytest.mark.parametrize("variable", sorted(SAID))
def test_it_does_what_the_page_says(variable: str, tmp_path: Path) -> None:
    """What is not said to be ignored changes the settings, and what is changes none of them; then
    the notice names it."""
    ignored = SAID[variable].startswith("ignored")
    assert ignored == (variable not in VALUES)
    told = []
    for number, toml in enumerate((OWN_QUEUE, STREAMING)):
        file = tmp_path / f"{number}.toml"
        file.write_text(toml)
        usual = load(str(file), {})
        said = load(str(file), {variable: VALUES.get(variable, "1")})
        told.append((_differ(usual, said), any(variable in each for each in said.notices)))
    if ignored:
        assert told == [(False, True), (False, True)]
    else:
        assert (True, False) in told
        assert {changed != noticed for changed, noticed in told} == {True}


def _differ(one: Settings, other: Settings) -> bool:
    return replace(one, notices=()) != replace(other, notices=())
