"""The daemon as a service of systemd: what it tells, its units, and an upgrade under load."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner
from daemon import TWISTD, Daemon, StartDaemon, free_port
from listener import Listener
from raw_http import exchange
from real_nats import RealNats
from test_socket_activation import ActivatedDaemon
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from faasd_async.cli.main import cli

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or shutil.which("systemd-socket-activate") is None,
    reason="needs systemd's own programs",
)


class Systemd(DatagramProtocol):
    """Who listens at ``$NOTIFY_SOCKET``.

    :ivar heard: each line, in order.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.heard: list[str] = []
        self._waiting: list[tuple[str, Deferred[None]]] = []

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self.heard += datagram.decode().splitlines()
        for entry in list(self._waiting):
            line, waiter = entry
            if line in self.heard:
                self._waiting.remove(entry)
                waiter.callback(None)

    def when(self, line: str) -> Deferred[None]:
        """Fires when it has been told."""
        waiter: Deferred[None] = Deferred()
        if line in self.heard:
            waiter.callback(None)
        else:
            self._waiting.append((line, waiter))
        return waiter.addTimeout(30, self._reactor)

    def forget(self) -> None:
        self.heard.clear()


@pytest.fixture
def systemd(reactor: Any, tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(reactor)
    port = reactor.listenUNIXDatagram(str(tmp_path / "notify"), listening)
    yield listening
    port.stopListening()


def told(tmp_path: Path, **more: str) -> dict[str, str]:
    """The environment of a service."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


@pytest_twisted.ensureDeferred
async def test_what_systemd_is_told(
    start_daemon: StartDaemon, systemd: Systemd, tmp_path: Path
) -> None:
    """How far the start is, READY after all of it, the watchdog, each reload, and the stop; no
    function and no broker hears of systemd."""
    environment = told(tmp_path, WATCHDOG_USEC="400000")
    daemon = await start_daemon("[functions.e]\ncommand = ['env']\n", environment=environment)
    await systemd.when("READY=1")
    before = systemd.heard[: systemd.heard.index("READY=1")]
    assert "STATUS=the broker is starting" in before
    assert "STATUS=the queue is being recovered" in before
    assert "STATUS=ready: 1 functions" in systemd.heard
    systemd.forget()
    await systemd.when("WATCHDOG=1")
    answer = await daemon.request("/function/e")
    broker = Path(f"/proc/{daemon.broker_pid}/environ").read_bytes()
    assert b"NOTIFY" not in answer.body + broker
    assert b"WATCHDOG" not in answer.body + broker
    systemd.forget()
    daemon.configure("[functions.e]\ncommand = ['env']\n[functions.f]\ncommand = ['env']\n")
    daemon.signal(1)
    await systemd.when("READY=1")
    assert "RELOADING=1" in systemd.heard[: systemd.heard.index("READY=1")]
    assert any(line.startswith("MONOTONIC_USEC=") for line in systemd.heard)
    await systemd.when("STATUS=ready: 2 functions")
    assert "STOPPING=1" not in systemd.heard
    assert await daemon.stop() == 0
    await systemd.when("STOPPING=1")
    assert systemd.heard[-1] == "STATUS=the daemon is stopping"


@pytest_twisted.ensureDeferred
async def test_a_broken_broker_is_no_reason_for_a_restart(
    start_daemon: StartDaemon, systemd: Systemd, reactor: Any, tmp_path: Path
) -> None:
    """READY does not wait for somebody else's server, and the watchdog is petted without it; the
    status says what is wrong."""
    server = RealNats(reactor, tmp_path)
    server.port = free_port()
    daemon = await start_daemon(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{server.port}']\n"
        "[functions.e]\ncommand = ['env']\n",
        environment=told(tmp_path, WATCHDOG_USEC="200000"),
        wait_ready=False,
    )
    await systemd.when("READY=1")
    assert systemd.heard[systemd.heard.index("READY=1") + 1] == (
        "STATUS=the queue is being recovered"
    )
    assert (await daemon.request("/function/e")).status == 200
    await server.start()
    await systemd.when("STATUS=ready: 1 functions")
    systemd.forget()
    await server.kill()
    await systemd.when("STATUS=the queue cannot be reached")
    await systemd.when("WATCHDOG=1")
    assert await daemon.stop() == 0


@needs_systemd
@pytest_twisted.ensureDeferred
async def test_a_start_by_the_first_caller(reactor: Any, systemd: Systemd, tmp_path: Path) -> None:
    """systemd's own program opens the socket and starts the daemon when somebody comes; whoever
    came is served, and systemd is told of the start, of the life and of the end, in this order."""
    daemon = Daemon(reactor, tmp_path, "[functions.e]\ncommand = ['env']\n", wait_ready=False)
    _, *options = daemon.arguments
    options[options.index("--listen") + 1] = "systemd:domain=INET:index=0"
    activate = ["systemd-socket-activate", "-l", f"127.0.0.1:{daemon.port}", "--fdname=http"]
    variables = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "PATH", "PYTHONPATH")
    passed = [f"--setenv={each}" for each in variables]
    reactor.spawnProcess(
        daemon,
        shutil.which(activate[0]),
        [*activate, *passed, TWISTD, *options],
        {**daemon._environment, **told(tmp_path, WATCHDOG_USEC="400000")},
        path=str(tmp_path),
    )
    try:
        await daemon.says("Listening on")
        answer = await daemon.request("/function/e")
        await systemd.when("READY=1")
        await systemd.when("WATCHDOG=1")
        assert answer.status == 200
        assert await daemon.stop() == 0
        await systemd.when("STOPPING=1")
        spoken = ("READY=1", "WATCHDOG=1", "STOPPING=1")
        assert [*spoken] == sorted(spoken, key=systemd.heard.index)
    finally:
        await daemon.end()


@pytest_twisted.ensureDeferred
async def test_an_upgrade_under_load(reactor: Any, tmp_path: Path, listener: Listener) -> None:
    """The socket outlives the daemon: while it is stopped and started, nobody who connects is
    refused, nor told to come again; everybody gets a 202, and every call runs."""
    config = f"[functions.f]\nurl = '{listener.url()}'\nmax_inflight = 50\n"
    listener.on_request = lambda request: request.answer(200, b"")
    accepted: set[str] = set()
    refused: list[object] = []
    loading = True

    async def push(port: int) -> None:
        while loading:
            try:
                answer = await exchange(reactor, port, "POST", "/async-function/f", [], b"x")
            except Exception as error:
                refused.append(error)
            else:
                accepted.add(answer.header("X-Call-Id") or "")
                if answer.status != 202:
                    refused.append(answer)

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        port = listening.getsockname()[1]
        first = ActivatedDaemon(reactor, tmp_path, config, listening)
        second = ActivatedDaemon(reactor, tmp_path, config, listening)
        try:
            await first.start()
            pushing = [Deferred.fromCoroutine(push(port)) for _ in range(8)]
            await listener.when(50)
            assert await first.stop() == 0
            at_the_stop = len(accepted)
            await second.start()
            await listener.when(at_the_stop + 50)
            loading = False
            for each in pushing:
                await each
            await listener.when(len(accepted))
            assert await second.stop() == 0
        finally:
            await first.end()
            await second.end()
    ran = [request.header("X-Call-Id") for request in listener.requests]
    assert refused == []
    assert accepted <= set(ran)
    assert len(ran) == len(set(ran))


def install(root: Path, *options: str) -> None:
    done = CliRunner().invoke(
        cli, ["install", "--root", str(root), "--prefix", "/opt/faasd-async", *options]
    )
    assert done.exit_code == 0, done.output


@needs_systemd
@pytest.mark.parametrize("option", ["--demo", "--socket"])
def test_the_units_as_installed(tmp_path: Path, option: str) -> None:
    """systemd understands them, with what gives them the password and the socket, and thinks the
    service well kept in."""
    install(tmp_path, option)
    directory = tmp_path / "etc/systemd/system"
    unit = directory / "faasd-async.service"
    unit.write_text(unit.read_text().replace("/opt/faasd-async/bin/twistd", sys.executable))
    units = [str(directory / name) for name in ("faasd-async.service", "faasd-async.socket")]
    verified = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    service = units[0]
    kept_in = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", service],
        capture_output=True,
        text=True,
        check=False,
    )
    assert kept_in.returncode == 0, kept_in.stdout


@pytest_twisted.ensureDeferred
async def test_the_configuration_as_installed(reactor: Any, tmp_path: Path) -> None:
    """With the demo's functions it can be called at once; orders are given by who knows the
    password that was drawn."""
    install(tmp_path, "--demo")
    installed = (tmp_path / "etc/faasd-async/faasd-async.toml").read_text()
    secrets = tmp_path / "etc/faasd-async/secrets"
    daemon = Daemon(reactor, tmp_path, "", environment={"secret_mount_path": str(secrets)})
    (tmp_path / "config.toml").write_text(
        installed.replace("\n#metrics_listen = [", "\nmetrics_listen = []\n#", 1)
    )
    try:
        await daemon.start()
        assert (await daemon.request("/function/echo", b"Hi")).body == b"Hi"
        assert (await daemon.request("/async-function/figlet", b"Hi")).status == 202
        assert (await daemon.get("/system/functions")).status == 401
        password = (secrets / "basic-auth-password").read_text().strip()
        said = f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"
        told = await daemon.request("/system/functions", method="GET", Authorization=said)
        assert told.status == 200
        assert await daemon.stop() == 0
    finally:
        await daemon.end()
