"""Where log events go: lines of text or of JSON, to standard output or to a few bounded files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEventAsClassicLogText,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

#: A log is cut into files of this size; the newest few are kept.
FILE_BYTES = 10_000_000
FILES_KEPT = 5


class Level:
    """The level below which events are dropped; it may change while the daemon runs."""

    def __init__(self, name: str) -> None:
        self.predicate = LogLevelFilterPredicate()
        self.set(name)

    def set(self, name: str) -> None:
        self.predicate.clearLogLevels()
        self.predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))


def make_observer(path: str | None, as_json: bool, level: Level) -> ILogObserver:
    """An observer that opens its file with the first event it is given.

    :param path: absolute; ``None`` or ``-`` is standard output.
    """
    write = _as_json if as_json else formatEventAsClassicLogText
    observer = FileLogObserver(cast("IO[str]", _Lazily(path)), write)
    return FilteringLogObserver(observer, [level.predicate])


class _Lazily:
    """A text file that is opened when it is first written to."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._write: Callable[[str], object] | None = None
        self._flush: Callable[[], object] = lambda: None

    def write(self, text: str) -> None:
        if self._write is None:
            self._write = self._open()
        self._write(text)

    def flush(self) -> None:
        self._flush()

    def _open(self) -> Callable[[str], object]:
        if self._path is None or self._path == "-":
            # Whatever twistd makes of sys.stdout later: this is the real one.
            out = sys.__stdout__ or sys.stdout
            self._flush = out.flush
            return out.write
        path = Path(self._path)
        file = LogFile(
            path.name,
            str(path.parent),
            rotateLength=FILE_BYTES,
            maxRotatedFiles=FILES_KEPT - 1,
            defaultMode=0o640,
        )
        self._flush = file.flush
        return file.write


def _as_json(event: LogEvent) -> str | None:
    text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    when = datetime.fromtimestamp(event["log_time"], UTC)
    level = event.get("log_level")
    line: dict[str, object] = {
        "time": when.isoformat(timespec="microseconds"),
        "level": level.name if level is not None else "info",
        "logger": event.get("log_namespace", "-"),
        "message": text,
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        line["traceback"] = failure.getTraceback()
    for name, value in event.items():
        if not name.startswith("log_") and isinstance(value, (str, int, float)):
            line.setdefault(name, value)
    return json.dumps(line) + "\n"
