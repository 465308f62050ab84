"""What a function's process writes, line by line into the daemon's log and its own journal."""

from __future__ import annotations

from twisted.logger import Logger

from faasd_async.lines import Lines
from faasd_async.runtime.journal import Keep, unkept


class ProcessLog:
    """One stream of one process.

    :param stream: ``stdout`` or ``stderr``.
    :param call_id: of the call that the process runs, if it runs but one.
    :param prefixed: put the function's name before each line.
    :param keep: is given each line, too.
    :ivar instance: what tells the process from others of the function.
    """

    _log = Logger()

    def __init__(
        self,
        function: str,
        stream: str,
        *,
        call_id: str | None = None,
        prefixed: bool = True,
        keep: Keep = unkept,
    ) -> None:
        self._function = function
        self._stream = stream
        self._call_id = call_id
        self._template = "{function}: {line}" if prefixed else "{line}"
        self._lines = Lines()
        self._keep = keep
        self.instance = ""

    def began(self, pid: int) -> None:
        """Which process it is."""
        self.instance = f"{self._function}-{pid}"

    def received(self, piece: bytes) -> None:
        """Log the lines that are whole now."""
        self._write(self._lines.feed(piece))

    def finish(self) -> None:
        """Log what is left of a last line that nobody ended."""
        self._write(self._lines.finish())

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "backslashreplace")
            self._keep(self._function, self.instance, text)
            self._log.info(
                self._template,
                function=self._function,
                line=text,
                stream=self._stream,
                call_id=self._call_id,
            )
