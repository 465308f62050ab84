"""One daemon to a state directory."""

import os
from pathlib import Path

import pytest

from faasd_async.errors import StartError
from faasd_async.statelock import StateLock


def test_a_second_daemon_is_turned_away(tmp_path: Path) -> None:
    """The second is told which process is there already."""
    first = StateLock(tmp_path)
    first.acquire()
    with pytest.raises(StartError, match=rf"another faasd-async \(pid {os.getpid()}\) runs"):
        StateLock(tmp_path).acquire()
    first.release()


def test_released_it_can_be_taken_again(tmp_path: Path) -> None:
    """After a release another daemon may use the directory."""
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    first.release()
    second.acquire()
    second.release()


def test_an_old_pid_is_overwritten(tmp_path: Path) -> None:
    """What a dead daemon left in the file does not lengthen the pid."""
    (tmp_path / "daemon.lock").write_text("99999999999999\n")
    lock = StateLock(tmp_path)
    lock.acquire()
    assert (tmp_path / "daemon.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_missing_state_directory_is_made(tmp_path: Path) -> None:
    """The directory is made, with its parents."""
    lock = StateLock(tmp_path / "var" / "state")
    lock.acquire()
    assert (tmp_path / "var" / "state" / "daemon.lock").exists()
    lock.release()


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    """A lock that is not acquired leaves no trace."""
    StateLock(tmp_path / "state").release()
    assert not (tmp_path / "state").exists()


def test_a_file_in_its_place_is_explained(tmp_path: Path) -> None:
    """A state directory that is a file stops the start with what to do."""
    (tmp_path / "state").touch()
    with pytest.raises(StartError, match="a directory is needed"):
        StateLock(tmp_path / "state").acquire()


def test_what_a_daemon_left_behind_is_noticed(tmp_path: Path) -> None:
    """One that stopped leaves an empty file; one that went away without a word leaves its pid."""
    stopped = StateLock(tmp_path)
    stopped.acquire()
    stopped.release()
    following = StateLock(tmp_path)
    following.acquire()
    assert not following.left_behind
    following.release()
    (tmp_path / "daemon.lock").write_text("4711\n")
    after_a_crash = StateLock(tmp_path)
    after_a_crash.acquire()
    assert after_a_crash.left_behind
    after_a_crash.release()


@pytest.mark.parametrize("left_behind", [True, False])
def test_what_was_left_behind_stays_until_somebody_took_it_up(
    tmp_path: Path, left_behind: bool
) -> None:
    """A start that comes to nothing in between forgets no crash, and makes none up."""
    if left_behind:
        (tmp_path / "daemon.lock").write_text("1\n")
    failing, next_one = StateLock(tmp_path), StateLock(tmp_path)
    failing.acquire()
    failing.release(in_order=False)
    next_one.acquire()
    assert next_one.left_behind == left_behind
    next_one.release()
