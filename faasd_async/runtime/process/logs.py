"""What a function's process writes, line by line into the daemon's log."""

from __future__ import annotations

from twisted.logger import Logger

LINE_BYTES = 64 * 1024
"""A longer line is logged in parts of this size."""


class ProcessLog:
    """One stream of one process.

    :param stream: ``stdout`` or ``stderr``.
    :param call_id: of the call that the process runs, if it runs but one.
    :param prefixed: put the function's name before each line.
    """

    _log = Logger()

    def __init__(
        self, function: str, stream: str, *, call_id: str | None = None, prefixed: bool = True
    ) -> None:
        self._function = function
        self._stream = stream
        self._call_id = call_id
        self._template = "{function}: {line}" if prefixed else "{line}"
        self._rest = b""

    def received(self, piece: bytes) -> None:
        """Log the lines that are whole now."""
        *lines, rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._write(line.removesuffix(b"\r"))
        while len(rest) >= LINE_BYTES:
            self._write(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest

    def finish(self) -> None:
        """Log what is left of a last line that nobody ended."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def _write(self, line: bytes) -> None:
        for start in range(0, len(line), LINE_BYTES) or (0,):
            self._log.info(
                self._template,
                function=self._function,
                line=line[start : start + LINE_BYTES].decode("utf-8", "backslashreplace"),
                stream=self._stream,
                call_id=self._call_id,
            )
