"""What nats-server says on its standard error, line by line.

With ``logtime: false`` a line is ``[<pid>] [<level>] <text>``. What comes without the brackets was
said before there was a log: a refused configuration, a failed exec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from faasd_async.lines import Lines

_LINE = re.compile(r"\[\d+\] \[(?P<level>[A-Z]{3})\] ?(?P<text>.*)", re.DOTALL)
_LEVELS = {
    "TRC": "debug",
    "DBG": "debug",
    "INF": "debug",  # its banner and its settings: news to nobody at every start
    "WRN": "warn",
    "ERR": "error",
    "FTL": "critical",
}
# Each start warns of them, and here they are as they should be: a random password in a file of
# mode 0600, for a server that listens on loopback alone.
_EXPECTED = "Plaintext passwords detected, use nkeys or bcrypt"
_LISTENING = re.compile(r"Listening for client connections on (?P<host>[0-9.]+):(?P<port>\d+)")
_READY = "Server is ready"
# After the first, a stream acknowledges nothing until the server is started anew, room or no room:
# "Filestore [FAAS_CALLS] Critical write error: write …/6.blk: no space left on device". Consumers
# and older servers have words of their own, the last of them for giving up JetStream as a whole.
_WRITE_ERROR = re.compile(
    r"critical write error|no space left on device|disk quota exceeded|read-only file system"
    r"|jetstream out of .* resources|jetstream (?:\S+ )*disabled",
    re.IGNORECASE,
)
_COMPLAINTS = ("warn", "error", "critical")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line.

    :ivar level: the name of the twisted.logger level it belongs to.
    :ivar bare: it came without pid and level.
    """

    level: str
    text: str
    bare: bool = False

    @property
    def address(self) -> tuple[str, int] | None:
        """Where clients are listened for, if this line says it."""
        found = _LISTENING.fullmatch(self.text)
        return None if found is None or self.bare else (found["host"], int(found["port"]))

    @property
    def ready(self) -> bool:
        """Whether this line says that clients are served now."""
        return self.text == _READY and not self.bare

    @property
    def write_error(self) -> str | None:
        """What could not be written, if this line says that something could not."""
        if self.bare or self.level not in _COMPLAINTS or not _WRITE_ERROR.search(self.text):
            return None
        return self.text.rpartition(": ")[2]

    @property
    def complaint(self) -> bool:
        """Whether this line may be why nats-server did not start."""
        return self.bare or self.level == "critical"


def parse_line(line: bytes) -> LogLine:
    """Read one line, given without its end."""
    text = line.decode("utf-8", "replace")
    found = _LINE.fullmatch(text)
    if found is None or found["level"] not in _LEVELS:
        return LogLine("warn", text.strip(), bare=True)
    level = "debug" if found["text"] == _EXPECTED else _LEVELS[found["level"]]
    return LogLine(level, found["text"].rstrip())


class LogReader:
    """Reads a stream of bytes, line by line; one longer than the bound comes in pieces."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[LogLine]:
        """Take bytes as they come; return the lines that are whole now, empty ones left out."""
        return _parsed(self._lines.feed(data))

    def finish(self) -> list[LogLine]:
        """Return what came without a line end, after the last byte."""
        return _parsed(self._lines.finish())


def _parsed(lines: list[bytes]) -> list[LogLine]:
    return [parsed for line in lines if (parsed := parse_line(line)).text]
