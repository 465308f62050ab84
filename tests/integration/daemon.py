"""The daemon as its users start it: a twistd of its own."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from raw_http import Response, exchange
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from faasd_async.runtime.process.left_behind import leader_with

TWISTD = str(Path(sys.executable).with_name("twistd"))
READY = re.compile(r"Daemon#info\] ready: ")
START_SECONDS = 60


def free_port() -> int:
    """A TCP port of loopback that nobody has just now, and that the kernel will not give to an
    outgoing connection before it is listened on."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


#: The processes that the present test listens to: what they wrote is shown if it fails.
listened_to: list[Output] = []


class Output(ProcessProtocol):
    """A process that is listened to.

    :ivar log: what it has written, standard error included.
    :ivar errors: what it has written to standard error.
    :ivar status: the exit status, or minus the signal that ended it, once it has ended.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.log = ""
        self.errors = ""
        self.status: int | None = None
        self._waiting: list[tuple[re.Pattern[str], Deferred[re.Match[str]]]] = []
        self._ended: list[Deferred[int]] = []
        self._seen = 0
        listened_to.append(self)

    @property
    def pid(self) -> int:
        pid: int = self.transport.pid  # type: ignore[union-attr]
        return pid

    def says(self, pattern: str | re.Pattern[str]) -> Deferred[re.Match[str]]:
        """Fires when the log matches, further on than where it was matched last; if it does not in
        time, the failure shows what it said instead."""
        waiter: Deferred[re.Match[str]] = Deferred()
        entry = (re.compile(pattern), waiter)
        self._waiting.append(entry)
        self._look()

        def not_said(value: object, seconds: float) -> None:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise AssertionError(f"{pattern} was not said within {seconds} s:\n{self.log}")

        return waiter.addTimeout(START_SECONDS, self.reactor, not_said)

    def ended(self) -> Deferred[int]:
        """Fires with the :attr:`status`."""
        waiter: Deferred[int] = Deferred()
        if self.status is None:
            self._ended.append(waiter)
        else:
            waiter.callback(self.status)
        return waiter.addTimeout(60, self.reactor)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> Deferred[int]:
        """As a crash would: this process alone, none that it has started."""
        self.signal(signal.SIGKILL)
        return self.ended()

    # -- from the process

    def outReceived(self, data: bytes) -> None:
        self.log += data.decode("utf-8", "replace")
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode("utf-8", "replace")
        self.outReceived(data)

    def _look(self) -> None:
        for entry in list(self._waiting):
            pattern, waiter = entry
            found = pattern.search(self.log, self._seen)
            if found is not None:
                self._seen = found.end()
                self._waiting.remove(entry)
                waiter.callback(found)

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value
        self.status = -error.signal if error.signal else error.exitCode
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            waiter.errback(Failure(AssertionError(f"the process ended:\n{self.log}")))
        ended, self._ended = self._ended, []
        for each in ended:
            each.callback(self.status)


class Daemon(Output):
    """One run of the daemon.

    :param config: TOML without ``[gateway]``: it listens on free ports.
    :param port: to listen on; a free one unless given.
    """

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        config: str,
        *,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        options: tuple[str, ...] = (),
        twistd_options: tuple[str, ...] = ("-n", "--pidfile="),
        wait_ready: bool = True,
    ) -> None:
        super().__init__(reactor)
        self.port = port or free_port()
        self.metrics_port = free_port()
        self.state = directory / "state"
        self._config = directory / "config.toml"
        self.configure(config)
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        # It starts the faster for what the one before it has compiled.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._wait_ready = wait_ready
        self._twistd_options = twistd_options
        self._options = (
            *("--config", str(self._config), "--state-dir", str(self.state)),
            *("--listen", f"tcp:{self.port}:interface=127.0.0.1"),
            *options,
        )

    def configure(self, config: str) -> None:
        """Write its file; a daemon that runs reads it again when it is told to."""
        figures = f"tcp:{self.metrics_port}:interface=127.0.0.1"
        self._config.write_text(f"[gateway]\nmetrics_listen = ['{figures}']\n{config}")

    @property
    def arguments(self) -> list[str]:
        return [TWISTD, *self._twistd_options, "faasd-async", *self._options]

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        program, *_ = arguments = self.arguments
        self.reactor.spawnProcess(
            self, program, arguments, self._environment, path=str(self._config.parent)
        )
        if self._wait_ready:
            await self.says(READY)

    @property
    def broker_pid(self) -> int:
        """Its nats-server's."""
        return int((self.state / "nats" / "server.pid").read_text())

    def stop_broker(self) -> None:
        """Have its nats-server stand still, each thread of it; SIGCONT has it go on."""
        os.kill(self.broker_pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self.broker_pid}/task")
        while any(_state(each) not in "TtZX" for each in threads.iterdir()):
            os.sched_yield()

    @property
    def broker_runs(self) -> bool:
        """Whether a nats-server runs on its state directory."""
        with suppress(OSError, ValueError):
            command = Path(f"/proc/{self.broker_pid}/cmdline").read_bytes()
            return str(self.state).encode() in command
        return False

    def stop(self) -> Deferred[int]:
        """Ask it to stop; fires with the exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    async def end(self) -> None:
        """Leave nothing behind, neither daemon nor broker, nor the processes of functions."""
        if self.transport is not None and self.status is None:
            await self.kill()
        # Whoever killed it, and whether a next one was to end what it left behind.
        for group in self.noted_groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self.broker_runs:
            with suppress(ProcessLookupError):
                os.kill(self.broker_pid, signal.SIGKILL)

    @property
    def noted_groups(self) -> list[int]:
        """The process groups that it leaves behind: by what it has noted, and as long as the
        numbers mean the same processes."""
        groups = []
        with suppress(FileNotFoundError):
            for line in (self.state / "processes").read_text().splitlines():
                if line.strip():
                    _, pid, started = line.split()
                    leader = leader_with(int(pid))
                    if leader is None or leader.started == int(started):
                        groups.append(int(pid))
        return groups

    # -- HTTP

    def request(
        self, target: str | bytes, body: bytes = b"", *, method: str = "POST", **headers: str
    ) -> Deferred[Response]:
        """One request; header names have ``_`` for ``-``."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return exchange(self.reactor, self.port, method, target, fields, body)

    def figures(self) -> Deferred[Response]:
        """What Prometheus would read."""
        return exchange(self.reactor, self.metrics_port, "GET", "/metrics")

    @property
    def memory_bytes(self) -> int:
        """What is resident of it."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def get(self, target: str | bytes) -> Deferred[Response]:
        return self.request(target, method="GET")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


StartDaemon = Callable[..., Deferred[Daemon]]


def _state(task: Path) -> str:
    """A thread's, one letter as in proc(5); one that is gone is dead."""
    with suppress(OSError):
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"
