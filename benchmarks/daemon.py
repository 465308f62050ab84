"""A daemon to measure: a process of its own, as its users start it.

Its state lies in ``/var/tmp``, which is on a disk where ``/tmp`` may be memory: a disk is what
durability is about. It logs as it does by default, into a file.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.harness import BenchmarkFailed
from benchmarks.processes import Processes

ON_DISK = "/var/tmp"

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_END_SECONDS = 60.0
_POLL_SECONDS = 0.002

#: A caller that was cut off has left at most a few calls behind: these are done with by then.
_QUIET_SECONDS = 0.1

_ACCEPTED = "queue_worker_messages_submitted_total"
_ENDED = "queue_worker_messages_processed_total"
_SUCCEEDED = 'state="succeeded"'

#: A slow disk is to be measured, not refused.
_CONFIG = """\
state_dir = "{state}"
[gateway]
listen = ["tcp:{port}:interface=127.0.0.1"]
metrics_listen = ["tcp:{figures_port}:interface=127.0.0.1"]
[queue]
accept_deadline = "10s"
durability = "{setup.durability}"
max_messages = {setup.most_waiting}
max_bytes = "{most_waiting_kib}KiB"
[worker]
drain_timeout = "100ms"
max_inflight = {setup.max_inflight}
[callback]
max_inflight = {setup.max_inflight}
"""

_FUNCTION = """\
[functions.{name}]
url = "http://127.0.0.1:{setup.noop_port}"
max_inflight = {setup.max_inflight}
results = {{ keep = "{setup.keep}" }}
async_timeout = "{setup.timeout}"
"""


@dataclass(frozen=True)
class Setup:
    """What a daemon is to be.

    :ivar noop_port: where the function is, under whatever names.
    :ivar max_inflight: calls at a time, of each function and of all.
    :ivar keep: for how long results are.
    :ivar most_waiting: how many calls there must be room for.
    :ivar timeout: how long the function may hold a call.
    :ivar lean: on the reactor without log contexts.
    """

    noop_port: int
    max_inflight: int
    durability: str = "power"
    functions: tuple[str, ...] = ("noop",)
    keep: str = "0s"
    most_waiting: int = 1_000_000
    timeout: str = "5m"
    lean: bool = False


class Daemon:
    """A running daemon.

    :ivar began: when it was spawned, on the monotonic clock.
    :ivar ready_seconds: after which time ``/readyz`` said 200.
    """

    def __init__(self, directory: Path, setup: Setup) -> None:
        self.port = _free_port()
        self._figures_port = _free_port()
        self._log = directory / "log"
        state = directory / "state"
        self._broker_pid = state / "nats" / "server.pid"
        config = directory / "config.toml"
        common = _CONFIG.format(
            setup=setup,
            state=state,
            port=self.port,
            figures_port=self._figures_port,
            most_waiting_kib=2 * setup.most_waiting,
        )
        functions = (_FUNCTION.format(setup=setup, name=name) for name in setup.functions)
        config.write_text(common + "".join(functions), encoding="utf-8")
        self._spawn(directory, config, ["--reactor=faasd-async"] if setup.lean else [])
        try:
            self._wait_until_ready()
            self.ready_seconds = time.monotonic() - self.began
            broker_pid = int(self._broker_pid.read_text(encoding="ascii"))
        except BaseException:
            self.stop()
            raise
        self.processes = Processes({"daemon": self._process.pid, "nats-server": broker_pid})

    def _spawn(self, directory: Path, config: Path, options: list[str]) -> None:
        twistd = str(Path(sys.executable).with_name("twistd"))
        words = [twistd, *options, "-n", "--pidfile=", f"--logfile={self._log}", "faasd-async"]
        # As many connections as it may have: a service's manager would see to that.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # What is installed has been compiled: it does not start from its source each time.
        variables = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [*words, "--config", str(config)], cwd=directory, env=variables
        )

    def _wait_until_ready(self) -> None:
        # A bare socket: what asks is not to take the time of what starts.
        question = b"GET /readyz HTTP/1.0\r\n\r\n"
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asking:
                    asking.sendall(question)
                    if b" 200 " in asking.recv(1024)[:13]:
                        return
            except OSError:
                pass
            time.sleep(_POLL_SECONDS)
        raise BenchmarkFailed("the daemon did not become ready")

    def figure(self, name: str, label: str = "") -> int:
        """The sum of one of its figures, of all labels or of those that have this one, such as
        ``stream="FAAS_CALLS"``."""
        return _total(self._page(), name, label)

    def figures(self, name: str) -> dict[str, int]:
        """One of its figures, by its labels."""
        return _by_labels(self._page(), name)

    def accepted(self) -> int:
        """How many calls it has accepted, once those have been, too, whose caller left early."""
        before, now = -1, self.figure(_ACCEPTED)
        while now != before:
            time.sleep(_QUIET_SECONDS)
            before, now = now, self.figure(_ACCEPTED)
        return now

    def wait_until_ended(self, least: int) -> tuple[int, float]:
        """Wait until it is written down of every call it has accepted that it succeeded.

        :param least: so many will have been.
        :return: how many these are, and since when it is so, on the monotonic clock.
        :raises BenchmarkFailed: nothing more was accepted or ended for a minute.
        """
        before, since = (-1, -1), time.monotonic()
        while time.monotonic() < since + _END_SECONDS:
            page = self._page()
            accepted, succeeded = _total(page, _ACCEPTED), _total(page, _ENDED, _SUCCEEDED)
            if (accepted, succeeded) != before:
                before, since = (accepted, succeeded), time.monotonic()
            elif accepted == succeeded >= least:
                return succeeded, since
            time.sleep(_QUIET_SECONDS if accepted == succeeded else 0.02)
        raise BenchmarkFailed(f"{before[0]} calls were accepted, {before[1]} succeeded")

    def _page(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._figures_port}/metrics") as answer:
            page: str = answer.read().decode()
        return page

    def stop(self) -> None:
        """
        :raises BenchmarkFailed: it does not stop; it is killed then.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._kill_broker()
            raise BenchmarkFailed(f"the daemon did not stop in {_STOP_SECONDS:.0f} s") from None

    def _kill_broker(self) -> None:
        """It outlives a daemon that was killed, for the next one to find."""
        with suppress(OSError, ValueError):
            os.kill(int(self._broker_pid.read_text(encoding="ascii")), signal.SIGKILL)

    def errors(self) -> Iterator[str]:
        """What it logged of that level or worse, one line each."""
        for path in self._log.parent.glob(f"{self._log.name}*"):
            with path.open("rb") as lines:
                for line in lines:
                    if b"#error]" in line or b"#critical]" in line:
                        yield line.decode().strip()


@contextmanager
def state_directory() -> Iterator[Path]:
    """Where daemons, one after the other, have their state; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="faasd-async-", dir=ON_DISK) as directory:
        yield Path(directory)


@contextmanager
def daemon_in(directory: Path, setup: Setup) -> Iterator[Daemon]:
    """A daemon on the state that is there.

    :raises BenchmarkFailed: when it has ended: it had logged an error.
    """
    running = Daemon(directory, setup)
    try:
        yield running
    except BenchmarkFailed as reason:
        for line in islice(running.errors(), 10):
            reason.add_note(line)
        raise
    finally:
        running.stop()
    for line in running.errors():
        raise BenchmarkFailed(f"the daemon logged: {line}")


@contextmanager
def daemon(setup: Setup) -> Iterator[Daemon]:
    """A daemon on a state directory of its own."""
    with state_directory() as directory, daemon_in(directory, setup) as running:
        yield running


def _by_labels(page: str, name: str) -> dict[str, int]:
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
    return {labels: round(float(value)) for labels, value in found}


def _total(page: str, name: str, label: str = "") -> int:
    return sum(value for labels, value in _by_labels(page, name).items() if label in labels)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
