"""``faasd-async doctor`` finds what was planted, says what to do, and finds nothing else."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from command_line import command
from daemon import Daemon, StartDaemon, free_port
from real_nats import RealNats
from test_space import SmallDisk


class Patient(NamedTuple):
    """A machine to be examined.

    :ivar arguments: for the doctor.
    """

    directory: Path
    toml: str
    arguments: tuple[str, ...] = ()
    before: Callable[[], None] | None = None


def findings(patient: Patient) -> tuple[int, dict[str, Any]]:
    """The exit code, and the finding that is not well, for each subject."""
    config = patient.directory / "faas.toml"
    config.write_text(patient.toml)
    options = ("--config", str(config), "--state-dir", str(patient.directory / "state"))
    if "--state-dir" in patient.arguments:
        options = options[:2]
    here = [sys.executable, "-m", "faasd_async.cli", "--url", "http://127.0.0.1:1", "--json"]
    done = subprocess.run(
        [*here, "doctor", *options, *patient.arguments],
        capture_output=True,
        check=False,
        preexec_fn=patient.before,
    )
    found = json.loads(done.stdout)
    return done.returncode, {each["subject"]: each for each in found if each["verdict"] != "well"}


def listening(port: int) -> str:
    return f"[gateway]\nlisten = ['tcp:{port}']\nmetrics_listen = ['tcp:{free_port()}']\n"


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def a_file_for_a_directory(directory: Path) -> Patient:
    (directory / "state").write_text("")
    return Patient(directory, listening(free_port()))


def a_stamp_of_tomorrow(directory: Path) -> Patient:
    (directory / "state").mkdir(mode=0o700)
    stored = directory / "state" / "stored"
    stored.write_text("")
    os.utime(stored, (4e9, 4e9))
    return Patient(directory, listening(free_port()))


def open_to_all(directory: Path) -> Patient:
    (directory / "state").mkdir()
    (directory / "state").chmod(0o755)
    return Patient(directory, listening(free_port()))


def out_of_sight(directory: Path) -> Patient:
    """Below a directory that this user may not look into."""
    closed = directory / "closed"
    closed.mkdir(mode=0)
    arguments = ("--state-dir", str(closed / "state"))
    return Patient(directory, listening(free_port()), arguments, _as_anybody)


def somebody_elses(directory: Path) -> Patient:
    """Its broker's part was made by another user: a start as root, say."""
    (directory / "state").mkdir(mode=0o700)
    (directory / "state" / "nats").mkdir(mode=0)
    return Patient(directory, listening(free_port()), (), _as_anybody)


def _as_anybody() -> None:
    """Root would see everything."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def no_server(directory: Path) -> Patient:
    server = directory / "nats-server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    return Patient(directory, f"{listening(free_port())}[nats]\nbinary = '{server}'\n")


PLANTED: dict[str, tuple[Callable[[Path], Patient], str, str]] = {
    "an unknown key": (lambda at: Patient(at, "[gateway]\nlisen = []\n"), "settings", "ill"),
    "a program that is not there": (
        lambda at: Patient(at, "[functions.f]\ncommand = 'no-such-program'\n"),
        "settings",
        "ill",
    ),
    "a file for a directory": (a_file_for_a_directory, "state directory", "ill"),
    "a directory out of sight": (out_of_sight, "state directory", "ill"),
    "a directory of somebody else's": (somebody_elses, "state directory", "ill"),
    "a password that is not there": (
        lambda at: Patient(
            at,
            f"{listening(free_port())}basic_auth = true\nsecret_mount_path = '/nowhere'\n",
        ),
        "settings",
        "ill",
    ),
    "a directory that is open to all": (open_to_all, "state directory", "mind"),
    "a disk that forgets": (
        lambda at: Patient(at, listening(free_port()), ("--state-dir", f"/dev/shm/{os.getpid()}")),
        "file system",
        "mind",
    ),
    "a disk that is full": (
        lambda at: Patient(at, f"{listening(free_port())}[queue]\nmin_free = '4096TiB'\n"),
        "room",
        "ill",
    ),
    "a slow disk": (
        lambda at: Patient(at, listening(free_port()), ("--slow-flush", "0")),
        "flush",
        "mind",
    ),
    "a clock that was set back": (a_stamp_of_tomorrow, "clock", "ill"),
    "few open files": (
        lambda at: Patient(at, listening(free_port()), (), few_files),
        "open files",
        "mind",
    ),
    "a server that does not run": (no_server, "nats-server", "ill"),
    "a NATS server that is away": (
        lambda at: Patient(
            at,
            f"{listening(free_port())}[nats]\nembedded = false\n"
            f"urls = ['nats://127.0.0.1:{free_port()}']\n",
        ),
        "NATS",
        "ill",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault(fault: str, tmp_path: Path) -> None:
    """It is found, alone but for the daemon, which does not run; with what to do about it."""
    plant, subject, verdict = PLANTED[fault]
    status, found = findings(plant(tmp_path))
    # Where the tests themselves run may be on a disk that forgets.
    assert found.keys() - {"file system"} == {"daemon", subject} - {"file system"}
    assert found[subject]["verdict"] == verdict
    assert found[subject]["remedy"]
    assert status == (1 if verdict == "ill" else 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.unmount()


def test_a_disk_that_is_full(small_disk: SmallDisk, tmp_path: Path) -> None:
    """To its last byte: that is found like anything else."""
    small_disk.fill()
    arguments = ("--state-dir", str(small_disk.path / "state"))
    status, found = findings(Patient(tmp_path, listening(free_port()), arguments))
    assert found.keys() - {"file system"} == {"daemon", "room", "flush"}
    assert (found["room"]["verdict"], found["flush"]["verdict"]) == ("ill", "ill")
    assert "make room" in found["flush"]["remedy"]
    assert status == 1


def test_a_disk_that_is_mounted_read_only(small_disk: SmallDisk, tmp_path: Path) -> None:
    """As the kernel does it when the disk has errors: that is no matter of whose it is."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk.path)], check=True)
    arguments = ("--state-dir", str(small_disk.path / "state"))
    status, found = findings(Patient(tmp_path, listening(free_port()), arguments))
    assert found.keys() == {"daemon", "file system"}
    assert "read-only" in found["file system"]["said"]
    assert status == 1


