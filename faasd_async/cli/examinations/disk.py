"""The state directory and the disk below it: whose it is, what room it has, what a flush costs."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from faasd_async.cli.examinations.findings import Finding, well
from faasd_async.settings import Settings
from faasd_async.settings.quantities import format_size

#: So many flushes are timed; the slowest but one counts.
_FLUSHES = 20

#: What forgets everything when the power goes, and what is another machine's business.
_FORGETFUL = frozenset(("tmpfs", "ramfs", "overlay"))
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))
_FAR_AWAY = frozenset(("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"))


def examine_disk(settings: Settings, slow_milliseconds: float) -> Iterator[Finding]:
    """:param slow_milliseconds: a flush that takes longer is a slow one."""
    state_dir = Path(settings.state_dir)
    ground = _nearest(state_dir)
    if not ground.is_dir():
        yield Finding(
            "state directory",
            "ill",
            f"{ground} is no directory",
            "name another with state_dir, or move the file away",
        )
        return
    if os.statvfs(ground).f_flag & os.ST_RDONLY:
        yield Finding(
            "file system",
            "ill",
            f"{ground} is on a file system that is mounted read-only",
            "see why (dmesg): a disk with errors is mounted so; then mount -o remount,rw",
        )
        return
    closed = next((each for each in _parts(ground, state_dir) if not _is_open(each)), None)
    if closed is not None:
        yield Finding(
            "state directory",
            "ill",
            f"{closed} is closed to this user (you are {os.getuid()})",
            f"chown -R {ground} to the user that the daemon runs as, or ask as that user",
        )
        return
    yield _permissions(state_dir)
    yield _kind(ground)
    yield _room(ground, settings.queue.min_free_bytes)
    yield _flush(ground, slow_milliseconds)


def _nearest(path: Path) -> Path:
    """The path, or what is there of it, as far as this user can see."""
    return next(each for each in (path, *path.parents) if os.path.exists(each))


def _parts(ground: Path, state_dir: Path) -> Iterator[Path]:
    """Where the daemon writes first, and whatever it has there itself."""
    yield ground
    if ground == state_dir:
        for directory, below, files in os.walk(state_dir):
            yield from (Path(directory, name) for name in (*below, *files))


def _is_open(path: Path) -> bool:
    """Whether this user may use it; what has gone meanwhile is nobody's."""
    rights = os.R_OK | os.W_OK | os.X_OK if path.is_dir() else os.R_OK
    return os.access(path, rights) or not os.path.lexists(path)


def _permissions(state_dir: Path) -> Finding:
    if not state_dir.exists():
        return well("state directory", f"{state_dir} is made at the first start")
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    if mode & 0o077:
        return Finding(
            "state directory",
            "mind",
            f"{state_dir} is open to other users ({mode:o}), and holds what callers sent",
            f"chmod 700 {state_dir}",
        )
    return well("state directory", f"{state_dir}, for its owner alone")


def _kind(ground: Path) -> Finding:
    kind = _file_system(ground)
    if kind in _FORGETFUL:
        return Finding(
            "file system",
            "mind",
            f"{ground} is on {kind}, which forgets everything when the machine goes down",
            "put state_dir on a disk",
        )
    if kind in _FAR_AWAY:
        return Finding(
            "file system",
            "mind",
            f"{ground} is on {kind}: what is flushed there may not be on a disk",
            "put state_dir on a disk of this machine",
        )
    return well("file system", kind)


def _file_system(path: Path) -> str:
    """The kind of the file system that a path is on, as the kernel calls it."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return "an unknown file system"


def _room(ground: Path, min_free_bytes: int) -> Finding:
    left = os.statvfs(ground)
    free_bytes, free_files = left.f_bavail * left.f_frsize, left.f_favail
    shown = f"{free_bytes / 2**30:.1f} GiB free"
    if free_bytes < min_free_bytes:
        return Finding(
            "room",
            "ill",
            f"{shown}, and below {format_size(min_free_bytes)} (min_free) calls are refused (507)",
            "make room, or lower [queue] min_free",
        )
    if left.f_files and free_files < 1000:
        return Finding("room", "ill", f"{free_files} files may be made yet", "remove small files")
    if free_bytes < 2 * min_free_bytes:
        return Finding("room", "mind", f"{shown}, which is little", "make room")
    return well("room", shown)


def _flush(ground: Path, slow_milliseconds: float) -> Finding:
    """Write a little and have it flushed, as each gathering of 202s does."""
    try:
        slowest = sorted(_flushes(ground))[-2]
    except OSError as reason:
        return Finding(
            "flush",
            "ill",
            f"nothing can be written below {ground}: {reason.strerror}",
            "make room" if reason.errno in _NO_ROOM else "see what ails the disk (dmesg)",
        )
    if slowest > slow_milliseconds:
        return Finding(
            "flush",
            "mind",
            f"{slowest:.0f} ms, and each 202 waits for one",
            'use a faster disk, or accept losses in a power cut with durability = "process"',
        )
    return well("flush", f"{slowest:.1f} ms")


def _flushes(ground: Path) -> Iterator[float]:
    """How many milliseconds each takes.

    :raises OSError: it cannot be done.
    """
    with tempfile.TemporaryFile(dir=ground) as file:
        for _ in range(_FLUSHES):
            file.write(b"x" * 4096)
            file.flush()
            began = time.monotonic()
            os.fdatasync(file.fileno())
            yield (time.monotonic() - began) * 1000
