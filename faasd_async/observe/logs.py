"""Where log events go: lines of text or of JSON, to standard output or to a few bounded files."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from string import Formatter

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEventAsClassicLogText,
    formatTime,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

#: A log is cut into files of this size; the newest few are kept.
FILE_BYTES = 10_000_000
FILES_KEPT = 5

#: What is longer is cut, in one line of text and in each field of JSON. Bodies are logged, if they
#: are to be, up to 64 KiB, and each of their bytes may take four characters.
MOST_CHARACTERS = 300_000

#: What a terminal, or whoever parts a text into lines, would obey: controls but for tab and line
#: feed, other ends of lines, and marks that turn the direction of what follows.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


#: So many templates are remembered: there are as many as there are places that log.
_REMEMBERED = 512

#: How a field is to be shown: as it is, or a number with so many digits.
_SIMPLE = re.compile(r"|\.\df")


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
    return Lines(_as_json if as_json else _AsText(), level, path)


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


class _AsText:
    """Twisted's classic line.

    Where the event is an everyday one it is put together here; everything else is left to
    :func:`~twisted.logger.formatEventAsClassicLogText`, as are templates that call something.
    """

    def __init__(self) -> None:
        self._second: int | None = None
        self._time = ""

    def __call__(self, event: LogEvent) -> str | None:
        line = self._everyday(event)
        if line is None:
            whole = formatEventAsClassicLogText(event)
            if not whole:
                return None
            line = whole.removesuffix("\n")
            if not line.isprintable():
                line = written_out(line)
        elif not line.isprintable():
            line = written_out(line.replace("\n", "\n\t"))
        if len(line) > MOST_CHARACTERS:
            line = bounded(line)
        return line + "\n" if line else None

    def _everyday(self, event: LogEvent) -> str | None:
        """The line of an everyday event, empty if it has no text; ``None``: it is no such event."""
        if "log_failure" in event or "log_system" in event or "log_flattened" in event:
            return None
        try:
            text = _everyday_text(event["log_format"])(event)
            second = int(event["log_time"])
            if second != self._second:
                self._time = formatTime(second)
                self._second = second
            line = f"{self._time} [{event['log_namespace']}#{event['log_level'].name}] {text}"
        except Exception:
            return None
        return line if text else ""


@lru_cache(_REMEMBERED)
def _everyday_text(log_format: str) -> Callable[[LogEvent], str]:
    """What a template makes of an event.

    Most name their fields as they are, or with so many digits: of these that is found out once, and
    ``%`` takes half the time that :meth:`str.format_map` needs to find it out each time.
    """
    written, names = "", []
    for literal, name, spec, conversion in Formatter().parse(log_format):
        written += literal.replace("%", "%%")
        if name is None:
            continue
        if conversion or not name.isidentifier() or not _SIMPLE.fullmatch(spec or ""):
            return log_format.format_map
        written += f"%{spec or 's'}"
        names.append(name)
    if len(names) < 2:
        return log_format.format_map
    values = itemgetter(*names)
    return lambda event: written % values(event)


def written_out(text: str) -> str:
    """A text with nothing in it that a terminal would obey: each such character as it is typed."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def bounded(text: str) -> str:
    """A text, or its beginning and how much follows."""
    more = len(text) - MOST_CHARACTERS
    return text if more <= 0 else f"{text[:MOST_CHARACTERS]}… ({more} characters more)"


def _as_json(event: LogEvent) -> str | None:
    text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    when = datetime.fromtimestamp(event["log_time"], UTC)
    level = event.get("log_level")
    line: dict[str, object] = {
        "time": when.isoformat(timespec="microseconds"),
        "level": level.name if level is not None else "info",
        "logger": event.get("log_namespace", "-"),
        "message": bounded(text),
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        line["traceback"] = bounded(failure.getTraceback())
    for name, value in event.items():
        if not name.startswith("log_") and isinstance(value, (str, int, float)):
            line.setdefault(name, bounded(value) if isinstance(value, str) else value)
    return json.dumps(line) + "\n"
