"""The supervisor's decisions, on a clock and with processes that only exist on paper."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol, IProcessTransport
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.nats.server import EmbeddedServer, ServerFiles, ServerSettings
from faasd_async.nats.server.orphan import PATIENCE_SECONDS, POLL_SECONDS
from faasd_async.nats.server.supervisor import IServerReactor


class PaperProcess:
    """A process that does what the test says."""

    def __init__(self, protocol: IProcessProtocol, pid: int, command: list[str]) -> None:
        self.pid = pid
        self.command = command
        self.signals: list[str] = []
        self._protocol = protocol
        self._gone = False

    def signalProcess(self, name: str) -> None:  # noqa: N802
        if self._gone:
            raise ProcessExitedAlready
        self.signals.append(name)

    def says(self, *lines: str) -> None:
        """Write log lines."""
        for line in lines:
            self._protocol.childDataReceived(2, f"[{self.pid}] {line}\n".encode())

    def writes(self, data: bytes) -> None:
        """Write bytes, on standard error."""
        self._protocol.childDataReceived(2, data)

    def gets_ready(self, port: int = 4222) -> None:
        """Say what a server says when it serves."""
        self.says(
            f"[INF] Listening for client connections on 127.0.0.1:{port}", "[INF] Server is ready"
        )

    def ends(self, exit_code: int | None = 0, signal: int | None = None) -> None:
        """Be gone."""
        self._gone = True
        if exit_code == 0:
            self._protocol.processEnded(Failure(ProcessDone(0)))
        else:
            self._protocol.processEnded(Failure(ProcessTerminated(exit_code, signal, None)))


class PaperReactor(Clock):
    """Starts paper processes and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[PaperProcess] = []
        self.environments: list[Mapping[str, str]] = []
        self.refusal: OSError | None = None

    def spawnProcess(  # noqa: N802
        self,
        protocol: IProcessProtocol,
        executable: str,
        args: list[str],
        env: Mapping[str, str],
        childFDs: Mapping[int, int | str],  # noqa: N803
    ) -> PaperProcess:
        if self.refusal is not None:
            raise self.refusal
        process = PaperProcess(protocol, 1000 + len(self.processes), args)
        self.processes.append(process)
        self.environments.append(env)
        protocol.makeConnection(cast(IProcessTransport, process))
        return process

    @property
    def newest(self) -> PaperProcess:
        return self.processes[-1]


