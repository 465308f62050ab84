"""The programs of functions: whether they are there, and may be run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from faasd_async.settings.mistakes import Refusal, quoted
from faasd_async.settings.model import CommandSettings

#: For an environment that has no ``PATH``.
FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"

#: What our unit hides, and by what.
_HIDDEN = (
    ("/home", "ProtectHome="),
    ("/root", "ProtectHome="),
    ("/run/user", "ProtectHome="),
    ("/tmp", "PrivateTmp="),  # noqa: S108 - nothing is put there
    ("/var/tmp", "PrivateTmp="),  # noqa: S108
)


class NotThere(Refusal):
    """A command that cannot be run.

    :ivar key: the setting that names what is missing.
    """

    def __init__(self, key: str, found: str, allowed: str) -> None:
        super().__init__(found, allowed)
        self.key = key


def search_path(daemon: Mapping[str, str], configured: Mapping[str, str]) -> str:
    """The ``PATH`` of a function.

    :param daemon: the daemon's own environment.
    :param configured: the function's.
    """
    return configured.get("PATH", daemon.get("PATH", FALLBACK_PATH))


def find(command: CommandSettings, path: str, here: str) -> str:
    """Look for a command's file as the system would when it is run.

    :param path: the function's ``PATH``.
    :param here: where the daemon runs.
    :return: the file, absolute.
    :raises NotThere: it is not there or may not be run.
    """
    directory, word = command.directory, command.words[0]
    if directory is not None and not os.path.isdir(directory):
        which = "is no directory" if os.path.exists(directory) else "does not exist"
        raise NotThere(
            "directory", f"{quoted(directory)}, which {which}", "a directory that is there"
        )
    if "/" not in word:
        found = shutil.which(word, path=path)
        if found is None:
            where = f"which is not on PATH ({path})"
            raise NotThere("command", f"{quoted(word)}, {where}", "a program that is installed")
        return os.path.abspath(os.path.join(here, found))
    candidate = os.path.abspath(os.path.join(here, directory or "", word))
    if not os.path.isfile(candidate):
        which = "is a directory" if os.path.isdir(candidate) else "does not exist"
        raise NotThere(
            "command", f"{quoted(word)}, but {candidate} {which}", "a program that is installed"
        )
    if not os.access(candidate, os.X_OK):
        raise NotThere(
            "command",
            f"{quoted(word)}, which is not executable",
            f"a program that is (chmod +x {candidate})",
        )
    return candidate


def hidden_by(command: CommandSettings, environment: Mapping[str, str], here: str) -> str | None:
    """The directive of our unit that keeps a command from a service of systemd, or ``None``.

    :param environment: the daemon's own; systemd has left its mark there.
    """
    if "INVOCATION_ID" not in environment:
        return None
    return hidden_at(os.path.join(here, command.directory or "", command.words[0]))


def hint_at_unit(command: CommandSettings, environment: Mapping[str, str], here: str) -> str:
    """What is said besides of a command that is not there; empty if the unit is not to blame."""
    directive = hidden_by(command, environment, here)
    return f"; {directive} of the unit hides it, see docs/install.rst" if directive else ""


def hidden_at(path: str) -> str | None:
    """The directive of our unit that hides a place, or ``None``."""
    path = os.path.abspath(path)
    for directory, directive in _HIDDEN:
        if path == directory or path.startswith(directory + "/"):
            return directive
    return None
