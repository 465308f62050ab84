"""One run of a program that is a web server: its process, the way to it, and whether it answers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.runtime.journal import Keep, unkept
from faasd_async.runtime.process.group import ProcessGroup
from faasd_async.runtime.process.logs import ProcessLog
from faasd_async.runtime.process.notes import Note, unnoted
from faasd_async.runtime.process.program import Program
from faasd_async.runtime.process.readiness import answers, listens
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream
from faasd_async.runtime.watch import watch
from faasd_async.settings import CommandSettings


class Server:
    """A server that has been started.

    :param upstream_at: makes the way to a URL.
    :param busy: as for :func:`~faasd_async.runtime.watch.watch`, like *looked*.
    :param note: is told of its process.
    :param keep: is given the lines that it writes.
    :ivar upstream: the way to it.
    :raises OSError: it cannot be started.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IRuntimeReactor,
        function: str,
        program: Program,
        command: CommandSettings,
        *,
        upstream_at: Callable[[str], Upstream],
        busy: Callable[[], bool],
        looked: Callable[[bool], object],
        note: Note = unnoted,
        keep: Keep = unkept,
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._command = command
        self._busy = busy
        self._looked = looked
        self._url = command.upstream_url or f"http://127.0.0.1:{command.port or free_port()}"
        self.upstream = upstream_at(self._url)
        port = b"%d" % (command.port or urlsplit(self._url).port or 80)
        self._output_log = ProcessLog(function, "stdout", prefixed=command.prefix_logs, keep=keep)
        self._group = ProcessGroup(
            reactor,
            program.with_variables({b"PORT": port, b"port": port}),
            None,
            self._output_log.received,
            ProcessLog(function, "stderr", prefixed=command.prefix_logs, keep=keep),
            note,
        )
        self._output_log.began(self._group.pid)

    async def live(self) -> int:
        """Watch it until it ends.

        :return: its exit code.
        """
        watching = Deferred.fromCoroutine(
            watch(
                self._reactor,
                self._look,
                busy=self._busy,
                looked=self._looked,
                interval_seconds=self._command.healthcheck_interval_seconds,
            )
        )
        watching.addErrback(self._stopped_watching)
        try:
            return await self._group.when_ended
        finally:
            watching.cancel()
            self._output_log.finish()
            await self.upstream.stop()

    def end(self) -> None:
        """Make it end; what it says to that is still logged."""
        self._group.end()

    async def _look(self) -> bool:
        if self._command.ready_path is None:
            return await listens(self._reactor, self._url)
        return await answers(self.upstream, self._function, self._command.ready_path)

    def _stopped_watching(self, reason: Failure) -> None:
        if not reason.check(CancelledError):
            self._log.failure("nobody watches {function}", reason, function=self._function)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
