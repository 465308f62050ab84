"""The embedded server with a real nats-server, real processes and real locks."""

import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import ProcessProtocol
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.nats.server import EmbeddedServer, ServerFiles, ServerSettings, orphan
from faasd_async.nats.server.orphan import servers_on

MIB = 1024 * 1024

# A daemon of its own: starts a server, says where it is, and lives until it is killed.
DAEMON = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from faasd_async.nats.server import EmbeddedServer, ServerSettings

server = EmbeddedServer(reactor, ServerSettings(Path(sys.argv[1]), 64 << 20))
{between}
def say(_):
    print(server.pid, flush=True)
server.start().addCallback(say).addErrback(lambda f: print(f.value, flush=True))
reactor.run()
"""


@pytest.fixture
def reactor() -> Any:
    """The reactor that runs the tests."""
    from twisted.internet import reactor

    return reactor


MakeServer = Callable[..., EmbeddedServer]


@pytest_twisted.async_yield_fixture
async def make(reactor: Any, tmp_path: Path) -> AsyncIterator[MakeServer]:
    """Makes servers, by default on one state directory; each is stopped afterwards."""
    servers: list[EmbeddedServer] = []

    def make_server(
        state_dir: Path = tmp_path / "state", binary: Path | None = None, stop_seconds: float = 10
    ) -> EmbeddedServer:
        settings = ServerSettings(state_dir, 64 * MIB, binary=binary)
        server = EmbeddedServer(reactor, settings, stop_seconds=stop_seconds)
        servers.append(server)
        return server

    yield make_server
    for server in servers:
        await server.stop()


class Conversation(LineReceiver):
    """Says CONNECT and PING to a NATS server, and tells what it answers."""

    delimiter = b"\r\n"

    def __init__(self, user: str, password: str) -> None:
        self.when_answered: Deferred[bytes] = Deferred()
        self._options = {"verbose": False, "user": user, "pass": password}

    def lineReceived(self, line: bytes) -> None:
        if line.startswith(b"INFO "):
            assert self.transport is not None
            options = json.dumps(self._options).encode()
            self.transport.write(b"CONNECT " + options + b"\r\nPING\r\n")
        elif not self.when_answered.called:
            self.when_answered.callback(line)


async def answer(reactor: Any, server: EmbeddedServer, user: str, password: str) -> bytes:
    """What the server says to these credentials."""
    assert server.address is not None
    endpoint = TCP4ClientEndpoint(reactor, *server.address)
    conversation = await connectProtocol(endpoint, Conversation(user, password))
    said: bytes = await conversation.when_answered
    conversation.transport.loseConnection()
    return said


class Script(ProcessProtocol):
    """A Python process; its first line and its end are awaited."""

    def __init__(self) -> None:
        self.when_said: Deferred[str] = Deferred()
        self.when_ended: Deferred[None] = Deferred()
        self._said = b""

    def finish(self) -> None:
        """Close its standard input."""
        assert self.transport is not None
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._said += data
        if b"\n" in self._said and not self.when_said.called:
            self.when_said.callback(self._said.decode().splitlines()[0])

    def errReceived(self, data: bytes) -> None:
        sys.stderr.write(data.decode())

    def processEnded(self, reason: Failure) -> None:
        if not self.when_said.called:
            self.when_said.errback(reason)
        self.when_ended.callback(None)


def run_script(reactor: Any, script: str, *arguments: str) -> tuple[Script, int]:
    """Start a Python process with this source."""
    protocol = Script()
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = reactor.spawnProcess(protocol, sys.executable, command, env=environment)
    return protocol, process.pid


async def left_behind(reactor: Any, state_dir: Path) -> int:
    """Have a daemon start a server and be killed; return the pid of that server."""
    daemon, pid = run_script(reactor, DAEMON.format(between=""), str(state_dir))
    server = int(await daemon.when_said)
    os.kill(pid, signal.SIGKILL)
    await daemon.when_ended
    return server


def when_next(observers: list[Callable[[Any], object]]) -> "Deferred[Any]":
    """Fires when the observers in this list are told something."""
    told: Deferred[Any] = Deferred()

    def once(news: object) -> None:
        observers.remove(once)
        told.callback(news)

    observers.append(once)
    return told


def is_free(lock: Path) -> bool:
    """Whether nobody holds this lock."""
    ours = Flock(lock)
    free = ours.acquire()
    ours.release()
    return free


@pytest_twisted.ensureDeferred
async def test_our_credentials_open_the_door(reactor: Any, make: MakeServer) -> None:
    """The server that start announces answers a PING, with our credentials."""
    server = make()
    await server.start()
    assert await answer(reactor, server, *server.credentials) == b"PONG"


@pytest_twisted.ensureDeferred
async def test_other_credentials_do_not(reactor: Any, make: MakeServer) -> None:
    """A wrong password is refused."""
    server = make()
    await server.start()
    user, _ = server.credentials
    assert (await answer(reactor, server, user, "wrong")).startswith(b"-ERR 'Authorization")


@pytest_twisted.ensureDeferred
async def test_it_lives_apart(make: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own session, no input, nothing of our environment, no descriptor but the lock."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    server = make()
    await server.start()
    assert server.pid is not None
    process = Path(f"/proc/{server.pid}")
    assert os.getsid(server.pid) == server.pid
    assert os.readlink(process / "fd/0") == "/dev/null"
    assert os.readlink(process / "fd/3").endswith("/state/nats.lock")
    assert b"NOTIFY_SOCKET" not in (process / "environ").read_bytes()


@pytest_twisted.ensureDeferred
async def test_nobody_else_can_look(make: MakeServer, tmp_path: Path) -> None:
    """With a umask of 0, the directory has mode 0700, and our files 0600."""
    server = make()
    before = os.umask(0)
    try:
        await server.start()
    finally:
        os.umask(before)
    files = ServerFiles(tmp_path / "state")
    assert stat.S_IMODE(files.directory.stat().st_mode) == 0o700
    for path in (files.configuration, files.credentials, files.pid, files.lock):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.pid.read_text().strip() == str(server.pid)
    assert (files.directory / "jetstream").is_dir()


@pytest_twisted.ensureDeferred
async def test_a_strange_path_is_no_obstacle(make: MakeServer, tmp_path: Path) -> None:
    """Quotes, backslashes, spaces and line ends in the path reach nats-server as they are."""
    state = tmp_path / 'a "quoted" \\ $tate #1\nwith ünicode'
    await make(state_dir=state).start()
    assert (state / "nats" / "jetstream").is_dir()


@pytest_twisted.ensureDeferred
async def test_a_killed_server_comes_back(reactor: Any, make: MakeServer) -> None:
    """After a SIGKILL there is a new process, on the same port, with the same credentials."""
    server = make()
    await server.start()
    assert server.pid is not None
    pid, address, credentials = server.pid, server.address, server.credentials
    gone, back = when_next(server.on_exit), when_next(server.on_ready)
    os.kill(pid, signal.SIGKILL)
    assert await gone == "signal 9, Killed"
    assert await back == address
    assert server.pid != pid
    assert server.credentials == credentials
    assert await answer(reactor, server, *credentials) == b"PONG"


@pytest_twisted.ensureDeferred
async def test_a_taken_port_is_replaced(make: MakeServer) -> None:
    """When somebody took the port in the meantime, the server comes back on another."""
    server = make()
    await server.start()
    assert server.address is not None
    assert server.pid is not None
    address = server.address
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def steal(_: str) -> None:
            thief.bind(address)
            thief.listen()

        server.on_exit.append(steal)
        back = when_next(server.on_ready)
        os.kill(server.pid, signal.SIGKILL)
        host, port = await back
    assert host == address[0]
    assert port != address[1]


@pytest_twisted.ensureDeferred
async def test_stop_leaves_nothing(make: MakeServer, tmp_path: Path) -> None:
    """After a stop there is no process and no lock."""
    server = make()
    await server.start()
    pid, lock = server.pid, tmp_path / "state" / "nats.lock"
    assert pid is not None
    assert not is_free(lock)
    await server.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert is_free(lock)
    assert (server.pid, server.address) == (None, None)


@pytest_twisted.ensureDeferred
async def test_stop_ends_one_that_hangs(make: MakeServer) -> None:
    """A server that does not react to SIGTERM is killed."""
    server = make(stop_seconds=0.1)
    await server.start()
    assert server.pid is not None
    gone = when_next(server.on_exit)
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop()
    assert await gone == "signal 9, Killed"


@pytest_twisted.ensureDeferred
async def test_stop_while_starting(make: MakeServer, tmp_path: Path) -> None:
    """A start that is stopped fails, and leaves no process."""
    server = make()
    started = server.start()
    await server.stop()
    with pytest.raises(StartError, match="stopped before it was ready"):
        await started
    assert is_free(tmp_path / "state" / "nats.lock")


@pytest_twisted.ensureDeferred
async def test_what_a_killed_daemon_left_is_replaced(
    reactor: Any, make: MakeServer, tmp_path: Path
) -> None:
    """The orphan is ended before the new server runs: one server on the store, and it is ours."""
    left = await left_behind(reactor, tmp_path / "state")
    files = ServerFiles(tmp_path / "state")
    assert servers_on(files) == [left]
    server = make()
    await server.start()
    assert servers_on(files) == [server.pid]
    assert server.pid != left


@pytest_twisted.ensureDeferred
async def test_an_orphan_that_hangs_is_killed(
    reactor: Any, make: MakeServer, tmp_path: Path
) -> None:
    """An orphan that does not react to SIGTERM is killed."""
    left = await left_behind(reactor, tmp_path / "state")
    os.kill(left, signal.SIGSTOP)
    server = make(stop_seconds=0.1)
    await server.start()
    assert servers_on(ServerFiles(tmp_path / "state")) == [server.pid]


@pytest_twisted.ensureDeferred
async def test_an_orphan_is_known_by_any_path(
    reactor: Any, make: MakeServer, tmp_path: Path
) -> None:
    """The state directory may be reached through a link now."""
    await left_behind(reactor, tmp_path / "state")
    (tmp_path / "link").symlink_to(tmp_path / "state")
    server = make(state_dir=tmp_path / "link")
    await server.start()
    assert servers_on(ServerFiles(tmp_path / "state")) == [server.pid]


@pytest_twisted.ensureDeferred
async def test_another_store_s_server_is_left_alone(make: MakeServer, tmp_path: Path) -> None:
    """Two state directories are two servers."""
    one, other = make(), make(state_dir=tmp_path / "other")
    await one.start()
    await other.start()
    assert servers_on(ServerFiles(tmp_path / "state")) == [one.pid]
    assert servers_on(ServerFiles(tmp_path / "other")) == [other.pid]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is held by a stranger is not waited for."""
    monkeypatch.setattr(orphan, "PATIENCE_SECONDS", 0)


