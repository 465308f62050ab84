"""The deployments on disk: a file for each, of mode 0600, under the state directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred

from faasd_async.errors import StartError
from faasd_async.functions.deployment import FORMAT, Record
from faasd_async.functions.errors import NotStored
from faasd_async.private_files import (
    explaining_start_errors,
    make_private_directory,
    remove_durably,
    write_durably,
)

T = TypeVar("T")

#: Does something that waits for the disk, where nobody else has to wait.
Elsewhere = Callable[[Callable[[], None]], Deferred[None]]


class _Format(msgspec.Struct):
    format: int


class DeploymentStore:
    """Keeps them. One order at a time.

    :param directory: made if it is missing.
    """

    def __init__(self, directory: Path, elsewhere: Elsewhere) -> None:
        self._directory = directory
        self._elsewhere = elsewhere

    def load(self) -> dict[str, Record]:
        """All there are, by name.

        :raises StartError: one cannot be read.
        """
        with explaining_start_errors(self._directory):
            make_private_directory(self._directory)
            paths = sorted(self._directory.glob("*.json"))
            records = [_decode(path, path.read_bytes()) for path in paths]
        return {record.deployment.service: record for record in records}

    async def write(self, record: Record) -> None:
        """
        :raises NotStored: it is not there now.
        """
        path, content = self._path(record.deployment.service), msgspec.json.encode(record)
        await on_disk(self._elsewhere, lambda: write_durably(path, content))

    async def remove(self, name: str) -> None:
        """
        :raises NotStored: it may still be there.
        """
        path = self._path(name)
        await on_disk(self._elsewhere, lambda: remove_durably(path))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


async def on_disk(elsewhere: Elsewhere, change: Callable[[], None]) -> None:
    """
    :raises NotStored: the disk did not take the change.
    """
    try:
        await elsewhere(change)
    except OSError as error:
        raise NotStored(f"it cannot be written down: {error.strerror}") from error


def _decode(path: Path, content: bytes) -> Record:
    try:
        if msgspec.json.decode(content, type=_Format).format > FORMAT:
            raise StartError(
                f"{path} was written by a newer faasd-async: use that one, or move the file away"
            )
        return msgspec.json.decode(content, type=Record)
    except msgspec.MsgspecError as error:
        raise StartError(f"{path} cannot be read: {error}; mend it or move it away") from None
