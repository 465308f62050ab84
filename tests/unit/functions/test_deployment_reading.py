"""From what faas-cli sends to a function's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faasd_async.functions.errors import NotPermitted, NotUsable
from faasd_async.functions.reading import DeploymentReader
from faasd_async.settings import FunctionSettings, load
from faasd_async.settings.openfaas.deployment import FunctionDeployment, Resources
from faasd_async.settings.openfaas.table import COMMAND, URL

Read = Callable[..., FunctionSettings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a deployment under settings."""

    def read_it(toml: str = "", **parts: Any) -> FunctionSettings:
        path = tmp_path / "faas.toml"
        path.write_text(f"[gateway]\ndeploy = ['command', 'url']\n{toml}")
        annotations = parts.pop("annotations", {COMMAND: "cat -v"})
        reader = DeploymentReader(load(str(path), {}))
        given = FunctionDeployment("a", annotations=annotations, **parts)
        return reader.read(given)[0]

    return read_it


def test_a_command_is_the_same_as_in_the_file(read: Read, tmp_path: Path) -> None:
    """The defaults of the file hold for it, and its variables are its environment."""
    defaults = (
        "[defaults]\nqueue = 'slow'\nenvironment = { A = '1', B = '1' }\nlabels = { x = 'y' }\n"
    )
    settings = read(defaults, env_vars={"B": "2"}, labels={"l": "1"})
    path = tmp_path / "same.toml"
    path.write_text(
        f"{defaults}[functions.a]\ncommand = 'cat -v'\nenvironment = {{ B = '2' }}\n"
        f"labels = {{ l = '1' }}\nannotations = {{ '{COMMAND}' = 'cat -v' }}\n"
    )
    assert settings == load(str(path), {}).functions["a"]


def test_a_url_is_the_same_as_in_the_file(read: Read, tmp_path: Path) -> None:
    """Variables that are for a process concern nobody."""
    settings = read(
        annotations={URL: "http://h:1/p"}, env_vars={"mode": "http", "K": "v"}, secrets=["key"]
    )
    path = tmp_path / "same.toml"
    path.write_text(
        f"[functions.a]\nurl = 'http://h:1/p'\nannotations = {{ '{URL}' = 'http://h:1/p' }}\n"
    )
    assert settings == load(str(path), {}).functions["a"]


def test_variables_of_the_watchdog_count(read: Read) -> None:
    """They say of a command what keys say in the file."""
    variables = {
        "mode": "http",
        "upstream_url": "http://127.0.0.1:3000",
        "ready_path": "/ready",
        "healthcheck_interval": "5s",
        "prefix_logs": "false",
        "exec_timeout": "1m30s",
        "max_inflight": "7",
        "content_type": "text/plain",
    }
    settings = read(env_vars=variables)
    command = settings.command
    assert command is not None
    assert (command.mode, command.upstream_url) == ("http", "http://127.0.0.1:3000")
    assert (command.ready_path, command.healthcheck_interval_seconds) == ("/ready", 5.0)
    assert not command.prefix_logs
    assert (settings.timeout_seconds, settings.async_timeout_seconds) == (90.0, 90.0)
    assert settings.max_inflight == 7
    assert command.environment == variables
    other = read(env_vars={"mode": "serializing", "content_type": "a/b", "ready_path": "x"})
    assert other.command is not None
    assert (other.command.mode, other.command.content_type) == ("serializing", "a/b")


def test_a_limit_of_memory_holds_for_a_command(read: Read) -> None:
    """In Kubernetes' words, over what the file's defaults say."""
    command = read("[defaults]\nmemory = '1GiB'\n", limits=Resources(memory="64Mi")).command
    assert command is not None
    assert command.limits.memory_bytes == 64 * 2**20
    with pytest.raises(NotUsable, match=r"limits\.memory"):
        read(limits=Resources(memory="much"))


def test_no_limit_is_our_own(read: Read) -> None:
    """of-watchdog's 0 means none; here there is always one."""
    assert read(env_vars={"max_inflight": "0"}).max_inflight == read().max_inflight


def test_secrets_are_a_commands(read: Read) -> None:
    """Those that it names."""
    assert read(secrets=["one", "two"]).secrets == ("one", "two")


@pytest.mark.parametrize(("kind", "other"), [("command", URL), ("url", COMMAND)])
def test_what_the_settings_do_not_name_may_not_be_deployed(
    tmp_path: Path, kind: str, other: str
) -> None:
    """The other kind alone, however it is right otherwise."""
    path = tmp_path / "faas.toml"
    path.write_text(f"[gateway]\ndeploy = ['{kind}']\n")
    reader = DeploymentReader(load(str(path), {}))
    with pytest.raises(NotPermitted, match=f"{other} may not be deployed here"):
        reader.read(FunctionDeployment("a", annotations={other: "http://h"}))


def test_an_image_is_named(read: Read) -> None:
    """In the answer to who wants one."""
    with pytest.raises(NotUsable, match=r"the image some/image:1, and .* no container runtime"):
        read(image="some/image:1", annotations=None)


def test_every_mistake_is_told_in_one_line(read: Read) -> None:
    """And no value of a variable."""
    with pytest.raises(NotUsable) as caught:
        read(env_vars={"A=": "hush", "mode": "x"}, annotations={COMMAND: "'"})
    text = str(caught.value)
    assert "\n" not in text
    assert "hush" not in text
    assert text.count("found") == 3


def test_a_queue_has_to_be_a_channel(read: Read) -> None:
    """With NATS Streaming, where the settings of a file's function would have to name one, too."""
    toml = (
        "[queue]\nbackend = 'nats-streaming'\n[nats.streaming]\nurls = ['nats://h']\n"
        "channel = 'taken'\n"
    )
    for queue in ("taken", "a..b"):
        with pytest.raises(NotUsable, match="queue: found"):
            read(toml, annotations={COMMAND: "cat", "com.openfaas.queue": queue})
