"""What each process of a function may use: limits that the kernel keeps (``setrlimit(2)``)."""

from __future__ import annotations

from math import ceil

from faasd_async.settings.model import LimitSettings
from faasd_async.settings.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from faasd_async.settings.table import Table
from faasd_async.settings.values import integer

#: Fewer, and no program gets as far as its own first line.
_LEAST_OPEN_FILES = 8


def read_limits(table: Table, below: LimitSettings) -> LimitSettings:
    """The keys of a command's limits."""
    return LimitSettings(
        memory_bytes=table.take("memory", parse_size, below.memory_bytes),
        cpu_time_seconds=table.take("cpu_time", _whole_seconds, below.cpu_time_seconds),
        open_files=table.take("open_files", integer(_LEAST_OPEN_FILES), below.open_files),
        processes=table.take("processes", integer(1), below.processes),
    )


def in_words(limits: LimitSettings) -> str:
    """Those that there are: ``memory 64MiB, cpu_time 2s``."""
    shown = (
        ("memory", limits.memory_bytes and format_size(limits.memory_bytes)),
        ("cpu_time", limits.cpu_time_seconds and format_duration(limits.cpu_time_seconds)),
        ("open_files", limits.open_files),
        ("processes", limits.processes),
    )
    return ", ".join(f"{name} {value}" for name, value in shown if value)


def _whole_seconds(value: object) -> int:
    """The kernel counts whole seconds."""
    return ceil(parse_duration(value))
