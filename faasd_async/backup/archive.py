"""The file: a tar, with a sum of each of its members at its end.

::

    backup.json             format, version, when it was begun
    state/functions/…       a deployment each
    state/secrets/…         a secret each
    streams/<name>/head     configuration and state of a stream, JSON
    streams/<name>/<n>      the pieces of its snapshot, in their order
    moved/<n>               a message that was put meanwhile
    SHA256SUMS              as sha256sum(1) has it; without it the file is not whole

Only its owner may read it. It has its name only when it is whole and on disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from faasd_async.backup.errors import BackupError

FORMAT = 1

BEGIN, SUMS = "backup.json", "SHA256SUMS"

#: No member is larger: neither a piece of a snapshot nor a message.
_LARGEST_BYTES = 64 * 2**20

_NAMES = re.compile(
    r"backup\.json|SHA256SUMS|state/(functions|secrets)/(?!\.+$)[-A-Za-z0-9_.]+"
    r"|streams/[A-Z_]+/(head|[0-9]{8})|moved/[0-9]{8}"
)


class Member(NamedTuple):
    """A file in it."""

    name: str
    content: bytes


class ArchiveWriter:
    """Writes one; as a context, which leaves nothing behind unless :meth:`finish` was called.

    :param path: what it is to be called.
    :raises OSError: it cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._part.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = open(os.open(self._part, flags, 0o600), "w+b")  # noqa: SIM115
        self._tar = tarfile.open(fileobj=self._file, mode="w")  # noqa: SIM115
        self._sums: list[str] = []
        self.size_bytes = 0

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, name: str, content: bytes) -> None:
        """
        :raises OSError: there is no room.
        """
        self._sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        self._tar.addfile(member, io.BytesIO(content))
        # It keeps what it knows of each, which nobody asks for.
        self._tar.members.clear()  # type: ignore[attr-defined]
        self.size_bytes += len(content)

    def finish(self) -> None:
        """Have it whole, on disk, and under its name."""
        self._write(SUMS, "".join(self._sums).encode())
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._path)


def verify(path: Path) -> int:
    """Read all of it.

    :return: the size of what is in it, in bytes.
    :raises BackupError: it is no backup, not whole, or not what was written.
    """
    found, told, size_bytes = list[str](), None, 0
    for member in members(path):
        if told is not None:
            raise BackupError(f"{path}: something follows its sums")
        if member.name == SUMS:
            told = member.content.decode("ascii", "replace").splitlines()
        else:
            found.append(f"{hashlib.sha256(member.content).hexdigest()}  {member.name}")
            size_bytes += len(member.content)
    if told is None:
        raise BackupError(f"{path} is not whole: its end is missing")
    if not found or found[0].rpartition(" ")[2] != BEGIN:
        raise BackupError(f"{path} is no backup: it does not begin with {BEGIN}")
    if found != told:
        name = next((a.split()[-1] for a, b in zip(found, told, strict=False) if a != b), "its end")
        raise BackupError(f"{path} is damaged: {name} is not what was written")
    return size_bytes


def members(path: Path) -> Iterator[Member]:
    """What is in it, in its order; one at a time is held.

    :raises BackupError: it is no backup.
    """
    try:
        with tarfile.open(path, "r|") as tar:
            while (info := tar.next()) is not None:
                if not (info.isreg() and _NAMES.fullmatch(info.name)):
                    raise BackupError(f"{path} is no backup: it holds {info.name!r}")
                if info.size > _LARGEST_BYTES:
                    raise BackupError(f"{path}: {info.name} is too large to be ours")
                file = tar.extractfile(info)
                assert file is not None, "it is a file"
                yield Member(info.name, file.read())
                tar.members.clear()  # type: ignore[attr-defined]
    except (tarfile.TarError, EOFError) as reason:
        raise BackupError(f"{path} is no backup, or not whole: {reason}") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror or error}") from None
