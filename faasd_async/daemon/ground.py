"""What the daemon stands on: is it there still?

A state directory can be deleted, moved or replaced under a running daemon, and neither it nor its
nats-server would notice: both hold their files open, and go on in files that have no name any more.
A 202 would be a promise in a store that is gone with the last process, and a second daemon could
take the directory. So of everything that matters it is remembered which file or directory it was,
held open lest its number be given to another, and compared with what the path names now.

Once lost is lost: whatever comes back to the path may have missed something.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: How often it is looked, at least.
LOOK_SECONDS = 1.0


class Ground:
    """Files and directories that must stay what they are.

    :param paths: the innermost last; of those that are not there yet, the next :meth:`take` sees.
    :ivar lost: what is gone, in words; ``None`` as long as nothing is known to be.
    :ivar when_lost: called once something is: nothing will be written down any more.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, paths: Sequence[Path]) -> None:
        self.lost: str | None = None
        self.when_lost: Callable[[], None] = lambda: None
        self._paths = paths
        self._held: dict[Path, int] = {}
        self._looking = LoopingCall(self._look_and_tell)
        self._looking.clock = clock
        self._told = False

    def take(self) -> None:
        """Hold what is there by now, and look after it from now on."""
        for path in self._paths:
            if path not in self._held:
                try:
                    self._held[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
                except OSError:
                    continue
        if not self._looking.running:
            self._looking.start(LOOK_SECONDS)

    def look(self) -> str | None:
        """Compare now; may be called in any thread.

        :return: :attr:`lost`.
        """
        for path in self._paths:
            self._compare(path)
        return self.lost

    def glance(self) -> str | None:
        """As :meth:`look`, at the innermost alone: whatever becomes of what is around it, its path
        names it no more."""
        innermost = next((path for path in reversed(self._paths) if path in self._held), None)
        if innermost is not None:
            self._compare(innermost)
        return self.lost

    def _compare(self, path: Path) -> None:
        descriptor = self._held.get(path)
        if self.lost is None and descriptor is not None:
            self.lost = _why_lost(path, descriptor)

    def release(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()
        held, self._held = self._held, {}
        for descriptor in held.values():
            os.close(descriptor)

    def _look_and_tell(self) -> None:
        if self.look() is not None and not self._told:
            self._told = True
            self._log.critical(
                "no call is accepted any more: {why}. What was accepted lay there, and a broker is"
                " not started on an empty store. Stop the daemon; put back what was moved, if you"
                " can; then start it again",
                why=self.lost,
            )
            self.when_lost()


def _why_lost(path: Path, descriptor: int) -> str | None:
    try:
        is_same = os.path.samestat(os.stat(path), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} was deleted or moved away under the running daemon"
    except OSError as reason:
        return f"{path} cannot be reached any more ({reason})"
    return None if is_same else f"{path} was replaced by another under the running daemon"
