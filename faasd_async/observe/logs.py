"""Where the lines of log events go: to standard output or to a few bounded files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.python.logfile import LogFile
from zope.interface import implementer

from faasd_async.observe.line import TextLine, json_line

#: A log is cut into files of this size; the newest few are kept.
FILE_BYTES = 10_000_000
FILES_KEPT = 5

#: Has something called soon, once.
Later = Callable[[Callable[[], None]], object]

#: What may be gathered: so many lines of so many characters.
_EVERYDAY = frozenset((LogLevel.debug, LogLevel.info))
_SHORT_CHARACTERS = 4096
_MOST_GATHERED = 128


class Level:
    """The level below which events are dropped; it may change while the daemon runs.

    :ivar shown: that level, and those above it.
    :ivar shows_debug: whether it is worth while to make an event of the lowest one.
    """

    def __init__(self, name: str) -> None:
        self.shown: frozenset[object] = frozenset()
        self.shows_debug = False
        self.set(name)

    def set(self, name: str) -> None:
        lowest = LogLevel.levelWithName(name)
        self.shown = frozenset(each for each in LogLevel.iterconstants() if each >= lowest)
        self.shows_debug = LogLevel.debug in self.shown


def make_observer(path: str | None, as_json: bool, level: Level) -> Lines:
    """An observer that opens its file with the first event it is given.

    :param path: absolute; ``None`` or ``-`` is standard output.
    """
    return Lines(json_line if as_json else TextLine(), level, path)


@implementer(ILogObserver)
class Lines:
    """Writes each event that is to be shown. Each call has one: it has to be cheap.

    While a reactor runs, the everyday lines of one turn are one write: of a daemon that is killed
    those of its last turn may be missing. Whatever is a warning or more is written at once, and
    what was gathered before it.

    :param as_line: a line with its end; ``None`` or nothing for an event that has no text.
    """

    def __init__(
        self, as_line: Callable[[LogEvent], str | None], level: Level, path: str | None
    ) -> None:
        self._as_line = as_line
        self._level = level
        self._path = path
        self._write: Callable[[str], object] | None = None
        self._later: Later | None = None
        self._gathered: list[str] = []

    def gather(self, later: Later) -> None:
        """Gather lines from now on.

        :param later: has something called when the turn is over.
        """
        self._later = later

    def gather_no_more(self) -> None:
        """Write each line at once, from now on."""
        self._later = None
        self._write_gathered()

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if level not in self._level.shown:
            return
        line = self._as_line(event)
        if not line:
            return
        gathered = self._gathered
        if self._later is None or level not in _EVERYDAY or len(line) > _SHORT_CHARACTERS:
            self._write_out(line)
            return
        if not gathered:
            self._later(self._write_in_time)
        gathered.append(line)
        if len(gathered) >= _MOST_GATHERED:
            self._write_gathered()

    def _write_out(self, line: str) -> None:
        self._write_gathered()
        if self._write is None:
            self._write = self._open()
        self._write(line)

    def _write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._write_out("".join(gathered))

    def _write_in_time(self) -> None:
        # A disk that takes nothing takes no line about that either: they are lost, as single ones.
        with suppress(OSError):
            self._write_gathered()

    def _open(self) -> Callable[[str], object]:
        if self._path is None or self._path == "-":
            # Whatever twistd makes of sys.stdout later: this is the real one.
            out = sys.__stdout__ or sys.stdout

            def write(line: str) -> None:
                try:
                    out.write(line)
                except UnicodeEncodeError:
                    # A name of bytes that are no text, or an output of few characters.
                    out.write(line.encode("ascii", "backslashreplace").decode("ascii"))
                out.flush()

            return write
        path = Path(self._path)
        log = BoundedLog(  # type: ignore[no-untyped-call]
            path.name,
            str(path.parent),
            rotateLength=FILE_BYTES,
            maxRotatedFiles=FILES_KEPT - 1,
            defaultMode=0o640,
        )
        return log.write


class BoundedLog(LogFile):
    """Twisted's, with the shortest way to the file, which has no buffer: a line is one write, and
    needs no lock."""

    def write(self, line: str) -> None:
        if self.size >= self.rotateLength:
            self.rotate()  # type: ignore[no-untyped-call]
        self.size += self._file.write(line.encode("utf-8", "backslashreplace"))
