"""One nats-server process, from its start to its end."""

from __future__ import annotations

import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from faasd_async.errors import StartError
from faasd_async.nats.server.log import LogLine, LogReader

Address = tuple[str, int]

REMEMBERED_LINES = 12
CHILD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCK_DESCRIPTOR = 3

_WRONG_PROGRAM = "the program does not run on this machine: set [nats] binary to one that does"
# What nats-server's last words and exit code tell the operator to do.
_REMEDIES = {
    "address already in use": "the next start asks for another port",
    "no space left": "make room in the state directory",
    "permission denied": "check who owns what lies in the state directory",
    "JetStream": "check the store in the state directory, or move it away to begin an empty one",
    "unknown field": "this nats-server is too old; 2.11 or newer is needed",
    "exit code 126": _WRONG_PROGRAM,  # A shell's or setsid's way to say that it cannot be run.
    "exit code 127": _WRONG_PROGRAM,
}
_NO_REMEDY = "see the log"
_SILENT_REMEDY = (
    "see whether the program is a nats-server (nats-server --version), and set [nats] binary to one"
    " or leave it out"
)


class Child(ProcessProtocol):
    """A running nats-server.

    :ivar pid: its process id, from the moment it is started.
    :ivar when_ready: fires with the address clients connect to. Fails with a
        :class:`~faasd_async.errors.StartError` if the process ended without getting there, and
        only once it has ended.
    :ivar when_ended: fires with how the process ended, in words, when it has been reaped.
    :ivar on_write_error: called with the reason when a server that is not ending says that it
        could not write.
    """

    log = Logger()
    pid: int

    def __init__(self, clock: IReactorTime, start_seconds: float, stop_seconds: float) -> None:
        self.when_ready: Deferred[Address] = Deferred()
        self.when_ended: Deferred[str] = Deferred()
        self.on_write_error: Callable[[str], None] = lambda reason: None
        self._clock = clock
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._readers = {1: LogReader(), 2: LogReader()}
        self._lines: deque[LogLine] = deque(maxlen=REMEMBERED_LINES)
        self._complaint: LogLine | None = None
        self._address: Address | None = None
        self._too_late: IDelayedCall | None = None
        self._kill: IDelayedCall | None = None
        self._stopped_because: str | None = None
        self._ended = False

    @property
    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)

    def connectionMade(self) -> None:
        """The process was started."""
        self.pid = self._process.pid
        self._too_late = self._clock.callLater(self._start_seconds, self._started_too_slowly)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803
        """The process said something."""
        for line in self._readers[childFD].feed(data):
            self._heard(line)

    def _heard(self, line: LogLine) -> None:
        level = LogLevel.levelWithName(line.level)
        self.log.emit(level, "nats-server: {line}", line=line.text, pid=self.pid)
        if line.write_error is not None and self._stopped_because is None:
            self.on_write_error(line.write_error)
        if self.when_ready.called:
            return
        self._lines.append(line)
        if line.complaint:
            self._complaint = line
        self._address = line.address or self._address
        if line.ready and self._address is not None and self._stopped_because is None:
            self._no_longer(self._too_late)
            self.when_ready.callback(self._address)

    def _started_too_slowly(self) -> None:
        self._end(f"was not ready within {self._start_seconds:g} seconds")

    def terminate(self) -> None:
        """Ask the process to end, and kill it if it does not; watch :attr:`when_ended`."""
        self._end("was stopped before it was ready")

    def _end(self, because: str) -> None:
        if self._ended or self._stopped_because is not None:
            return
        self._stopped_because = because
        self._no_longer(self._too_late)
        self._signal("TERM")
        self._kill = self._clock.callLater(self._stop_seconds, self._end_by_force)

    def _end_by_force(self) -> None:
        self.log.warn(
            "nats-server (pid {pid}) did not end within {seconds} seconds: killing it",
            pid=self.pid,
            seconds=self._stop_seconds,
        )
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(name)

    def processEnded(self, reason: Failure) -> None:
        """The process is gone and everything it said was read."""
        for reader in self._readers.values():
            for line in reader.finish():
                self._heard(line)
        self._ended = True
        self._no_longer(self._too_late)
        self._no_longer(self._kill)
        how = _in_words(reason)
        if not self.when_ready.called:
            self.when_ready.errback(self._start_error(how))
        self.when_ended.callback(how)

    def _start_error(self, how: str) -> StartError:
        if self._stopped_because is None and self._complaint is not None:
            why = f"{self._complaint.text} ({how})"
            remedy = next((r for words, r in _REMEDIES.items() if words in why), _NO_REMEDY)
            return StartError(f"nats-server did not start: {why}: {remedy}")
        what = self._stopped_because or f"ended before it was ready ({how})"
        if not self._lines:
            return StartError(f"nats-server {what}, and said nothing: {_SILENT_REMEDY}")
        said = " | ".join(line.text for line in self._lines)
        return StartError(f"nats-server {what}; it said last: {said}: {_NO_REMEDY}")

    def _no_longer(self, call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()


def _in_words(reason: Failure) -> str:
    ended = reason.value
    if not isinstance(ended, ProcessTerminated):
        return "exit code 0"
    if ended.signal is not None:
        return f"signal {ended.signal}, {signal.strsignal(ended.signal)}"
    return f"exit code {ended.exitCode}"


def spawn(
    reactor: IReactorProcess,
    child: Child,
    binary: Path,
    configuration: Path,
    lock: int,
    environment: Mapping[str, str],
) -> None:
    """Start a nats-server in a session of its own, so that a Ctrl-C does not reach it.

    ``setsid`` makes the session and becomes nats-server, under the same pid.

    :param lock: a descriptor for it to keep open as long as it lives.
    :raises StartError: if there is no ``setsid``, or no process can be started.
    """
    setsid = shutil.which("setsid", path=CHILD_PATH)
    if setsid is None:
        raise StartError(f"no setsid in {CHILD_PATH}: install util-linux")
    command = [setsid, str(binary), "-c", str(configuration)]
    try:
        with open(os.devnull, "rb") as nothing:
            reactor.spawnProcess(
                child,
                setsid,
                command,
                env={"PATH": CHILD_PATH, **environment},
                childFDs={0: nothing.fileno(), 1: "r", 2: "r", LOCK_DESCRIPTOR: lock},
            )
    except OSError as error:
        raise StartError(f"cannot start {binary}: {error}: see the machine's limits") from error
