"""Secrets on their way into containers.

In the state directory a secret is a file of mode 0600. The user that a container's process runs as
is seldom the daemon's, and could not read it. So each container gets copies that everybody may
read, in a directory that nobody but the daemon, and the engine, can enter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from faasd_async.private_files import make_private_directory
from faasd_async.runtime.container.errors import SecretMissing

#: Where OpenFaaS' functions look for theirs.
IN_THE_CONTAINER = "/var/openfaas/secrets"

_LARGEST_BYTES = 2**20


class Secrets:
    """The secrets of an installation.

    :param state_dir: they are in ``secrets/`` there, the copies in ``containers/``.
    """

    def __init__(self, state_dir: Path) -> None:
        self._kept = state_dir / "secrets"
        self._copies = state_dir / "containers"

    def read(self, names: Iterable[str]) -> Mapping[str, bytes]:
        """:raises SecretMissing: one of them cannot be read."""
        return {name: self._read(name) for name in names}

    def _read(self, name: str) -> bytes:
        path = self._kept / name
        try:
            with open(path, "rb") as file:
                content = file.read(_LARGEST_BYTES + 1)
        except OSError as reason:
            raise SecretMissing(
                f"the secret {name} cannot be read: {path}: {reason.strerror}"
            ) from None
        if len(content) > _LARGEST_BYTES:
            raise SecretMissing(f"the secret {name} is over {_LARGEST_BYTES} bytes: {path}")
        return content

    def give(self, container: str, secrets: Mapping[str, bytes]) -> str:
        """Write the copies for a container.

        :return: the directory they are in.
        """
        directory = self._copies / container
        try:
            make_private_directory(self._copies)
            directory.mkdir()
            for name, content in secrets.items():
                (directory / name).write_bytes(content)
                (directory / name).chmod(0o444)
            # Whatever the umask says.
            directory.chmod(0o555)
        except OSError as reason:
            raise SecretMissing(f"cannot write {directory}: {reason.strerror}") from None
        return str(directory)

    def take_back(self, container: str) -> None:
        """Remove a container's copies, if it had any."""
        directory = self._copies / container
        if directory.is_dir():
            directory.chmod(0o755)
            shutil.rmtree(directory, ignore_errors=True)

    def given(self) -> list[str]:
        """The containers for which there are copies."""
        try:
            return os.listdir(self._copies)
        except OSError:
            return []