HOLDER = """
import sys
from pathlib import Path
from faasd_async.flock import Flock

lock = Flock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("arguments", [(), ("-c", "{configuration}")], ids=["plain", "like ours"])
@pytest_twisted.ensureDeferred
async def test_a_stranger_is_never_killed(
    reactor: Any, make: MakeServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Who holds the lock, named by the pid file or with our file in its arguments but without
    both signs of our server, is named in the error and lives."""
    files = ServerFiles(tmp_path / "state")
    files.directory.mkdir(parents=True)
    stranger, pid = run_script(reactor, HOLDER, str(files.lock))
    assert await stranger.when_said == "True"
    like_ours, like_ours_pid = None, None
    if arguments:
        filled = [argument.format(configuration=files.configuration) for argument in arguments]
        like_ours, like_ours_pid = run_script(
            reactor, HOLDER, str(tmp_path / "another.lock"), *filled
        )
        assert await like_ours.when_said == "True"
    files.pid.write_text(f"{like_ours_pid or pid}\n")
    with pytest.raises(StartError, match=f"no nats-server of this state directory.*pid {pid}"):
        await make().start()
    for protocol in filter(None, (stranger, like_ours)):
        assert not protocol.when_ended.called
        protocol.finish()
        await protocol.when_ended


@pytest.mark.usefixtures("impatient")
@pytest_twisted.ensureDeferred
async def test_we_do_not_kill_ourselves(make: MakeServer, tmp_path: Path) -> None:
    """A pid file that names this very process, and a lock held by it, end nothing."""
    files = ServerFiles(tmp_path / "state")
    files.directory.mkdir(parents=True)
    files.pid.write_text(f"{os.getpid()}\n")
    ours = Flock(files.lock)
    ours.acquire()
    with pytest.raises(StartError, match=f"says pid {os.getpid()}"):
        await make().start()
    ours.release()


