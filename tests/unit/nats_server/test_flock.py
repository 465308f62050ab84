"""The lock file: exclusive, private, and as long-lived as its last open copy."""

import os
import stat
from pathlib import Path

import pytest

from faasd_async.flock import Flock


def test_a_second_holder_is_turned_away(tmp_path: Path) -> None:
    """While one holds the lock, another does not get it."""
    first, second = Flock(tmp_path / "lock"), Flock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()


def test_released_it_is_free(tmp_path: Path) -> None:
    """After a release somebody else gets the lock."""
    first, second = Flock(tmp_path / "lock"), Flock(tmp_path / "lock")
    first.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_an_inherited_copy_holds_it(tmp_path: Path) -> None:
    """A duplicate of the descriptor, as a child has it, holds the lock after our release."""
    first, second = Flock(tmp_path / "lock"), Flock(tmp_path / "lock")
    first.acquire()
    copy = os.dup(first.descriptor)
    first.release()
    assert not second.acquire()
    os.close(copy)
    assert second.acquire()
    second.release()


def test_acquiring_twice_is_acquiring_once(tmp_path: Path) -> None:
    """Who holds the lock already is told so, and one release is enough."""
    lock, other = Flock(tmp_path / "lock"), Flock(tmp_path / "lock")
    assert lock.acquire()
    assert lock.acquire()
    lock.release()
    assert other.acquire()
    other.release()


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """The lock file has mode 0600 even with a umask of 0."""
    lock = Flock(tmp_path / "lock")
    before = os.umask(0)
    try:
        lock.acquire()
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
    lock.release()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """A link in the lock file's place is refused, so that nobody chooses the file we lock."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Flock(tmp_path / "lock").acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_no_descriptor_without_the_lock(tmp_path: Path) -> None:
    """Asking for the descriptor of a lock that is not held is an error."""
    with pytest.raises(ValueError, match="not locked"):
        _ = Flock(tmp_path / "lock").descriptor
