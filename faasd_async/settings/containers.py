"""Images: what a function that is one may ask for, and the engine that runs them."""

from __future__ import annotations

import re
from typing import get_args

from msgspec.structs import replace

from faasd_async.settings.mistakes import Refusal, shown
from faasd_async.settings.model import (
    CommandSettings,
    ContainerSettings,
    ContainersSettings,
    FunctionSettings,
    Pull,
)
from faasd_async.settings.quantities import parse_duration, parse_duration_or_zero, parse_size
from faasd_async.settings.table import Table
from faasd_async.settings.values import Reader, boolean, choice, path_below, text

PULLS: tuple[Pull, ...] = get_args(Pull)

#: The keys of a function that only an image can have.
IMAGE_ONLY = (
    "fprocess", "cpus", "read_only", "pull", "start_timeout", "zero_after",
)  # fmt: skip

_IMAGE = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9._:/@]{0,511}")
_MOST_CPUS = 4096


def read_containers(table: Table, base: str) -> ContainersSettings:
    """``[containers]``."""
    settings = ContainersSettings(
        socket=table.take("socket", _socket(base), None),
        logins_file=table.take("logins_file", path_below(base), None),
    )
    table.finish()
    return settings


def read_image(table: Table, below: FunctionSettings) -> FunctionSettings:
    """The keys of an image, its name and those that it shares with commands excepted."""
    container = below.container
    return replace(
        below,
        container=replace(
            container,
            fprocess=table.take("fprocess", text, container.fprocess),
            memory_bytes=table.take("memory", parse_size, container.memory_bytes),
            cpus=table.take("cpus", _cpus, container.cpus),
            read_only=table.take("read_only", boolean, container.read_only),
            pull=table.take("pull", choice(PULLS), container.pull),
            start_timeout_seconds=table.take(
                "start_timeout", parse_duration, container.start_timeout_seconds
            ),
            zero_after_seconds=table.take(
                "zero_after", parse_duration_or_zero, container.zero_after_seconds
            ),
        ),
    )


def shared_with_commands(
    table: Table, below: ContainerSettings, process: CommandSettings
) -> ContainerSettings:
    """The keys of an image that have been read as a command's.

    :param below: its ready_path may be an annotation's.
    """
    own = "ready_path" in table and process.ready_path
    return replace(
        below,
        environment=process.environment,
        port=process.port or below.port,
        ready_path=own or below.ready_path,
        healthcheck_interval_seconds=process.healthcheck_interval_seconds,
        prefix_logs=process.prefix_logs,
    )


def image_name(value: object) -> str:
    """Read the name of an image, with its registry, tag or digest, if it has one."""
    if isinstance(value, str) and _IMAGE.fullmatch(value) and "//" not in value:
        return value
    raise Refusal(
        shown(value), 'the name of an image, such as "registry.example.com/figlet:latest"'
    )


def _cpus(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0.01 <= value <= _MOST_CPUS:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise Refusal(shown(value), "a number of processors of at least 0.01, such as 0.5 or 2")


def _socket(base: str) -> Reader[str]:
    read_path = path_below(base)

    def read(value: object) -> str:
        scheme, colon, path = str(value).partition("://")
        if not colon:
            return read_path(value)
        if scheme == "unix" and path.startswith("/"):
            return read_path(path)
        raise Refusal(shown(value), 'a Unix socket, such as "unix:///run/docker.sock" or its path')

    return read
