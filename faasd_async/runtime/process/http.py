"""A process that is a web server of its own, and lives on from call to call.

One coroutine, :meth:`HttpRuntime._live`, is its whole life: wait for its end, wait a little, start
it again. A call waits until the server is ready, but not for longer than a connection may take.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.backoff import Backoff
from faasd_async.errors import NotHandedOver, StartError
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Passing, Receiver, Reply
from faasd_async.runtime.journal import Keep, unkept
from faasd_async.runtime.passing import pass_reply
from faasd_async.runtime.process.group import how_it_ended
from faasd_async.runtime.process.notes import Note, unnoted
from faasd_async.runtime.process.program import Program
from faasd_async.runtime.process.server import Server
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream
from faasd_async.settings import CommandSettings
from faasd_async.settings.limits import in_words

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A server that ran this long is not in a loop of crashes: the delays begin anew."""


class HttpRuntime:
    """The :class:`~faasd_async.runtime.interface.Runtime` of mode ``http``.

    :meth:`start` does not wait until the server is ready: one that never is must not keep the
    daemon from its other functions. A call that passes its limit loses its connection; the server,
    which may be at work for others, lives on.

    :param find: looks for the program; raises :class:`~faasd_async.errors.StartError`.
    :param draw: a random number from 0 to 1, for the delays before a restart.
    :param note: is told of each process.
    :param keep: is given the lines that they write.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IRuntimeReactor,
        function: str,
        find: Callable[[], Program],
        command: CommandSettings,
        *,
        max_inflight: int,
        connect_timeout_seconds: float,
        draw: Callable[[], float] = random.random,
        note: Note = unnoted,
        keep: Keep = unkept,
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._find = find
        self._command = command
        self._max_inflight = max_inflight
        self._connect_timeout_seconds = connect_timeout_seconds
        self._draw = draw
        self._note = note
        self._keep = keep
        self._under_way = UnderWay(reactor)
        self._stopped = True
        self._life: Deferred[None] = succeed(None)
        self._delay: Deferred[None] | None = None
        self._server: Server | None = None
        self._ready = False
        self._waiting: set[Deferred[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether the server is up and answers."""
        return self._ready and self._server is not None

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        program = self._find()
        try:
            server = self._launch(program)
        except OSError as reason:
            raise StartError(
                f"function {self._function}: {program.executable} cannot be run: {reason}; see to"
                f" it, or change command in [functions.{self._function}]"
            ) from reason
        self._stopped = False
        self._life = Deferred.fromCoroutine(self._live(program, server))

    def stop(self) -> Deferred[None]:
        """:return: fires when the server has ended."""
        self._stopped = True
        self._under_way.abort()
        if self._server is not None:
            self._server.end()
        if self._delay is not None:
            self._delay.cancel()
        return self._life

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        if self._ready and self._server is not None:
            invoked = self._server.upstream.exchange(invocation)
        else:
            invoked = Deferred.fromCoroutine(self._invoke(invocation))
        return self._under_way.bound(self._function, timeout_seconds, invoked)

    def invoke_passing(
        self, invocation: Invocation, timeout_seconds: float, receiver: Receiver
    ) -> Passing:
        """See :class:`~faasd_async.runtime.interface.PassingRuntime`."""
        if self._ready and self._server is not None:
            return self._server.upstream.exchange_passing(
                invocation, self._under_way, timeout_seconds, receiver
            )
        return pass_reply(self.invoke(invocation, timeout_seconds), receiver)

    def when_over(self) -> None:
        """At once: what the server does behind a connection that was closed cannot be seen."""

    async def _invoke(self, invocation: Invocation) -> Reply:
        await self._when_ready()
        assert self._server is not None
        return await self._server.upstream.exchange(invocation)

    async def _when_ready(self) -> None:
        if self._stopped:
            raise NotHandedOver(f"{self._function} is not started")
        ready: Deferred[None] = Deferred()
        self._waiting.add(ready)
        try:
            await ready.addTimeout(self._connect_timeout_seconds, self._reactor)
        except (CancelledError, TimeoutError):
            raise NotHandedOver(f"{self._function} is not ready") from None
        finally:
            self._waiting.discard(ready)

    def _launch(self, program: Program) -> Server:
        self._server = Server(
            self._reactor,
            self._function,
            program,
            self._command,
            upstream_at=self._upstream_at,
            busy=lambda: self._ready and len(self._under_way) > 0,
            looked=self._looked,
            note=self._note,
            keep=self._keep,
        )
        return self._server

    def _upstream_at(self, url: str) -> Upstream:
        return Upstream(
            self._reactor,
            self._function,
            url,
            max_inflight=self._max_inflight,
            connect_timeout_seconds=self._connect_timeout_seconds,
        )

    def _looked(self, ready: bool) -> None:
        if ready != self._ready:
            self._log.info(
                "{function} is {state}",
                function=self._function,
                state="ready" if ready else "not ready",
            )
        self._ready = ready
        if ready:
            waiting, self._waiting = self._waiting, set()
            for each in waiting:
                each.callback(None)

    async def _live(self, program: Program, first: Server) -> None:
        server: Server | None = first
        limits = in_words(self._command.limits)
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._draw)
        while True:
            if server is not None:
                began = self._reactor.seconds()
                exit_code = await server.live()
                self._server, self._ready = None, False
                if self._stopped:
                    return
                self._log.warn(
                    "{function} {end}{limited} and is started again",
                    function=self._function,
                    end=how_it_ended(exit_code),
                    limited=f" (its limits: {limits})" if limits else "",
                )
                if self._reactor.seconds() - began >= STEADY_SECONDS:
                    backoff.steady()
            if not await self._wait(backoff.next_seconds()):
                return
            server = self._launch_again(program)

    async def _wait(self, seconds: float) -> bool:
        """:return: whether to go on, for it was not :meth:`stop` that ended the wait."""
        self._delay = deferLater(self._reactor, seconds)
        try:
            await self._delay
        except CancelledError:
            return False
        finally:
            self._delay = None
        return True

    def _launch_again(self, program: Program) -> Server | None:
        try:
            return self._launch(program)
        except OSError as reason:
            self._log.error(
                "{function} cannot be run: {reason}", function=self._function, reason=str(reason)
            )
            return None
