"""A function's program: what it is, and whether it can be run at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from faasd_async.errors import StartError
from faasd_async.runtime.process.environment import Environment, lasting
from faasd_async.settings import CommandSettings


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
    directory = command.directory
    if directory is not None and not os.path.isdir(directory):
        raise StartError(
            f"function {function}: the directory {directory} does not exist; create it, or change"
            f" directory in [functions.{function}]"
        )
    word = command.words[0]
    path = os.fsdecode(environment[b"PATH"])
    if "/" in word:
        candidate = os.path.join(directory or os.getcwd(), word)
        found = shutil.which(candidate)
    else:
        candidate = word
        found = shutil.which(word, path=path)
    if found is None:
        raise StartError(f"function {function}: {_why_not(candidate, path, function)}")
    return Program(command.words, os.path.abspath(found), environment, directory)


def _why_not(candidate: str, path: str, function: str) -> str:
    if os.path.isfile(candidate) and "/" in candidate:
        return f"the command {candidate} is not executable; run chmod +x {candidate}"
    where = "" if "/" in candidate else f" on PATH ({path})"
    return (
        f"the command {candidate} was not found{where}; install it, or change command in"
        f" [functions.{function}]"
    )