class Scene:
    """A server on a state directory, its reactor and its clock."""

    def __init__(self, state_dir: Path, binary: Path) -> None:
        self.reactor = PaperReactor()
        self.clock: Clock = self.reactor
        self.files = ServerFiles(state_dir)
        self.server = EmbeddedServer(
            cast(IServerReactor, self.reactor),
            ServerSettings(state_dir, 1 << 30, binary=binary),
            start_seconds=60,
            stop_seconds=10,
            draw=lambda: 0.0,
        )
        self.ready: list[tuple[str, int]] = []
        self.exits: list[str] = []
        self.server.on_ready.append(self.ready.append)
        self.server.on_exit.append(self.exits.append)

    def run(self, port: int = 4222) -> PaperProcess:
        """Start, and have the process be ready."""
        started = self.server.start()
        self.reactor.newest.gets_ready(port)
        assert started.called
        return self.reactor.newest

    @property
    def port_asked_for(self) -> str:
        """The port in the newest configuration."""
        (line,) = [
            line
            for line in self.files.configuration.read_text().splitlines()
            if line.startswith("port: ")
        ]
        return line.removeprefix("port: ")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A server that was not started; afterwards it is stopped and nothing may be pending."""
    binary = tmp_path / "nats-server"
    binary.touch(0o755)
    scene = Scene(tmp_path / "state", binary)
    yield scene
    stopped = scene.server.stop()
    if not stopped.called:
        scene.reactor.newest.ends()
    assert stopped.called
    assert scene.clock.getDelayedCalls() == []


def failure_of(deferred: Deferred[None]) -> str:
    """What a Deferred failed with."""
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    (failure,) = failures
    assert isinstance(failure.value, StartError)
    return str(failure.value)


def test_nothing_happens_before_start(scene: Scene) -> None:
    """A server that was only made has no process, no address, no credentials and no files."""
    assert scene.server.address is None
    assert scene.server.pid is None
    assert not scene.files.directory.parent.exists()
    with pytest.raises(StartError, match="not started"):
        _ = scene.server.credentials


def test_start_waits_for_readiness(scene: Scene) -> None:
    """Listening is not enough; ready, the address is known and the observers are told."""
    started = scene.server.start()
    scene.reactor.newest.says("[INF] Listening for client connections on 127.0.0.1:4222")
    assert not started.called
    scene.reactor.newest.says("[INF] Server is ready")
    assert started.called
    assert scene.server.address == ("127.0.0.1", 4222)
    assert scene.server.pid == scene.reactor.newest.pid
    assert scene.ready == [("127.0.0.1", 4222)]


def test_observers_hear_before_the_starter(scene: Scene) -> None:
    """Who waits for the start may add observers then: they hear of what comes after."""
    started = scene.server.start()
    late: list[object] = []
    started.addCallback(lambda _: scene.server.on_ready.append(late.append))
    scene.reactor.newest.gets_ready()
    assert late == []
    assert scene.ready == [("127.0.0.1", 4222)]


def test_the_child_gets_a_clean_environment(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the daemon's environment is handed on."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("LISTEN_FDS", "1")
    scene.run()
    assert set(scene.reactor.environments[0]) == {"PATH", "HOME"}


def test_the_lock_is_handed_over(scene: Scene) -> None:
    """Once the child is started, the daemon has no copy of the lock."""
    scene.run()
    other = Flock(scene.files.lock)
    assert other.acquire()
    other.release()


def test_the_log_goes_on(scene: Scene) -> None:
    """What the server says is logged at its level, with a constant template."""
    process = scene.run()
    with capturedLogs() as events:
        process.says("[ERR] a {brace}")
    (event,) = events
    assert event["log_format"] == "nats-server: {line}"
    assert event["line"] == "a {brace}"
    assert event["log_level"].name == "error"


@pytest.mark.parametrize(
    ("fatal", "remedy"),
    [
        ("Can't start JetStream: storage directory is not a directory", "check the store"),
        ("could not write: no space left on device", "make room"),
        ("something new", "see the log"),
    ],
)
def test_a_failed_start_says_why(scene: Scene, fatal: str, remedy: str) -> None:
    """The fatal line and what to do about it stand in the error."""
    started = scene.server.start()
    scene.reactor.newest.says("[INF] Starting", f"[FTL] {fatal}")
    scene.reactor.newest.ends(exit_code=1)
    text = failure_of(started)
    assert fatal in text
    assert remedy in text


def test_a_refused_configuration_says_why(scene: Scene) -> None:
    """What is said before there is a log stands in the error."""
    started = scene.server.start()
    scene.reactor.newest.writes(b'nats-server: server.conf:9:3: unknown field "new"')
    scene.reactor.newest.ends(exit_code=1)
    assert 'unknown field "new" (exit code 1): this nats-server is too old' in failure_of(started)


def test_an_end_without_a_complaint_tells_the_last_lines(scene: Scene) -> None:
    """How it ended and what it said last stand in the error."""
    started = scene.server.start()
    scene.reactor.newest.says("[INF] one", "[INF] two")
    scene.reactor.newest.ends(exit_code=None, signal=9)
    text = failure_of(started)
    assert "signal 9, Killed" in text
    assert "it said last: one | two: see the log" in text


@pytest.mark.parametrize("ended", [{"exit_code": 1}, {"exit_code": 0}])
def test_a_program_that_is_no_nats_server(scene: Scene, ended: dict[str, int]) -> None:
    """It ends without a word, and the setting that names it is the remedy."""
    started = scene.server.start()
    scene.reactor.newest.ends(**ended)
    assert failure_of(started) == (
        f"nats-server ended before it was ready (exit code {ended['exit_code']}), and said nothing:"
        " see whether the program is a nats-server (nats-server --version), and set [nats] binary"
        " to one or leave it out"
    )


def test_a_failed_start_is_not_repeated(scene: Scene) -> None:
    """After a first failure nothing is tried again, until the next start."""
    scene.server.start().addErrback(lambda _: None)
    scene.reactor.newest.ends(exit_code=1)
    assert scene.clock.getDelayedCalls() == []
    scene.run()
    assert len(scene.reactor.processes) == 2


def test_a_slow_start_is_ended(scene: Scene) -> None:
    """A server that is not ready in time is stopped, and the error tells its last lines."""
    started = scene.server.start()
    scene.reactor.newest.says("[INF] Restoring")
    scene.clock.advance(60)
    assert scene.reactor.newest.signals == ["TERM"]
    assert not started.called
    scene.reactor.newest.ends()
    text = failure_of(started)
    assert "not ready within 60 seconds" in text
    assert "Restoring" in text


def test_ready_after_the_limit_is_too_late(scene: Scene) -> None:
    """A server that becomes ready while it is being stopped is not taken for started."""
    started = scene.server.start()
    scene.clock.advance(60)
    scene.reactor.newest.gets_ready()
    scene.reactor.newest.ends()
    assert "not ready within" in failure_of(started)


def test_no_process_to_be_had(scene: Scene) -> None:
    """A machine that starts no more processes is an explained error; the lock is free again."""
    scene.reactor.refusal = OSError(11, "Resource temporarily unavailable")
    assert "Resource temporarily unavailable" in failure_of(scene.server.start())
    other = Flock(scene.files.lock)
    assert other.acquire()
    other.release()


def test_starting_twice_is_refused(scene: Scene) -> None:
    """A second start of a running server fails and changes nothing."""
    scene.run()
    assert "started already" in failure_of(scene.server.start())
    assert len(scene.reactor.processes) == 1


def test_an_unexpected_end_is_told_and_mended(scene: Scene) -> None:
    """The address is gone, observers hear how, and a new server asks for the same port."""
    scene.run(port=4222).ends(exit_code=None, signal=9)
    assert scene.exits == ["signal 9, Killed"]
    assert scene.server.address is None
    assert scene.server.pid is None
    scene.clock.advance(0.05)
    assert scene.port_asked_for == "4222"
    scene.reactor.newest.gets_ready(4222)
    assert scene.ready == [("127.0.0.1", 4222)] * 2


def test_a_taken_port_is_given_up(scene: Scene) -> None:
    """When the same port is not to be had, the next attempt takes any."""
    scene.run(port=4222).ends(exit_code=1)
    scene.clock.advance(0.05)
    scene.reactor.newest.says("[FTL] Error listening on port: address already in use")
    scene.reactor.newest.ends(exit_code=1)
    scene.clock.advance(0.1)
    assert scene.port_asked_for == "-1"


def test_delays_double_up_to_a_limit(scene: Scene) -> None:
    """Each failure in a row doubles the wait; it stays within ten seconds."""
    scene.run().ends(exit_code=1)
    delays = []
    for _ in range(12):
        (call,) = scene.clock.getDelayedCalls()
        delays.append(call.getTime() - scene.clock.seconds())
        scene.clock.advance(delays[-1])
        scene.reactor.newest.ends(exit_code=1)
    assert delays == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5, 5])


def test_a_steady_run_forgives(scene: Scene) -> None:
    """After a minute of running, the wait is the shortest again."""
    scene.run().ends(exit_code=1)
    scene.clock.advance(0.05)
    scene.reactor.newest.ends(exit_code=1)
    scene.clock.advance(0.1)
    scene.reactor.newest.gets_ready()
    scene.clock.advance(60)
    scene.reactor.newest.ends(exit_code=1)
    (call,) = scene.clock.getDelayedCalls()
    assert call.getTime() - scene.clock.seconds() == pytest.approx(0.05)


def test_a_restart_that_cannot_write_is_tried_again(scene: Scene) -> None:
    """A state directory that fails later does not end the supervision."""
    scene.run().ends(exit_code=1)
    lock = scene.files.lock
    lock.unlink()
    lock.mkdir()
    scene.clock.advance(0.05)
    assert len(scene.reactor.processes) == 1
    lock.rmdir()
    scene.clock.advance(0.1)
    assert len(scene.reactor.processes) == 2


def test_a_failing_observer_harms_nobody(scene: Scene) -> None:
    """An observer that raises is passed over, and the next is told."""

    def broken(news: object) -> None:
        raise RuntimeError(news)

    scene.server.on_ready.insert(0, broken)
    scene.server.on_exit.insert(0, broken)
    scene.run().ends(exit_code=1)
    assert (len(scene.ready), len(scene.exits)) == (1, 1)


def test_stop_asks_and_waits(scene: Scene) -> None:
    """Stop sends SIGTERM once, fires when the process is gone, and nothing is restarted."""
    process = scene.run()
    first, second = scene.server.stop(), scene.server.stop()
    assert process.signals == ["TERM"]
    assert not first.called
    process.ends()
    assert first.called
    assert second.called
    assert scene.clock.getDelayedCalls() == []
    assert scene.server.stop().called


def test_stop_kills_in_the_end(scene: Scene) -> None:
    """A server that does not end in ten seconds is killed."""
    process = scene.run()
    stopped = scene.server.stop()
    scene.clock.advance(10)
    assert process.signals == ["TERM", "KILL"]
    process.ends(exit_code=None, signal=9)
    assert stopped.called


def test_stop_while_starting(scene: Scene) -> None:
    """The start fails, once the process is gone, and so does nothing else."""
    started = scene.server.start()
    stopped = scene.server.stop()
    assert not started.called
    scene.reactor.newest.ends()
    assert "stopped before it was ready" in failure_of(started)
    assert stopped.called


def test_stop_between_two_servers(scene: Scene) -> None:
    """Stop during the wait before a restart is done at once, without a new process."""
    scene.run().ends(exit_code=1)
    assert scene.server.stop().called
    assert len(scene.reactor.processes) == 1


@pytest.mark.parametrize("observers", ["on_ready", "on_exit"])
def test_stop_from_an_observer(scene: Scene, observers: str) -> None:
    """An observer may stop the server."""
    stops: list[Deferred[None]] = []
    listed: list[Callable[[object], object]] = getattr(scene.server, observers)
    listed.append(lambda _: stops.append(scene.server.stop()))
    scene.run().ends()
    assert stops[0].called
    assert len(scene.reactor.processes) == 1


def test_cancelling_the_start_stops(scene: Scene) -> None:
    """Who loses interest in the start ends the process."""
    started = scene.server.start()
    started.addErrback(lambda failure: failure.trap(CancelledError))
    started.cancel()
    assert scene.reactor.newest.signals == ["TERM"]


def test_started_again_after_a_stop(scene: Scene) -> None:
    """A stopped server can be started again: same credentials, same port asked for."""
    process = scene.run(port=4222)
    credentials = scene.server.credentials
    scene.server.stop()
    process.ends()
    scene.run(port=4222)
    assert scene.port_asked_for == "4222"
    assert scene.server.credentials == credentials


def test_a_held_lock_is_waited_for(scene: Scene) -> None:
    """A lock that becomes free within the patience costs only time."""
    holder = Flock(scene.files.lock)
    scene.files.directory.mkdir(parents=True)
    holder.acquire()
    started = scene.server.start()
    scene.clock.advance(POLL_SECONDS)
    assert scene.reactor.processes == []
    holder.release()
    scene.clock.advance(POLL_SECONDS)
    scene.reactor.newest.gets_ready()
    assert started.called


def test_a_lock_that_stays_held_stops_the_start(scene: Scene) -> None:
    """After the patience the error names the lock file, and no process was started."""
    holder = Flock(scene.files.lock)
    scene.files.directory.mkdir(parents=True)
    holder.acquire()
    started = scene.server.start()
    scene.clock.pump([POLL_SECONDS] * (int(PATIENCE_SECONDS / POLL_SECONDS) + 1))
    assert str(scene.files.lock) in failure_of(started)
    assert scene.reactor.processes == []
    holder.release()


def test_stop_while_waiting_for_the_lock(scene: Scene) -> None:
    """Stop ends the wait for the lock."""
    holder = Flock(scene.files.lock)
    scene.files.directory.mkdir(parents=True)
    holder.acquire()
    started = scene.server.start()
    assert scene.server.stop().called
    assert "stopped before it was ready" in failure_of(started)
    holder.release()


NO_SPACE = "[ERR] Filestore [X] Critical write error: write 6.blk: no space left on device"


def test_a_write_error_is_told_once(scene: Scene) -> None:
    """The first of a server's is known and told; it runs on, for it may still be read."""
    told: list[str] = []
    scene.server.on_write_error.append(told.append)
    process = scene.run()
    assert scene.server.write_error is None
    process.says(NO_SPACE, NO_SPACE)
    assert scene.server.write_error == "no space left on device"
    assert told == ["no space left on device"]
    assert process.signals == []