@pytest_twisted.ensureDeferred
async def test_made_before_a_fork(reactor: Any, make: MakeServer, tmp_path: Path) -> None:
    """A server made before daemonizing starts in the process that came out of it."""
    between = "if os.fork(): os._exit(0)\nos.setsid()"
    daemon, _ = run_script(reactor, DAEMON.format(between=between), str(tmp_path / "state"))
    pid = int(await daemon.when_said)
    assert servers_on(ServerFiles(tmp_path / "state")) == [pid]
    status = Path(f"/proc/{pid}/status").read_text()
    (parent,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:")]
    os.kill(parent, signal.SIGKILL)
    await daemon.when_ended
    await make().start()


@pytest_twisted.ensureDeferred
async def test_a_state_directory_without_permission(make: MakeServer, tmp_path: Path) -> None:
    """A state directory that may not be written is named, with what to do."""
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o500)
    us = os.geteuid()
    if us == 0:  # For root there is no such directory.
        os.seteuid(65534)
    try:
        started = make(state_dir=parent / "state", binary=Path("/bin/true")).start()
    finally:
        os.seteuid(us)
    with pytest.raises(StartError, match="Permission denied: make it writable"):
        await started


@pytest_twisted.ensureDeferred
async def test_a_file_for_a_state_directory(make: MakeServer, tmp_path: Path) -> None:
    """A state directory that is a file is named, with what to do."""
    (tmp_path / "state").touch()
    with pytest.raises(StartError, match="a directory is needed"):
        await make().start()


@pytest_twisted.ensureDeferred
async def test_a_spoilt_store_is_explained(make: MakeServer, tmp_path: Path) -> None:
    """What nats-server says about its store stands in the error, and the lock is free again."""
    files = ServerFiles(tmp_path / "state")
    files.directory.mkdir(parents=True)
    (files.directory / "jetstream").touch()
    with pytest.raises(StartError, match=r"Can't start JetStream: .*: check the store"):
        await make().start()
    assert is_free(files.lock)


@pytest_twisted.ensureDeferred
async def test_a_missing_program_is_explained(make: MakeServer, tmp_path: Path) -> None:
    """A program that does not exist stops the start before anything is written."""
    with pytest.raises(StartError, match="not an executable file"):
        await make(binary=tmp_path / "nowhere").start()
    assert not (tmp_path / "state").exists()


@pytest_twisted.ensureDeferred
async def test_a_program_that_does_not_run_is_explained(make: MakeServer, tmp_path: Path) -> None:
    """A program for another machine fails with what setsid says of it."""
    foreign = tmp_path / "nats-server"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    foreign.chmod(0o755)
    with pytest.raises(StartError, match="set \\[nats\\] binary to one that does"):
        await make(binary=foreign).start()
