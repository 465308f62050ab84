"""A log event as a line: of text, or of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from string import Formatter

from twisted.logger import LogEvent, eventAsText, formatEventAsClassicLogText, formatTime
from twisted.python.failure import Failure

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


class TextLine:
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


def json_line(event: LogEvent) -> str | None:
    """An object, its keys the event's fields."""
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
