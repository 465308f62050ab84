"""The daemon as twistd's child: its options, its signals, and how it says that it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemon import READY, TWISTD, Output, StartDaemon
from lifeline import when_ended
from listener import Listener, Received, at
from test_calls import function, push, runs

ECHO = "[functions.echo]\ncommand = ['cat']\n"


def check(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TWISTD, "-n", "--pidfile=", "faasd-async", "--check", "--config", str(config), *options],
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
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr == (
        f"{config}: [worker] max_inflght: unknown key, perhaps max_inflight; allowed: ack_wait, "
        "drain_timeout, max_inflight, write_debug\n"
        f'{config}: [functions.echo] timeout: found "x"; allowed: a duration above 0 and up to '
        '10 years, such as "90s", "1h30m" or 90\n'
    )


async def start_failing(start_daemon: StartDaemon, config: str, **options: Any) -> str:
    """Start a daemon that cannot start: it ends with status 1 and leaves no nats-server behind.

    :return: the one line it says so with.
    """
    daemon = await start_daemon(config, wait_ready=False, **options)
    assert await daemon.ended() == 1
    assert not daemon.broker_runs
    assert "this is a bug" not in daemon.log
    assert daemon.errors.count("\n") == 1
    return daemon.errors.removeprefix("faasd-async cannot start: ").rstrip("\n")


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken(start_daemon: StartDaemon) -> None:
    """The line says which endpoint, why, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await start_failing(start_daemon, ECHO, port=port)
    assert line == (
        f"cannot listen on tcp:{port}:interface=127.0.0.1: [Errno 98] Address already in use. "
        "Stop what listens there, or choose another endpoint with [gateway] listen or --listen"
    )


