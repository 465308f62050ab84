"""A function's program: what it is, and whether it can be run at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from faasd_async.errors import StartError
from faasd_async.runtime.process.environment import Environment, lasting
from faasd_async.settings import CommandSettings
from faasd_async.settings.programs import NotThere, find


@dataclass(frozen=True, slots=True)
class Program:
    """A command with what it always runs with.

    :ivar words: the program as it was configured, and its arguments.
    :ivar executable: the file that is run.
    :ivar directory: where it runs; ``None``: where the daemon does.
    """

    words: tuple[str, ...]
    executable: str
    environment: Environment
    directory: str | None

    def with_variables(self, variables: Environment) -> Program:
        """The same program with *variables* in its environment."""
        return replace(self, environment={**self.environment, **variables})


def find_program(function: str, command: CommandSettings, daemon: Mapping[str, str]) -> Program:
    """Look for a command's file as the system would when it is run.

    :param daemon: the daemon's own environment.
    :raises StartError: it is not there or may not be run.
    """
    environment = lasting(daemon, command.environment)
    try:
        executable = find(command, os.fsdecode(environment[b"PATH"]), os.getcwd())
    except NotThere as reason:
        raise StartError(f"[functions.{function}] {reason.key}: {reason}") from None
    return Program(command.words, executable, environment, command.directory)
