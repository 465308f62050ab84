"""The daemon as twistd's child: its options, its signals, and how it says that it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest_twisted
from daemon import TWISTD, Daemon, StartDaemon, free_port
from listener import Listener, Received, at
from test_calls import function, push, runs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import deferLater
from zope.interface import implementer

ECHO = "[gateway]\nmetrics_listen = []\n[functions.echo]\ncommand = ['cat']\n"


def check(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TWISTD, "-n", "--pidfile=", "faasd-async", "--check", "--config", str(config)],
        capture_output=True,
        text=True,
        cwd=config.parent,
        check=False,
    )


def test_check(tmp_path: Path) -> None:
    """``--check`` starts nothing: status 0 for settings that can be used."""
    config = tmp_path / "good.toml"
    config.write_text("[functions.echo]\ncommand = ['cat']\n")
    checked = check(config)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "the settings can be used\n"
    assert list(tmp_path.iterdir()) == [config]


def test_check_of_mistakes(tmp_path: Path) -> None:
    """Status 1, and a line for each mistake: file, key, what was found and what is allowed."""
    config = tmp_path / "bad.toml"
    config.write_text("[worker]\nmax_inflght = 3\n" + ECHO + "timeout = 'x'\n")
    checked = check(config)
    lines = checked.stderr.splitlines()
    assert (checked.returncode, checked.stdout, len(lines)) == (1, "", 2)
    assert all(str(config) in line for line in lines)
    assert "max_inflght" in lines[0]
    assert "max_inflight" in lines[0]
    assert "[functions.echo] timeout" in lines[1]


def start_failing(tmp_path: Path, config: str, **options: str) -> str:
    """Start a daemon that cannot start.

    :return: the line it says so with.
    """
    path = tmp_path / "config.toml"
    path.write_text(config)
    given = {"state_dir": str(tmp_path / "state"), "listen": loopback(free_port()), **options}
    words = [TWISTD, "-n", "--pidfile=", "faasd-async", "--config", str(path)]
    for name, value in given.items():
        words += [f"--{name.replace('_', '-')}", value]
    ended = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    return line


def loopback(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Status 1 and one line: which endpoint, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = loopback(taken.getsockname()[1])
        line = start_failing(tmp_path, ECHO, listen=endpoint)
    assert f"cannot listen on {endpoint}" in line
    assert "--listen" in line


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "file").write_text("")
    line = start_failing(tmp_path, ECHO, state_dir=str(tmp_path / "file"))
    assert str(tmp_path / "file") in line


def test_a_command_that_is_missing(tmp_path: Path) -> None:
    """Named, with its function."""
    line = start_failing(tmp_path, "[functions.gone]\ncommand = ['no-such-program']\n")
    assert "gone" in line
    assert "no-such-program" in line


def test_a_nats_server_that_is_missing(tmp_path: Path) -> None:
    """Named, with the setting that may name another."""
    line = start_failing(tmp_path, "[nats]\nbinary = '/no/nats-server'\n" + ECHO)
    assert "/no/nats-server" in line


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_on_one_state_directory(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """Is told about the first, which goes on."""
    first = await start_daemon(ECHO)
    second = await start_daemon(ECHO, wait_ready=False)
    assert await second.ended() == 1
    assert f"another faasd-async (pid {first.pid}) runs on this state directory" in second.log
    assert (await first.request("/function/echo", b"still here")).body == b"still here"


@pytest_twisted.ensureDeferred
async def test_sighup_reloads_functions_and_drops_no_call(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """One is added, one changed while a call of it runs, one removed."""
    listener.on_request = lambda request: None
    old = function("changed", listener) + function("removed", listener)
    daemon = await start_daemon(old)
    callback = listener.url("/callback")
    await daemon.request("/async-function/changed", b"1", X_Callback_Url=callback)
    (running,) = await listener.when(1)
    listener.on_request = Received.answer
    daemon.config.write_text(
        f"[functions.changed]\nurl = '{listener.url('/fresh')}'\n" + function("added", listener)
    )
    daemon.signal(signal.SIGHUP)
    await daemon.says("2 functions are deployed now")
    assert (await daemon.request("/function/removed")).status == 404
    assert (await daemon.request("/function/added")).status == 200
    assert (await daemon.request("/function/changed")).status == 200
    await listener.when(1, at("/fresh/"))
    running.answer(200, b"old")
    (told,) = await listener.when(1, at("/callback"))
    assert told.body == b"old"


@pytest_twisted.ensureDeferred
async def test_sighup_with_a_bad_file_keeps_what_there_is(start_daemon: StartDaemon) -> None:
    """And the log says why."""
    daemon = await start_daemon(ECHO)
    for bad in ("[functions.echo]\ncommand = 7\n", "[functions.x]\ncommand = ['no-such-thing']\n"):
        daemon.config.write_text(bad)
        daemon.signal(signal.SIGHUP)
        await daemon.says("the functions stay as they are")
        assert (await daemon.request("/function/echo", b"1")).body == b"1"


@pytest_twisted.ensureDeferred
async def test_sigint_stops_it_too(start_daemon: StartDaemon) -> None:
    """With status 0, and no process is left."""
    daemon = await start_daemon(ECHO)
    broker = daemon.broker_pid
    assert os.getsid(broker) != os.getsid(daemon.pid)
    daemon.signal(signal.SIGINT)
    assert await daemon.ended() == 0
    assert not runs(broker)


@pytest_twisted.ensureDeferred
async def test_a_second_sigterm_ends_the_drain(
    start_daemon: StartDaemon, listener: Listener
) -> None:
    """What is aborted is given back, counted, and runs after the next start: as the same attempt,
    since it came to no end."""
    listener.on_request = lambda request: None
    config = "[worker]\ndrain_timeout = '1h'\n" + function("slow", listener)
    daemon = await start_daemon(config)
    accepted = await push(daemon, 2, 2, "/async-function/slow")
    await listener.when(2)
    daemon.signal(signal.SIGTERM)
    await daemon.says("Port .* Closed")
    daemon.signal(signal.SIGTERM)
    await daemon.says("2 calls and callbacks were aborted and given back")
    assert await daemon.ended() == 0
    listener.on_request = Received.answer
    await start_daemon(config)
    again = (await listener.when(4))[2:]
    assert {request.header("X-Call-Id") for request in again} == set(accepted)
    assert {request.header("X-Attempt") for request in again} == {"1"}


@pytest_twisted.ensureDeferred
async def test_the_drain_has_its_time(start_daemon: StartDaemon, listener: Listener) -> None:
    """Past ``drain_timeout`` it ends by itself."""
    listener.on_request = lambda request: None
    config = "[worker]\ndrain_timeout = '300ms'\n" + function("slow", listener)
    daemon = await start_daemon(config)
    await push(daemon, 1, 1, "/async-function/slow")
    (running,) = await listener.when(1)
    assert await daemon.stop() == 0
    assert "1 calls and callbacks were aborted and given back" in daemon.log
    await running.gone


@pytest_twisted.ensureDeferred
async def test_daemonized(start_daemon: StartDaemon, tmp_path: Path, reactor: Any) -> None:
    """With a pid file and a log file of its own, as well as with ``-n``."""
    pid_file, log_file = tmp_path / "the.pid", tmp_path / "the.log"
    daemon = await start_daemon(
        ECHO,
        twistd_options=(f"--pidfile={pid_file}", f"--logfile={log_file}"),
        wait_ready=False,
    )
    assert await daemon.ended() == 0  # the one that forked
    pid = int(pid_file.read_text())
    try:
        assert await answering(daemon)
        assert (await daemon.request("/function/echo", b"hello")).body == b"hello"
        assert "ready: 1 functions" in log_file.read_text()
    finally:
        watched = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
    assert await readable(reactor, watched)
    assert not pid_file.exists()
    assert "Server Shut Down" in log_file.read_text()


async def answering(daemon: Daemon) -> bool:
    """Wait until a daemon is ready that cannot be heard: it answers when it is asked."""
    while (await daemon.get("/readyz")).status != 200:
        await deferLater(daemon.reactor, 0.05)
    return True


def readable(reactor: Any, descriptor: int) -> Deferred[bool]:
    """Fires when a descriptor can be read: of a process, when it has ended."""
    fired: Deferred[bool] = Deferred()

    @implementer(IReadDescriptor)
    class Watch:
        def fileno(self) -> int:
            return descriptor

        def logPrefix(self) -> str:
            return "watch"

        def doRead(self) -> None:
            reactor.removeReader(self)
            os.close(descriptor)
            fired.callback(True)

        def connectionLost(self, reason: object) -> None:
            """The reactor ends."""

    reactor.addReader(Watch())
    return fired.addTimeout(30, reactor)
