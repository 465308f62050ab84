"""Files that only their owner may open."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from faasd_async.errors import StartError
from faasd_async.private_files import (
    explaining_start_errors,
    make_private_directory,
    write_private,
)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that forbids nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_file_is_private(tmp_path: Path) -> None:
    """A file written anew has mode 0600 and the content given."""
    write_private(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_an_open_file_becomes_private(tmp_path: Path) -> None:
    """A file that was readable for all is not, once it was written again."""
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o644)
    write_private(tmp_path / "file", b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up while writing, the old content stays."""
    write_private(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_a_crash_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    """A half-written file of an earlier process is overwritten, made private, and renamed."""
    (tmp_path / ".file.new").write_bytes(b"half of a much longer thing")
    (tmp_path / ".file.new").chmod(0o644)
    write_private(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.usefixtures("open_umask")
def test_a_new_directory_is_private(tmp_path: Path) -> None:
    """A directory is made with mode 0700, below parents that did not exist."""
    make_private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_an_open_directory_becomes_private(tmp_path: Path) -> None:
    """A directory that was open to others is closed to them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    make_private_directory(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EACCES, f"make it writable for uid {os.geteuid()}"),
        (errno.EROFS, "make it writable"),
        (errno.ENOTDIR, "move that file away"),
        (errno.EIO, "choose another state directory"),
    ],
)
def test_the_error_says_what_to_do(number: int, remedy: str) -> None:
    """Each cause is named with the path and with what the operator can do."""
    with (
        pytest.raises(StartError, match=f"cannot write /state: .*{remedy}"),
        explaining_start_errors(Path("/state")),
    ):
        raise OSError(number, os.strerror(number))


def test_the_path_in_the_error_comes_first() -> None:
    """An error that names its path itself is told with that path."""
    with (
        pytest.raises(StartError, match="cannot write /state/deep/file: "),
        explaining_start_errors(Path("/state")),
    ):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "/state/deep/file")