def test_a_write_error_while_it_starts_is_told_when_it_is_ready(scene: Scene) -> None:
    """There is nothing to be done about it before."""
    told: list[str] = []
    scene.server.on_write_error.append(told.append)
    scene.server.start()
    scene.reactor.newest.says(NO_SPACE)
    assert told == []
    scene.reactor.newest.gets_ready()
    assert told == ["no space left on device"]


def test_a_server_is_started_anew(scene: Scene) -> None:
    """Asked to end, then followed at once by another, which has no write error; no mishap."""
    process = scene.run()
    process.says(NO_SPACE)
    with capturedLogs() as events:
        scene.server.restart()
        assert process.signals == ["TERM"]
        process.says(NO_SPACE)
        process.ends()
    assert len(scene.reactor.processes) == 2
    assert scene.server.write_error is None
    assert scene.exits == ["exit code 0"]
    assert not [event for event in events if "unexpectedly" in event["log_format"]]
    scene.reactor.newest.gets_ready()
    assert len(scene.ready) == 2


def test_there_is_nothing_to_start_anew(scene: Scene) -> None:
    """Before a server is ready, and while it is being stopped."""
    scene.server.restart()
    scene.server.start().addErrback(lambda _: None)
    scene.server.restart()
    assert scene.reactor.newest.signals == []
    scene.reactor.newest.gets_ready()
    scene.server.stop()
    scene.server.restart()
    scene.reactor.newest.ends()
    assert len(scene.reactor.processes) == 1
