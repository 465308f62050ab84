"""A disk whose power can be cut: ext4 on a loop device."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

#: ``_IOR('X', 125, __u32)``: ext4 stops at once.
_EXT4_IOC_SHUTDOWN = 0x8004587D

#: Nothing more reaches the device, the journal neither.
_NOLOGFLUSH = 2

_MIB = 2**20


class NoDisk(Exception):
    """There can be no such disk here."""


class LoopDisk:
    """ext4 in a file below *directory*, mounted while this is open.

    :ivar mount_point: where.
    """

    def __init__(self, directory: Path, size_mib: int = 512) -> None:
        self.mount_point = directory / "disk"
        self._image = directory / "disk.img"
        self._ballast = self.mount_point / "ballast"
        self._size_bytes = size_mib * _MIB
        self._device = ""

    def open(self) -> None:
        """
        :raises NoDisk: it takes root, loop devices and mkfs.ext4, one of which is missing.
        """
        self.mount_point.mkdir()
        with self._image.open("xb") as image:
            image.truncate(self._size_bytes)
        try:
            _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
            self._device = _run("losetup", "--find", "--show", str(self._image)).strip()
            self._mount()
        except (FileNotFoundError, subprocess.CalledProcessError) as reason:
            raise NoDisk(f"{reason}: {getattr(reason, 'stderr', '')}") from None

    def cut_power(self) -> None:
        """From this moment on nothing reaches the device."""
        descriptor = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def start_again(self) -> None:
        """Mount it as a machine does that is switched on: what is in the journal is replayed.

        Nobody may have a file of it open.
        """
        _run("umount", str(self.mount_point))
        self._mount()

    def fill(self) -> None:
        """Have something else take all the room there is."""
        state = os.statvfs(self.mount_point)
        with self._ballast.open("wb") as ballast, suppress(OSError):
            os.posix_fallocate(ballast.fileno(), 0, state.f_bavail * state.f_frsize)
        # Its own bookkeeping took some: the rest goes bit by bit.
        with self._ballast.open("ab") as ballast, suppress(OSError):
            while True:
                os.write(ballast.fileno(), bytes(4096))

    def clear(self) -> None:
        """That something is gone."""
        self._ballast.unlink()

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _run("umount", "--lazy", str(self.mount_point))
        if self._device:
            _run("losetup", "--detach", self._device)
        self._image.unlink(missing_ok=True)

    def _mount(self) -> None:
        _run("mount", "-t", "ext4", self._device, str(self.mount_point))


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
