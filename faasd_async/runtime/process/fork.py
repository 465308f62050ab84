"""A process for each call: the body goes in by standard input, the answer is standard output.

``streaming``: the answer begins with the first byte that the process writes, as 200; the status of
a process that writes nothing is told by its exit code. ``serializing``: the answer waits for the
end; 0 is 200, any other exit code 500, in both cases with what the process wrote. Where that is
nothing, and a signal or a limit may have been the reason, the 500 says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.headers import Headers
from faasd_async.errors import InvocationBroken, NotHandedOver
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.runtime.journal import Keep, unkept
from faasd_async.runtime.process.environment import of_invocation
from faasd_async.runtime.process.group import ProcessGroup, how_it_ended, why_it_ended
from faasd_async.runtime.process.logs import ProcessLog
from faasd_async.runtime.process.notes import Note, unnoted
from faasd_async.runtime.process.program import Program
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.reply import FlowingReply

_PLAIN_TEXT = b"text/plain; charset=utf-8"

SERIALIZED_BYTES = 64 * 1024 * 1024
"""The longest answer that ``serializing`` keeps."""


class Answer(Protocol):
    """How the output of a process becomes a reply.

    :ivar when_replied: cancelling it ends the process.
    """

    group: ProcessGroup
    when_replied: Deferred[Reply]

    def output(self, piece: bytes) -> None:
        """The process wrote."""

    def ended(self, exit_code: int, why: str | None = None) -> None:
        """The process ended; all that it wrote has come.

        :param why: what there is to say about it.
        """


class Streaming:
    """The answer as it comes."""

    group: ProcessGroup

    def __init__(self, function: str, content_type: bytes) -> None:
        self._function = function
        self._content_type = content_type
        self._reply: FlowingReply | None = None
        self.when_replied: Deferred[Reply] = Deferred(lambda _: self.group.abort())

    def output(self, piece: bytes) -> None:
        reply = self._reply or self._begin(200, ((b"Content-Type", self._content_type),))
        reply.feed(piece)

    def ended(self, exit_code: int, why: str | None = None) -> None:
        if self._reply is not None:
            self._reply.finish(
                None if exit_code == 0 else Failure(_broken(self._function, exit_code))
            )
        elif not self.when_replied.called:
            headers, body = _explanation(why)
            reply = self._begin(200 if exit_code == 0 else 500, headers)
            if body:
                reply.feed(body)
            reply.finish()

    def _begin(self, status: int, headers: Headers) -> FlowingReply:
        self._reply = reply = FlowingReply(status, headers, self.group)
        self.when_replied.callback(reply)
        return reply


class Serializing:
    """The answer when it is whole."""

    group: ProcessGroup

    def __init__(self, function: str, content_type: bytes) -> None:
        self._function = function
        self._content_type = content_type
        self._pieces: list[bytes] = []
        self._size = 0
        self.when_replied: Deferred[Reply] = Deferred(lambda _: self.group.abort())

    def output(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > SERIALIZED_BYTES:
            self._pieces.clear()
            self.group.abort()
            self.when_replied.errback(
                InvocationBroken(
                    f"{self._function} wrote more than the {SERIALIZED_BYTES} bytes that mode"
                    " serializing keeps; mode streaming has no limit"
                )
            )

    def ended(self, exit_code: int, why: str | None = None) -> None:
        if self.when_replied.called:
            return
        length = (b"Content-Length", b"%d" % self._size)
        headers: Headers = ((b"Content-Type", self._content_type), length)
        if why is not None and not self._pieces:
            headers, body = _explanation(why)
            self._pieces.append(body)
        reply = FlowingReply(200 if exit_code == 0 else 500, headers, self.group)
        for piece in self._pieces:
            reply.feed(piece)
        reply.finish()
        self.when_replied.callback(reply)


def _explanation(why: str | None) -> tuple[Headers, bytes]:
    """What the answer of a process is that wrote nothing: header fields and body."""
    if why is None:
        return ((b"Content-Length", b"0"),), b""
    body = f"{why}\n".encode("utf-8", "backslashreplace")
    return ((b"Content-Type", _PLAIN_TEXT), (b"Content-Length", b"%d" % len(body))), body


def _broken(function: str, exit_code: int) -> InvocationBroken:
    return InvocationBroken(f"{function} {how_it_ended(exit_code)} within its answer")


class ForkRuntime:
    """The :class:`~faasd_async.runtime.interface.Runtime` of modes ``streaming`` and
    ``serializing``.

    :param find: looks for the program; raises :class:`~faasd_async.errors.StartError`.
    :param answer: makes the answer of one call, given the function's name and content type.
    :param limits: those of each process, in words.
    :param note: is told of each process.
    :param keep: is given the lines that they write to standard error.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IRuntimeReactor,
        function: str,
        find: Callable[[], Program],
        answer: Callable[[str, bytes], Answer],
        *,
        content_type: str,
        prefix_logs: bool,
        limits: str = "",
        note: Note = unnoted,
        keep: Keep = unkept,
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._find = find
        self._answer = answer
        self._content_type = content_type.encode("latin-1")
        self._prefix_logs = prefix_logs
        self._limits = limits
        self._note = note
        self._keep = keep
        self._program: Program | None = None
        self._under_way = UnderWay(reactor)
        self._running: dict[ProcessGroup, Deferred[None]] = {}

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._program = self._find()

    def stop(self) -> Deferred[None]:
        """:return: fires when the last process has ended."""
        self._program = None
        self._under_way.abort()
        return gatherResults(self._running.values()).addCallback(lambda _: None)

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        if self._program is None:
            return fail(NotHandedOver(f"{self._function} is not started"))
        try:
            answer = self._run(self._program, invocation)
        except OSError as reason:
            return fail(NotHandedOver(f"{self._function} cannot be run: {reason}"))
        return self._under_way.bound(self._function, timeout_seconds, answer.when_replied)

    def when_over(self) -> Deferred[None]:
        ending = [running for group, running in self._running.items() if group.ending]
        return gatherResults(ending).addCallback(lambda _: None)

    def _run(self, program: Program, invocation: Invocation) -> Answer:
        answer = self._answer(self._function, self._content_type)
        answer.group = ProcessGroup(
            self._reactor,
            program.with_variables(of_invocation(invocation)),
            invocation.body,
            answer.output,
            ProcessLog(
                self._function,
                "stderr",
                call_id=invocation.call_id,
                prefixed=self._prefix_logs,
                keep=self._keep,
            ),
            self._note,
        )
        running = answer.group.when_ended.addCallback(self._ended, answer, invocation.call_id)
        self._running[answer.group] = running
        running.addErrback(self._log_failure).addCallback(lambda _: self._forget(answer.group))
        return answer

    def _ended(self, exit_code: int, answer: Answer, call_id: str) -> None:
        why = None
        if exit_code and not answer.group.was_ended:
            why = why_it_ended(self._function, exit_code, self._limits)
        if why is not None:
            self._log.warn("{why}, call {call_id}", why=why, call_id=call_id)
        answer.ended(exit_code, why)

    def _forget(self, group: ProcessGroup) -> None:
        del self._running[group]

    def _log_failure(self, reason: Failure) -> None:
        self._log.failure("{function}'s end", failure=reason, function=self._function)
