"""A daemon to measure, a load to measure it with, and what the kernel says it cost."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")

_POST = """
wrk.method = "POST"
wrk.body = string.rep("x", 1024)
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Daemon:
    """A running daemon.

    :param functions: TOML.
    """

    def __init__(self, directory: Path, functions: str) -> None:
        self.port = free_port()
        self._config = directory / "config.toml"
        self._config.write_text(
            f'state_dir = "{directory / "state"}"\n[gateway]\nmetrics_listen = []\n'
            f'listen = ["tcp:{self.port}:interface=127.0.0.1"]\n[log]\nlevel = "warn"\n' + functions
        )
        self._process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="),
                *("faasd-async", "--config", str(self._config)),
            ],
            cwd=directory,
        )
        self.pids = {"daemon": self._process.pid}
        self._wait_ready()
        server = directory / "state" / "nats" / "server.pid"
        self.pids["nats-server"] = int(server.read_text())

    def _wait_ready(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url("/readyz")):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the daemon did not become ready")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    @contextmanager
    def costs(self) -> Iterator[dict[str, float]]:
        """CPU seconds, by process, that pass meanwhile."""
        before = {name: _cpu_seconds(pid) for name, pid in self.pids.items()}
        spent: dict[str, float] = {}
        yield spent
        spent.update({name: _cpu_seconds(pid) - before[name] for name, pid in self.pids.items()})

    def memory(self) -> str:
        """Resident memory of each process."""
        return ", ".join(f"{name} {_resident_mib(pid):.0f} MiB" for name, pid in self.pids.items())


@contextmanager
def daemon(functions: str) -> Iterator[Daemon]:
    """A daemon on a state directory of its own."""
    with tempfile.TemporaryDirectory(prefix="faasd-async-") as directory:
        running = Daemon(Path(directory), functions)
        try:
            yield running
        finally:
            running.stop()


class Noop:
    """A :mod:`benchmarks.noop` process."""

    def __init__(self, expected: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.noop", str(expected)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def release(self) -> float:
        """Let it answer; returns the time, on the monotonic clock."""
        assert self._process.stdin is not None
        began = time.monotonic()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return began

    def wait(self) -> tuple[float, int, int]:
        """The time at which all had come, and how many calls and callbacks had then."""
        assert self._process.stdout is not None
        at, calls, callbacks = self._process.stdout.readline().split()
        return float(at), int(calls), int(callbacks)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def load(url: str, seconds: float, connections: int, *headers: str, post: bool = True) -> Load:
    """Have wrk load a URL; every answer has to be a 2xx.

    :raises RuntimeError: one was not.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_POST if post else _POST.replace('"POST"', '"GET"').replace("1024", "0"))
        script.flush()
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency"]
        words += ["-s", script.name]
        for header in headers:
            words += ["-H", header]
        said = subprocess.run([*words, url], capture_output=True, text=True, check=True).stdout
    found = re.search(r"figures (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    if found is None:
        raise RuntimeError(said)
    requests, microseconds, p50, p99, refused, broken = map(int, found.groups())
    if refused or broken:
        raise RuntimeError(f"{refused} answers were no success, {broken} did not come:\n{said}")
    return Load(requests, microseconds / 1e6, p50 / 1e3, p99 / 1e3)


def per_call(costs: dict[str, float], calls: int) -> str:
    """CPU microseconds a call, by process."""
    return ", ".join(f"{name} {spent * 1e6 / calls:.0f} µs" for name, spent in costs.items())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
