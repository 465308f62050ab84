"""A process in a session of its own, and everything that it starts.

The session makes the process the leader of a group that signals reach as a whole. It is made by
:mod:`subprocess` rather than by ``reactor.spawnProcess``, which can do neither that nor tell why a
program did not start; pipes and the child's end are the reactor's business as usual.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.process import registerReapProcessHandler, unregisterReapProcessHandler
from twisted.python.failure import Failure

from faasd_async.runtime.interface import FlowingBody
from faasd_async.runtime.process.flowing import FlowingPipeWriter
from faasd_async.runtime.process.logs import ProcessLog
from faasd_async.runtime.process.notes import Note, unnoted
from faasd_async.runtime.process.pipes import PipeReader, PipeWriter
from faasd_async.runtime.process.program import Program
from faasd_async.runtime.reactor import IRuntimeReactor

GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL."""


class ProcessGroup:
    """One run of a program.

    A :class:`~faasd_async.runtime.reply.Source`: what it pauses is standard output.

    :param content: what the program reads; ``None``: nothing, from ``/dev/null``.
    :param output: is given the pieces of standard output.
    :param log: takes standard error.
    :param note: is told of it, and of its end.
    :ivar when_ended: fires with the exit code (of Python's :mod:`subprocess`: the negative number
        of the signal that killed it) when the leader has ended and its output has been read.
        Members of the group that live on are killed then.
    :raises OSError: it cannot be started.
    """

    def __init__(
        self,
        reactor: IRuntimeReactor,
        program: Program,
        content: bytes | FlowingBody | None,
        output: Callable[[bytes], object],
        log: ProcessLog,
        note: Note = unnoted,
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._exit_code: int | None = None
        self._grace: IDelayedCall | None = None
        self.when_ended: Deferred[int] = Deferred()
        executable, arguments = program.to_run()
        self._popen = subprocess.Popen(  # noqa: S603 - to run what it is told is its job
            arguments,
            executable=executable,
            stdin=subprocess.DEVNULL if content is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=program.directory,
            env=program.environment,
            start_new_session=True,
        )
        self._forget = note(self.pid)
        log.began(self.pid)
        stdin, stdout, stderr = self._popen.stdin, self._popen.stdout, self._popen.stderr
        assert stdout is not None
        assert stderr is not None
        self._input: PipeWriter | FlowingPipeWriter | None = None
        if stdin is not None and isinstance(content, (bytes, type(None))):
            self._input = PipeWriter(reactor, stdin, content or b"")
        elif stdin is not None:
            assert not isinstance(content, (bytes, type(None)))
            self._input = FlowingPipeWriter(reactor, stdin, content.open(), self._starved)
        self._output = PipeReader(reactor, stdout, output, self._look_whether_over)
        self._errors = PipeReader(reactor, stderr, log.received, self._look_whether_over)
        registerReapProcessHandler(self.pid, self)

    @property
    def pid(self) -> int:
        """Of the leader, and therefore of the group."""
        return self._popen.pid

    @property
    def was_ended(self) -> bool:
        """Whether it was asked to end."""
        return self._grace is not None

    @property
    def ending(self) -> bool:
        """Whether it was asked to end and has not yet."""
        return self._grace is not None and self._exit_code is None

    def pause(self) -> None:
        self._output.pause()

    def resume(self) -> None:
        self._output.resume()

    def abort(self) -> None:
        """End the group, and read no more of its standard output."""
        self._output.close()
        self.end()

    def _starved(self, failure: Failure) -> None:
        """What the program is to read is not there: it must not take the part for the whole."""
        self._log.received(f"its input cannot be read: {failure.getErrorMessage()}\n".encode())
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Ask the group to end, and insist after :data:`GRACE_SECONDS`. Returns at once."""
        if self._exit_code is None and self._grace is None:
            self._signal(signal.SIGTERM)
            self._grace = self._reactor.callLater(GRACE_SECONDS, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # Gone, or under another user: then there is nothing that we could do.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    # What Twisted calls when a child of the daemon has ended.

    def reapProcess(self) -> None:  # noqa: N802 - Twisted's name
        """Some child has ended."""
        exit_code = self._popen.poll()
        if exit_code is not None:
            unregisterReapProcessHandler(self.pid, self)
            self._leader_ended(exit_code)

    def processEnded(self, status: int) -> None:
        """It had ended before it was registered."""
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        self._leader_ended(self._popen.returncode)

    def _leader_ended(self, exit_code: int) -> None:
        self._exit_code = exit_code
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        self._signal(signal.SIGKILL)
        self._forget()
        if self._input is not None:
            self._input.close()
        self._errors.end_with_what_is_there()
        self._output.end_with_what_is_there()
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        if (
            self._exit_code is not None
            and self._output.closed
            and self._errors.closed
            and not self.when_ended.called
        ):
            self._log.finish()
            self.when_ended.callback(self._exit_code)


def how_it_ended(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code >= 0:
        return f"exited with {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # one of the real-time signals, most of which have no name
        return f"was killed by signal {-exit_code}"


def why_it_ended(function: str, exit_code: int, limits: str) -> str | None:
    """What there is to say about a bad end: the signal, and the limits that may have been reached.

    :param limits: in words; empty: there are none.
    :return: ``None``: nothing, for it was the program's own choice.
    """
    if exit_code >= 0 and not limits:
        return None
    limited = f" (its limits: {limits})" if limits else ""
    return f"{function} {how_it_ended(exit_code)}{limited}"
