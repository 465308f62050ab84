"""A daemon to measure, a function that costs nothing, a load, and what the kernel says it cost.

The daemon is a process of its own, as its users start it. Its state lies in ``/var/tmp``, which is
on a disk where ``/tmp`` may be memory: a disk is what durability is about.
"""

from __future__ import annotations

import asyncio
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

BODY = b"x" * 1024

ON_DISK = "/var/tmp"

_START_SECONDS = 30.0
_STOP_SECONDS = 60.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

#: A slow disk is to be measured, not refused.
_CONFIG = """\
state_dir = "{state}"
[gateway]
listen = ["tcp:{port}:interface=127.0.0.1"]
metrics_listen = ["tcp:{figures_port}:interface=127.0.0.1"]
[log]
level = "error"
[queue]
accept_deadline = "10s"
durability = "{durability}"
[worker]
drain_timeout = "100ms"
max_inflight = {max_inflight}
[callback]
max_inflight = {max_inflight}
[functions.noop]
url = "http://127.0.0.1:{noop_port}"
max_inflight = {max_inflight}
"""

_WRK_SCRIPT = """\
wrk.method = "{method}"
wrk.body = string.rep("x", {body_bytes})
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class BenchmarkFailed(Exception):
    """What was measured is not what was meant."""


@dataclass(frozen=True)
class Load:
    """What wrk saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    def __str__(self) -> str:
        rate = self.requests / self.seconds
        return f"{rate:7,.0f}/s, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms"


class Noop:
    """A :mod:`benchmarks.noop` process.

    :param expected: how many calls it waits for.
    """

    def __init__(self, expected: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.noop", str(expected)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.port = int(self._read_line())

    def release(self) -> float:
        """Have it answer from now on; returns the time, on the monotonic clock."""
        assert self._process.stdin is not None
        began = time.monotonic()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return began

    def wait_for(self, *kinds: str) -> None:
        """Wait until all ``calls``, or ``callbacks``, or both have come."""
        waited_for = set(kinds)
        while waited_for:
            waited_for.discard(self._read_line().partition(" ")[0])

    def stop(self) -> tuple[int, int]:
        """End it; returns how many calls and how many callbacks came in all."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        said = self._read_line()
        while not said.startswith("ended"):
            said = self._read_line()
        self._process.wait(_STOP_SECONDS)
        _, calls, callbacks = said.split()
        return int(calls), int(callbacks)

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed("the function ended")
        return line


class Daemon:
    """A running daemon with one function, ``noop``."""

    def __init__(
        self, directory: Path, noop_port: int, max_inflight: int, durability: str = "power"
    ) -> None:
        self.port = _free_port()
        self._figures_port = _free_port()
        state = directory / "state"
        config = directory / "config.toml"
        config.write_text(
            _CONFIG.format(
                state=state,
                port=self.port,
                figures_port=self._figures_port,
                noop_port=noop_port,
                max_inflight=max_inflight,
                durability=durability,
            ),
            encoding="utf-8",
        )
        twistd = str(Path(sys.executable).with_name("twistd"))
        self._process = subprocess.Popen(
            [twistd, "-n", "--pidfile=", "faasd-async", "--config", str(config)], cwd=directory
        )
        try:
            self._wait_until_ready()
            broker_pid = int((state / "nats" / "server.pid").read_text(encoding="ascii"))
        except BaseException:
            self.stop()
            raise
        self._pids = {"daemon": self._process.pid, "nats-server": broker_pid}

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url("/readyz")):
                    return
            except OSError:
                time.sleep(0.05)
        raise BenchmarkFailed("the daemon did not become ready")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def figure(self, name: str) -> int:
        """The sum of one of its figures, whatever the labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._figures_port}/metrics") as answer:
            text: str = answer.read().decode()
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return round(sum(map(float, values)))

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_SECONDS)

    @contextmanager
    def costs(self) -> Iterator[dict[str, float]]:
        """CPU seconds, by process, that pass meanwhile."""
        before = {name: _cpu_seconds(pid) for name, pid in self._pids.items()}
        spent: dict[str, float] = {}
        yield spent
        spent.update({name: _cpu_seconds(pid) - before[name] for name, pid in self._pids.items()})

    def summary(self, spent: dict[str, float], calls: int) -> str:
        """CPU time a call, and resident memory now, by process."""
        return "; ".join(
            f"{name} {spent[name] * 1e6 / calls:.0f} µs a call, {_resident_mib(pid):.0f} MiB"
            for name, pid in self._pids.items()
        )


@contextmanager
def daemon(noop: Noop, max_inflight: int, durability: str = "power") -> Iterator[Daemon]:
    """A daemon on a state directory of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="faasd-async-", dir=ON_DISK) as directory:
        running = Daemon(Path(directory), noop.port, max_inflight, durability)
        try:
            yield running
        finally:
            running.stop()


def load(url: str, seconds: float, connections: int, method: str = "POST") -> Load:
    """Have wrk load a URL, a POST with 1 KiB.

    :raises BenchmarkFailed: an answer was no 2xx, or did not come.
    """
    body_bytes = len(BODY) if method == "POST" else 0
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_SCRIPT.format(method=method, body_bytes=body_bytes))
        script.flush()
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
        try:
            said = subprocess.run(
                [*words, "-s", script.name, url], capture_output=True, text=True, check=True
            ).stdout
        except FileNotFoundError:
            raise BenchmarkFailed("wrk makes the load: apt install wrk") from None
    found = re.search(r"figures (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", said)
    if found is None:
        raise BenchmarkFailed(said)
    requests, microseconds, p50, p99, refused, broken = map(int, found.groups())
    if not requests or refused or broken:
        raise BenchmarkFailed(f"{refused} answers were no 2xx, {broken} did not come:\n{said}")
    return Load(requests, microseconds / 1e6, p50 / 1e3, p99 / 1e3)


def put(running: Daemon, calls: int, connections: int, callback_url: str | None) -> None:
    """Have exactly so many calls accepted.

    :raises BenchmarkFailed: one was not.
    """
    callback = f"X-Callback-Url: {callback_url}\r\n" if callback_url else ""
    request = (
        f"POST /async-function/noop HTTP/1.1\r\nHost: noop\r\n{callback}"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    left = iter(range(calls))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for _ in left:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 202 "):
                raise BenchmarkFailed(f"a call was not accepted:\n{answer.decode()}")
        writer.close()

    async def all_callers() -> None:
        await asyncio.gather(*(caller() for _ in range(connections)))

    asyncio.run(all_callers())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICKS_A_SECOND


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE_BYTES / 2**20
