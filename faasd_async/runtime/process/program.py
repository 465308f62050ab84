"""A function's program: what it is, and whether it can be run at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from faasd_async.errors import StartError
from faasd_async.runtime.process.environment import Environment, lasting
from faasd_async.settings import CommandSettings
from faasd_async.settings.confinement import account_of, confining, find_tools
from faasd_async.settings.programs import NotThere, find, hint_at_unit


@dataclass(frozen=True, slots=True)
class Program:
    """A command with what it always runs with.

    :ivar words: the program as it was configured, and its arguments.
    :ivar executable: the file that is run.
    :ivar directory: where it runs; ``None``: where the daemon does.
    :ivar confining: what stands before it and keeps it in, with arguments.
    """

    words: tuple[str, ...]
    executable: str
    environment: Environment
    directory: str | None
    confining: tuple[str, ...] = ()

    def to_run(self) -> tuple[str, Sequence[str]]:
        """The file that is run, and its arguments.

        :raises OSError: the program is not there any more, which whatever stands before it would
            find out too late.
        """
        if not self.confining:
            return self.executable, self.words
        os.stat(self.executable)
        return self.confining[0], (*self.confining, self.executable, *self.words[1:])

    def with_variables(self, variables: Environment) -> Program:
        """The same program with *variables* in its environment."""
        return replace(self, environment={**self.environment, **variables})


def find_program(function: str, command: CommandSettings, daemon: Mapping[str, str]) -> Program:
    """Look for a command's file as the system would when it is run.

    :param daemon: the daemon's own environment.
    :raises StartError: it is not there, may not be run, or cannot be kept in as it should be.
    """
    try:
        environment = lasting(daemon, command.environment, account_of(command))
        executable = find(command, os.fsdecode(environment[b"PATH"]), os.getcwd())
        before = confining(command, find_tools(daemon))
    except NotThere as reason:
        hint = hint_at_unit(command, daemon, os.getcwd())
        raise StartError(f"[functions.{function}] {reason.key}: {reason}{hint}") from None
    return Program(command.words, executable, environment, command.directory, before)
