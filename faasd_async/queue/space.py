"""Whether the disk has room for another call.

The last part of the disk is not for new calls: the ends of those that were accepted already have
to be written there. And a broker that has failed to write takes nothing more until it is started
anew; so long every new call is refused too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

#: A measurement is good for so long; meanwhile what is taken is subtracted from it.
_GOOD_FOR_SECONDS = 0.25

_MIB = 2**20


class _Room(Protocol):
    """What is read of :class:`os.statvfs_result`."""

    @property
    def f_bavail(self) -> int: ...

    @property
    def f_frsize(self) -> int: ...


class Disk:
    """How much room a file system has left.

    :param path: anything on it; it need not be there yet.
    """

    def __init__(
        self,
        clock: IReactorTime,
        path: str,
        statvfs: Callable[[str], _Room] = os.statvfs,
    ) -> None:
        self._clock = clock
        self._path = path
        self._statvfs = statvfs
        self._free_bytes: int | None = None
        self._measured_seconds = float("-inf")

    def free_bytes(self) -> int | None:
        """What can be written, as good as it is known; ``None`` if it cannot be found out."""
        now = self._clock.seconds()
        if now - self._measured_seconds >= _GOOD_FOR_SECONDS:
            self._measured_seconds = now
            try:
                room = self._statvfs(self._path)
            except OSError:
                self._free_bytes = None
            else:
                self._free_bytes = room.f_bavail * room.f_frsize
        return self._free_bytes

    def take(self, size_bytes: int) -> None:
        """So much is about to be written."""
        free = self._free_bytes
        if free is not None:
            self._free_bytes = free - size_bytes if free > size_bytes else 0


class Space:
    """Decides whether a new call may be written.

    :param min_free_bytes: what is to stay free.
    :param write_error: what the broker failed to write, since it was started, if anything.
    """

    def __init__(
        self, disk: Disk, min_free_bytes: int, write_error: Callable[[], str | None]
    ) -> None:
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self._write_error = write_error

    def why_refused(self) -> str | None:
        """What is in the way of any new call, or ``None``; in words for a caller."""
        error = self._write_error()
        free = self._disk.free_bytes()
        if error is not None:
            left = "" if free is None else f"; {_mib(free)} are free"
            return f"the broker cannot write ({error}){left}: service goes on when there is room"
        if free is None or free >= self._min_free_bytes:
            return None
        return f"{_mib(free)} of disk are free, and {_mib(self._min_free_bytes)} have to stay free"

    def why_no_room(self, size_bytes: int) -> str | None:
        """What is in the way of a new call, or ``None``: then its size counts as taken."""
        why = self.why_refused()
        if why is None:
            self._disk.take(size_bytes)
        return why


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"
