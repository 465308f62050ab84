"""Files that are saved below a directory, told of as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import inotify
from twisted.internet.interfaces import IDelayedCall
from twisted.python.filepath import FilePath

#: An editor writes more than once, and more than one file: so it is waited until it is done.
_QUIET_SECONDS = 0.1

#: More are not watched; nor are those of packages, nor what is hidden.
MOST_DIRECTORIES = 1000
_NOT_OURS = frozenset(("node_modules", "__pycache__", "venv"))

_EVENTS = inotify.IN_CLOSE_WRITE | inotify.IN_MOVED_TO | inotify.IN_DELETE | inotify.IN_CREATE


class Saves:
    """Watches a directory and those below it.

    :param saved: is told of the files, when there was quiet after the last.
    :param apart: a directory that is not watched, wherever it is.
    """

    def __init__(
        self, reactor: Any, top: Path, saved: Callable[[set[Path]], object], *, apart: Path
    ) -> None:
        self._reactor = reactor
        self._saved = saved
        self._apart = apart
        self._found: set[Path] = set()
        self._quiet: IDelayedCall | None = None
        self._watched = 0
        self._notifier = inotify.INotify(reactor)
        self._notifier.startReading()
        self._watch(top)

    def stop(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        self._notifier.loseConnection()

    def _watch(self, top: Path) -> None:
        for directory, below, _ in os.walk(top):
            here = Path(directory)
            below[:] = [name for name in below if self._is_ours(here / name)]
            if self._watched < MOST_DIRECTORIES:
                self._watched += 1
                path = FilePath(os.fsencode(here))
                self._notifier.watch(path, _EVENTS, callbacks=[self._happened])

    def _is_ours(self, path: Path) -> bool:
        return path.name[0] != "." and path.name not in _NOT_OURS and path != self._apart

    def _happened(self, _: object, path: Any, mask: int) -> None:
        changed = Path(os.fsdecode(path.path))
        if not self._is_ours(changed):
            return
        if mask & inotify.IN_ISDIR:
            if mask & (inotify.IN_CREATE | inotify.IN_MOVED_TO):
                self._watch(changed)
            return
        if mask & inotify.IN_CREATE:
            # It is told of when it is written.
            return
        self._found.add(changed)
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self._reactor.callLater(_QUIET_SECONDS, self._is_quiet)

    def _is_quiet(self) -> None:
        self._quiet = None
        found, self._found = self._found, set()
        self._saved(found)