def test_a_port_that_somebody_has(tmp_path: Path) -> None:
    """Whoever it is, for no daemon answers."""
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        status, found = findings(Patient(tmp_path, listening(port)))
    assert found.keys() - {"file system"} == {"daemon", "port"}
    assert f"sport = :{port}" in found["port"]["remedy"]
    assert status == 1


@pytest_twisted.ensureDeferred
async def test_another_daemon_that_runs(
    reactor: Any, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """It is not taken for the one of these settings, whose port somebody has."""
    daemon = await start_daemon("")
    config = tmp_path / "mine.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config.write_text(listening(port))
        done = await command(
            *(reactor, daemon, "--json", "doctor", "--config", str(config)),
            FAASD_ASYNC_URL="",
        )
    found = json.loads(done.printed)
    assert found[0]["said"] == f"none answers at http://127.0.0.1:{port}"
    assert ("port", "ill") in [(each["subject"], each["verdict"]) for each in found]


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_runs(reactor: Any, start_daemon: StartDaemon, tmp_path: Path) -> None:
    """One that is well has its ports; one that has lost its NATS server is not ready."""
    nats = RealNats(reactor, tmp_path)
    await nats.start()
    daemon: Daemon = await start_daemon(
        f"[nats]\nembedded = false\nurls = ['nats://127.0.0.1:{nats.port}']\n"
    )
    config = ("--config", str(tmp_path / "config.toml"), "--state-dir", str(daemon.state))
    look = partial(command, reactor, daemon, "--json", "doctor", *config)
    healthy = json.loads((await look()).printed)
    assert {each["subject"] for each in healthy if each["verdict"] != "well"} <= {"file system"}
    await nats.end()
    await daemon.says("the connection to NATS ended")
    ill = await look()
    subjects = {each["subject"] for each in json.loads(ill.printed) if each["verdict"] == "ill"}
    assert (ill.status, subjects) == (1, {"daemon", "NATS"})


def test_check(tmp_path: Path) -> None:
    """Says whether the settings can be used, and where they cannot, to people and to programs."""
    config = tmp_path / "faas.toml"
    here = [sys.executable, "-m", "faasd_async.cli"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = [*here, *options, "check", "--config", str(config)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    config.write_text("[functions.f]\ncommand = 'cat'\n")
    good, good_json = run(), run("--json")
    config.write_text("[worker]\nmax_inflight = 0\n")
    bad, bad_json = run(), run("--json")
    assert (good.returncode, good.stdout) == (0, "the settings can be used\n")
    assert json.loads(good_json.stdout) == {"usable": True, "mistakes": []}
    assert (bad.returncode, "max_inflight" in bad.stderr) == (1, True)
    (mistake,) = json.loads(bad_json.stdout)["mistakes"]
    assert (bad_json.returncode, "max_inflight" in mistake) == (1, True)