@pytest_twisted.ensureDeferred
async def test_a_state_directory_that_cannot_be_written(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """A file stands in its place."""
    file = tmp_path / "file"
    file.write_text("")
    line = await start_failing(start_daemon, ECHO, options=("--state-dir", str(file)))
    assert str(file) in line
    assert "choose another state directory" in line


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            "[functions.gone]\ncommand = ['no-such-program']\n",
            '[functions.gone] command: found "no-such-program", which is not on PATH',
        ),
        (
            "[functions.gone]\ncommand = ['cat']\ndirectory = '/no/such'\n",
            '[functions.gone] directory: found "/no/such", which does not exist',
        ),
        (
            "[nats]\nbinary = '/no/nats-server'\n" + ECHO,
            '[nats] binary: found "/no/nats-server", which is not an executable file',
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_program_that_is_missing(
    start_daemon: StartDaemon, tmp_path: Path, config: str, told: str
) -> None:
    """Is named with its setting before anything is opened, and ``--check`` says the same."""
    line = await start_failing(start_daemon, config)
    file = tmp_path / "config.toml"
    assert line.startswith(f"{file}: {told}")
    checked = check(file)
    assert (checked.returncode, checked.stdout, checked.stderr) == (1, "", f"{line}\n")
    assert not (tmp_path / "state").exists()


@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_be_run(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Only a try shows it; the broker that runs already is stopped."""
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    line = await start_failing(
        start_daemon, f"[functions.odd]\ncommand = ['{program}']\nmode = 'http'\n"
    )
    assert line.startswith(f"function odd: {program} cannot be run: ")
    assert line.endswith("change command in [functions.odd]")


@pytest_twisted.ensureDeferred
async def test_a_program_that_is_no_nats_server(start_daemon: StartDaemon) -> None:
    """It ended without a word, and the setting is the remedy."""
    line = await start_failing(start_daemon, "[nats]\nbinary = '/bin/false'\n" + ECHO)
    assert "exit code 1" in line
    assert "set [nats] binary to one or leave it out" in line


@pytest_twisted.ensureDeferred
async def test_sockets_that_systemd_did_not_pass(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A check cannot know; the start says what is missing."""
    config = "[nats]\n" + ECHO
    endpoint = "systemd:domain=INET:name=http"
    line = await start_failing(start_daemon, config, options=("--listen", endpoint))
    assert line.startswith(f"cannot listen on {endpoint}: systemd passed no sockets (LISTEN_FDS)")
    assert check(tmp_path / "config.toml", "--listen", endpoint).returncode == 0


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_on_one_state_directory(start_daemon: StartDaemon) -> None:
    """Is told about the first, which goes on; not about the ports that are taken as well."""
    first = await start_daemon(ECHO)
    second = await start_daemon(ECHO, wait_ready=False, port=first.port)
    assert await second.ended() == 1
    assert second.errors == (
        f"faasd-async cannot start: another faasd-async (pid {first.pid}) runs on this state "
        f"directory, {first.state}: stop it or choose another state directory\n"
    )
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
    daemon.configure(
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
        daemon.configure(bad)
        daemon.signal(signal.SIGHUP)
        await daemon.says("the functions stay as they are")
        assert (await daemon.request("/function/echo", b"1")).body == b"1"


@pytest_twisted.ensureDeferred
async def test_sighup_says_what_needs_a_restart(start_daemon: StartDaemon) -> None:
    """And what is new for the operator to know; the functions are deployed all the same."""
    daemon = await start_daemon(ECHO)
    daemon.configure(
        ECHO + "max_body = '9MiB'\n[worker]\nmax_inflight = 7\n[callback]\nmax_inflight = 7\n"
    )
    daemon.signal(signal.SIGHUP)
    await daemon.says("max_body = 9MiB: a call through the queue may have a body of 8128KiB")
    await daemon.says(
        r"without effect until the daemon is started anew: \[worker\] max_inflight,"
        r" \[callback\] max_inflight\n"
    )
    await daemon.says("1 functions are deployed now")
    assert (await daemon.request("/function/echo", b"1")).body == b"1"


@pytest_twisted.ensureDeferred
async def test_sighup_changes_what_is_logged(start_daemon: StartDaemon) -> None:
    """The level, and whether bodies are shown, there and back; the daemon goes on as it is."""
    daemon = await start_daemon(ECHO)
    seen = []
    for shown in ("[log]\nlevel = 'debug'\n[worker]\nwrite_debug = true\n", ""):
        daemon.configure(ECHO + shown)
        daemon.signal(signal.SIGHUP)
        await daemon.says("1 functions are deployed now")
        before = len(daemon.log)
        assert (await daemon.request("/async-function/echo", b"the body")).status == 202
        await daemon.says("echo answered 200")
        # What is said of it besides stands before its end, or is written with it.
        assert (await daemon.request("/function/echo", b"1")).status == 200
        await daemon.says("answered its caller 200")
        log = daemon.log[before:]
        seen.append([each in log for each in ("for echo accepted", "request body", "the body")])
    assert seen == [[True] * 3, [False] * 3]


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
async def test_what_a_power_cut_leaves(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A pid file of the last boot, whose number some other process has now, does not keep it from
    starting in the foreground: there it needs none."""
    pid_file = tmp_path / "twistd.pid"
    pid_file.write_text(str(os.getpid()))
    daemon = await start_daemon(ECHO, twistd_options=("-n",))
    assert (await daemon.request("/function/echo", b"hello")).body == b"hello"
    assert await daemon.stop() == 0
    assert pid_file.read_text() == str(os.getpid())


@pytest_twisted.ensureDeferred
async def test_the_lean_reactor(start_daemon: StartDaemon, listener: Listener) -> None:
    """Calls are accepted, made durable by the thread that flushes, and made; it stops as ever."""
    options = ("-n", "--pidfile=", "--reactor=faasd-async")
    daemon = await start_daemon(function("f", listener), twistd_options=options)
    assert (await daemon.request("/function/f", b"hello")).status == 200
    accepted = await push(daemon, 40, 8, "/async-function/f")
    called = (await listener.when(41))[1:]
    assert {request.header("X-Call-Id") for request in called} == set(accepted)
    assert await daemon.stop() == 0


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
    assert daemon.log == ""
    pid = int(pid_file.read_text())
    ended = when_ended(reactor, pid)
    follower = Output(reactor)
    reactor.spawnProcess(follower, "tail", ["tail", "-n", "+1", "-F", str(log_file)], os.environ)
    try:
        await follower.says(READY)
        broker = daemon.broker_pid
        assert (await daemon.request("/function/echo", b"hello")).body == b"hello"
        assert os.getsid(pid) not in (os.getsid(0), os.getsid(broker))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        await follower.kill()
    await ended
    assert not pid_file.exists()
    assert not runs(broker)
    assert "Server Shut Down" in log_file.read_text()
