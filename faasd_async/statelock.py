"""One daemon to a state directory."""

from __future__ import annotations

import os
from pathlib import Path

from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.private_files import explaining_start_errors


class StateLock:
    """The lock ``<state>/daemon.lock``; it holds the daemon's pid, for people and messages.

    Acquire it after daemonizing: the pid written is that of the process that acquires.

    :ivar left_behind: a daemon had it before and went away without a word: it crashed, was killed,
        or lost its power.
    """

    def __init__(self, state_dir: Path) -> None:
        self.left_behind = False
        self._state_dir = state_dir
        self._lock = Flock(state_dir / "daemon.lock")

    @property
    def path(self) -> Path:
        """The lock file."""
        return self._lock.path

    def acquire(self) -> None:
        """Take the state directory, which is made if it is missing.

        :raises StartError: if another daemon has it, or if it cannot be written.
        """
        with explaining_start_errors(self._lock.path):
            if not self.try_to_acquire():
                pid = self._lock.path.read_text(encoding="ascii", errors="replace").strip()
                raise StartError(
                    f"another faasd-async (pid {pid or 'unknown'}) runs on this state directory,"
                    f" {self._state_dir}: stop it or choose another state directory"
                )

    def try_to_acquire(self) -> bool:
        """Take it, unless another daemon has it.

        :raises OSError: it cannot be written.
        """
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._lock.acquire():
            return False
        self.left_behind = self._lock.path.stat().st_size > 0
        self._write_pid()
        return True

    def _write_pid(self) -> None:
        try:
            os.ftruncate(self._lock.descriptor, 0)
            os.pwrite(self._lock.descriptor, b"%d\n" % os.getpid(), 0)
        except OSError:
            self._lock.release()
            raise

    def release(self, *, in_order: bool = True) -> None:
        """Give the state directory back; without effect if it is not ours.

        :param in_order: who has it next finds nothing left behind. Else they find it if we did.
        """
        if self._lock.held:
            if in_order or not self.left_behind:
                os.ftruncate(self._lock.descriptor, 0)
            self._lock.release()
