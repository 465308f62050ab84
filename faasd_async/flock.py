"""A lock that lasts as long as somebody holds its file open.

flock(2) belongs to the open file description, not to the process: a child that inherits the
descriptor holds the lock as much as its parent does, and the kernel lets go of it when the last
copy is closed, however its holders died. A lock file may therefore lie around for ever, and is
never removed: removing it would let two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Flock:
    """An exclusive lock on a file; nothing is opened before :meth:`acquire`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock without waiting; the file is created, mode 0600, if need be.

        :return: whether it is ours now; ``False`` if somebody else holds it.
        :raises OSError: if the file cannot be opened or locked at all.
        """
        if self._descriptor is not None:
            return True
        while True:
            descriptor = self._lock()
            if descriptor is None:
                return False
            if _is_named(descriptor, self.path):
                self._descriptor = descriptor
                return True
            # It was removed between the two steps: whoever comes next would lock another.
            os.close(descriptor)

    def _lock(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    @property
    def held(self) -> bool:
        """Whether it is ours."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The locked file, for a child to inherit or to write in."""
        if self._descriptor is None:
            raise ValueError(f"{self.path} is not locked by this process")
        return self._descriptor

    def release(self) -> None:
        """Close our copy; a child that inherited one goes on holding the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether the path names the open file still."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
