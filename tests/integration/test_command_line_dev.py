"""``new``, ``logs`` and ``dev``: what somebody who writes functions has."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest_twisted
from command_line import Running, command
from daemon import Daemon, Output, StartDaemon, free_port
from raw_http import Response, exchange
from twisted.internet.defer import Deferred

SHARED = "[functions.f]\ncommand = ['sh', '-c', 'cat >&2']\n"

LANGUAGES = {
    name: program
    for name, program in {"python": sys.executable, "sh": "sh", "node": "node", "go": "go"}.items()
    if shutil.which(program)
}

SERVER = """\
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"{said}")

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest_twisted.ensureDeferred
async def test_new_functions_work(reactor: Any, shared_daemon: Daemon) -> None:
    """In each language that this machine has: as they are written they answer, and say so in their
    logs; a name that is taken is not taken again."""
    config = shared_daemon.state.parent / "faasd-async.toml"
    run = partial(command, reactor, shared_daemon)
    for name in LANGUAGES:
        made = await run("--json", "new", f"in.{name}", "--lang", name, "--config", str(config))
        told = json.loads(made.printed)
        assert (made.status, told["function"]) == (0, f"in.{name}")
        build = [each for each in told["next"] if each.startswith("(")]
        assert not build or os.system(build[0]) == 0
    again = await run("new", "in.sh", "--lang", "sh", "--config", str(config))
    shutil.rmtree(config.parent / "in.sh")
    configured = await run("new", "in.sh", "--lang", "sh", "--config", str(config))
    nothing = await run("new", "../up", "--config", str(config))
    dashed = await run("new", "--config", str(config), "--", "-x")
    shutil.copytree(config.parent / "in.python", config.parent / "in.sh")
    (config.parent / "in.sh" / "handler.sh").write_text("tr a-z A-Z; echo was >&2")
    shared_daemon.configure(SHARED + config.read_text())
    shared_daemon.signal(signal.SIGHUP)
    await shared_daemon.says(r"functions are deployed now")
    for name in LANGUAGES:
        answered = await run("invoke", f"in.{name}", "-d", "hi")
        logged = await run("logs", f"in.{name}")
        assert answered.printed == b"HI"
        assert "was" in logged.text
    assert [each.status for each in (again, configured, nothing, dashed)] == [2] * 4
    assert "is there already" in again.said
    assert "has a function in.sh already" in configured.said


@pytest_twisted.ensureDeferred
async def test_logs(reactor: Any, shared_daemon: Daemon) -> None:
    """All of them, the last, those of late; as JSON; and as they come, until Ctrl-C."""
    run = partial(command, reactor, shared_daemon)
    for text in ("one\n", "two\x1b[2J\n"):
        await run("invoke", "f", "-d", text)
    following = Running(reactor, shared_daemon, "logs", "f", "--follow", "--tail", "1")
    await following.says("two")
    whole = await run("--json", "logs", "f", "--since", "1h")
    last = await run("logs", "f", "--tail", "1")
    await run("invoke", "f", "-d", "three\n")
    await following.says("three")
    following.signal(signal.SIGINT)
    unknown = await run("logs", "nobody")
    wrong = await run("logs", "f", "--since", "sometime")
    lines = [json.loads(line)["text"] for line in whole.text.splitlines()]
    assert lines == ["one", "two\x1b[2J"]
    assert "two" in last.text
    assert "one" not in last.text
    assert b"\x1b" not in last.printed
    assert await following.ended() == 130
    assert (unknown.status, wrong.status) == (4, 4)


@pytest_twisted.ensureDeferred
async def test_logs_of_all(reactor: Any, start_daemon: StartDaemon) -> None:
    """Without a name, in the order in which they were written, with who wrote them; and as they
    come; and of one that is refused the reason is told."""
    writes = "command = ['sh', '-c', 'cat >&2']\n"
    daemon = await start_daemon(f"[functions.a]\n{writes}[functions.b]\n{writes}")
    run = partial(command, reactor, daemon)
    following = Running(reactor, daemon, "logs", "--follow")
    for name, text in (("a", "one"), ("b", "two"), ("a", "three")):
        await run("invoke", name, "-d", f"{text}\n")
        await following.says(text)
    following.signal(signal.SIGINT)
    whole = await run("--json", "logs")
    last = await run("logs", "--tail", "2")
    wrong = await run("logs", "--since", "sometime")
    lines = [json.loads(line) for line in whole.text.splitlines()]
    assert [(line["name"], line["text"]) for line in lines] == [
        ("a", "one"),
        ("b", "two"),
        ("a", "three"),
    ]
    words = [line.split() for line in last.text.splitlines()]
    assert [(each[1], each[-1]) for each in words] == [("b", "two"), ("a", "three")]
    assert await following.ended() == 130
    assert wrong.status == 4
    assert "since" in wrong.said


class Developing(Output):
    """``dev`` in a directory."""

    def __init__(self, reactor: Any, directory: Path) -> None:
        super().__init__(reactor)
        self.port = free_port()
        program = [sys.executable, "-m", "faasd_async.cli", "dev", "--port", str(self.port)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        reactor.spawnProcess(self, program[0], program, environment, path=str(directory))

    def call(self, name: str) -> Deferred[Response]:
        return exchange(self.reactor, self.port, "POST", f"/function/{name}", [], b"x")


@pytest_twisted.ensureDeferred
async def test_dev(reactor: Any, tmp_path: Path) -> None:
    """Programs and servers answer as they were last saved, settings are read again, logs are shown,
    and Ctrl-C leaves nothing behind."""
    program, server = tmp_path / "one" / "handler.sh", tmp_path / "two" / "server.py"
    for path, text in ((program, "echo 1"), (server, SERVER.format(said="1st"))):
        path.parent.mkdir()
        path.write_text(text)
    settings = f"""\
[gateway]
metrics_listen = []
[functions.one]
command = "sh handler.sh"
directory = "one"
[functions.two]
command = "{sys.executable} server.py"
mode = "http"
directory = "two"
"""
    (tmp_path / "faasd-async.toml").write_text(settings)
    working = Developing(reactor, tmp_path)
    await working.says("ready: 2 functions")
    first = [(await working.call(name)).body for name in ("one", "two")]
    program.write_text("echo 2; echo logged >&2")
    server.write_text(SERVER.format(said="2nd"))
    await working.says("two is started anew")
    second = [(await working.call(name)).body for name in ("one", "two")]
    await working.says("logged")
    (tmp_path / "faasd-async.toml").write_text(settings + "[functions.three]\ncommand = 'cat'\n")
    await working.says("3 functions are deployed now")
    broker = int((tmp_path / "faasd-async-state" / "nats" / "server.pid").read_text())
    working.signal(signal.SIGINT)
    assert await working.ended() == 0
    assert (first, second) == ([b"1\n", b"1st"], [b"2\n", b"2nd"])
    assert re.search(r"saved: .*two/server\.py", working.log)
    assert not Path(f"/proc/{broker}").exists()


@pytest_twisted.ensureDeferred
async def test_dev_of_nothing(reactor: Any, tmp_path: Path) -> None:
    """Without settings it says how to begin; with wrong ones, what is wrong."""
    nothing = Developing(reactor, tmp_path)
    assert await nothing.ended() == 2
    (tmp_path / "faasd-async.toml").write_text("[functions.f]\ncomand = 'cat'\n")
    wrong = Developing(reactor, tmp_path)
    assert await wrong.ended() == 2
    assert "faasd-async new NAME" in nothing.log
    assert "perhaps command" in wrong.log
