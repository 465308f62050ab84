"""On what it was measured: the machine and the versions, in a sentence."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.daemon import ON_DISK
from faasd_async import __version__
from faasd_async.nats.server.binary import find_binary


def describe() -> str:
    version = sys.version_info
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("Twisted", "httptools"))
    return (
        f"faasd-async {__version__} on {os.cpu_count()} cores ({_processor()}), {_memory_gib():.0f}"
        f" GiB, Linux {_kernel()}, {_file_system(ON_DISK)} at ``{ON_DISK}``; Python"
        f" {version.major}.{version.minor}.{version.micro}, {packages}, {_broker()}, {_wrk()}"
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _kernel() -> str:
    return ".".join(platform.release().split(".")[:2])


def _file_system(directory: str) -> str:
    """The kind of the file system that a directory is on."""
    mounts = (line.split() for line in _read("/proc/self/mounts").splitlines())
    above = [mount for mount in mounts if Path(directory).is_relative_to(mount[1])]
    return max(above, key=lambda mount: len(mount[1]))[2]


def _broker() -> str:
    return _said([str(find_binary(None)), "--version"]).replace(": v", " ")


def _wrk() -> str:
    return " ".join(_said(["wrk", "--version"]).split()[:2])


def _said(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()[0]


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
