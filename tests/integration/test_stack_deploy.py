"""``deploy`` and ``remove`` against a running daemon."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest_twisted
from command_line import command
from daemon import Daemon
from provider import COMMAND, DEPLOY, told

SHARED = f"{DEPLOY}[containers]\nsocket = 'unix:///nowhere.sock'\n"

STACK = """\
version: 1.0
provider: {{name: openfaas, gateway: "{gateway}"}}
functions:
  shout:
    image: none
    environment: {{WHO: "${{WHO:-you}}"}}
    constraints: [node.role == worker]
    annotations: {{com.faasd-async.command: "sh -c 'tr a-z A-Z; echo $WHO'"}}
  {second}:
    annotations: {{com.faasd-async.command: cat}}
  image:
    image: registry/image:1
"""


def stack(directory: Path, daemon: Daemon, second: str = "copy") -> str:
    path = directory / "stack.yml"
    path.write_text(STACK.format(gateway=daemon.url(""), second=second))
    return str(path)


@pytest_twisted.ensureDeferred
async def test_a_stack_comes_and_goes(reactor: Any, shared_daemon: Daemon, tmp_path: Path) -> None:
    """Its functions are deployed at the daemon that it names, and removed; one that is refused
    keeps none of the others from it, and what has no effect is told."""
    path, nobody = stack(tmp_path, shared_daemon), {"FAASD_ASYNC_URL": ""}
    deployed = await command(
        *(reactor, shared_daemon, "--json", "deploy", "-f", path), WHO="us", **nobody
    )
    shouted = await command(reactor, shared_daemon, "invoke", "shout", stdin=b"hey ")
    kept = await command(
        *(reactor, shared_daemon, "remove", "-f", path, "--regex", "^(copy|gone)$"), **nobody
    )
    removed = await command(reactor, shared_daemon, "--json", "remove", "shout", "copy")
    ends = json.loads(deployed.printed)
    assert (deployed.status, ends["deployed"]) == (4, ["shout", "copy"])
    assert "no container runtime" in ends["refused"]["image"]
    assert "constraints are ignored" in deployed.said
    assert shouted.text == "HEY us\n"
    assert (kept.status, kept.text) == (0, "copy is removed\n")
    gone = json.loads(removed.printed)
    assert (removed.status, gone["removed"]) == (4, ["shout"])
    assert gone["refused"]["copy"].startswith("404")


@pytest_twisted.ensureDeferred
async def test_some_of_them(reactor: Any, shared_daemon: Daemon, tmp_path: Path) -> None:
    """Names are picked by a pattern, variables set over the file's, and a second time changes what
    is there."""
    path = stack(tmp_path, shared_daemon, "shouts")
    arguments = ("deploy", "-f", path, "--filter", "shou*", "-e")
    first = await command(reactor, shared_daemon, *arguments, "WHO=a")
    again = await command(reactor, shared_daemon, *arguments, "WHO=b")
    told_of = {each["name"]: each for each in await told(shared_daemon, "functions")}
    assert (first.status, first.text) == (0, "shout is deployed\nshouts is deployed\n")
    assert again.status == 0
    assert told_of["shout"]["envVars"]["WHO"] == "b"
    assert (await shared_daemon.request("/function/shout", b"x")).body == b"Xb\n"


@pytest_twisted.ensureDeferred
async def test_what_is_wrong_is_told_before_anything_is_done(
    reactor: Any, shared_daemon: Daemon, tmp_path: Path
) -> None:
    """Exit code 2, with file and key; and so for names that nobody has."""
    path = stack(tmp_path, shared_daemon)
    nobody = await command(reactor, shared_daemon, "deploy", "-f", path, "--filter", "no*")
    Path(path).write_text("functions: {ok: {image: x}, f: {imag: x}}")
    wrong = await command(reactor, shared_daemon, "deploy", "-f", path)
    assert (nobody.status, wrong.status) == (2, 2)
    assert "[functions.f] imag: unknown key, perhaps image" in wrong.said
    assert "ok" not in {each["name"] for each in await told(shared_daemon, "functions")}


@pytest_twisted.ensureDeferred
async def test_the_settings_own_stack(shared_daemon: Daemon) -> None:
    """A stack.yml that the settings name is read with them, and again with them."""
    path = shared_daemon.state.parent / "stack.yml"
    own = "[functions]\nstack = 'stack.yml'\n"
    path.write_text(f"functions: {{own: {{annotations: {{{COMMAND}: 'echo one'}}}}}}")
    shared_daemon.configure(SHARED + own)
    shared_daemon.signal(signal.SIGHUP)
    await shared_daemon.says("functions are deployed now")
    assert (await shared_daemon.request("/function/own")).body == b"one\n"
    path.write_text(f"functions: {{own: {{annotations: {{{COMMAND}: 'echo two'}}}}}}")
    shared_daemon.signal(signal.SIGHUP)
    await shared_daemon.says("functions are deployed now")
    assert (await shared_daemon.request("/function/own")).body == b"two\n"
