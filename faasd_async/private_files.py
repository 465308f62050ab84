"""Files and directories that only their owner may open, whatever the umask says."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faasd_async.errors import StartError


def make_private_directory(path: Path) -> None:
    """Have a directory of mode 0700 at *path*, and its parents, if missing, above it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """Put *content* into the file *path*, mode 0600: all of it, or the file stays as it was.

    The new file is on disk before it takes the old one's name, so that a power cut leaves one of
    the two. Only one process may write there at a time.
    """
    fresh = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(fresh, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def write_durably(path: Path, content: bytes) -> None:
    """As :func:`write_private`, and a power cut after it does not take it back."""
    write_private(path, content)
    sync_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there; a power cut does not bring it back."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Have what was made, renamed and removed in it be so after a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explaining_start_errors(path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` about the state directory into a :class:`StartError`.

    :param path: what was to be written, named where the error itself names nothing.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise StartError(f"cannot write {where}: {error.strerror}: {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "make room there or choose another state directory"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            user = os.geteuid()
            return f"make it writable for uid {user} or choose another state directory"
        case errno.EEXIST | errno.ENOTDIR:
            return "a directory is needed: move that file away or choose another state directory"
        case _:
            return "choose another state directory"
