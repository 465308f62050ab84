"""Keeps one nats-server running on a state directory.

One coroutine, :meth:`EmbeddedServer._supervise`, is the whole life: take the lock, start a child,
wait for its end, wait a little, again. :meth:`EmbeddedServer.stop` ends whatever that coroutine
waits for, and it sees that it is to go. Only the first failure to start ends it on its own, and a
store that is gone: else, after a server has run, a daemon lives on and tries again until there is
one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from faasd_async.backoff import Backoff
from faasd_async.errors import StartError
from faasd_async.flock import Flock
from faasd_async.nats.server.binary import find_binary
from faasd_async.nats.server.child import Address, Child, spawn
from faasd_async.nats.server.configuration import ANY_PORT, Credentials, ServerFiles, ServerSettings
from faasd_async.nats.server.orphan import take_lock
from faasd_async.private_files import explaining_start_errors, write_private

START_SECONDS = 60.0
STOP_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 60.0
"""A server that ran this long is not in a loop of crashes: the delays begin anew."""

T = TypeVar("T")


class IServerReactor(IReactorProcess, IReactorTime):
    """Processes, and time for limits and pauses."""


class EmbeddedServer:
    """A nats-server of our own.

    Nothing is opened, written or started before :meth:`start`, so it may be made before
    daemonizing.

    :ivar address: host and port while a server is ready, else ``None``. A restart asks for the
        same port again.
    :ivar on_ready: each is called with the address whenever a server is ready.
    :ivar on_exit: each is called with how it ended, in words, when a server that was ready is
        gone; :attr:`address` is ``None`` by then.
    :ivar write_error: what the running server failed to write first, if anything: it may
        acknowledge nothing more until it is started anew.
    :ivar on_write_error: each is called with that, while a server is ready.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IServerReactor,
        settings: ServerSettings,
        *,
        start_seconds: float = START_SECONDS,
        stop_seconds: float = STOP_SECONDS,
        draw: Callable[[], float] = random.random,
        why_not_again: Callable[[], str | None] = lambda: None,
    ) -> None:
        """
        :param why_not_again: why no other server may follow one that has run, or ``None``: what it
            had stored is gone.
        :param draw: a random number in [0, 1), for the jitter.
        """
        self.address: Address | None = None
        self.on_ready: list[Callable[[Address], object]] = []
        self.on_exit: list[Callable[[str], object]] = []
        self.write_error: str | None = None
        self.on_write_error: list[Callable[[str], object]] = []
        self._reactor = reactor
        self._settings = settings
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._draw = draw
        self._why_not_again = why_not_again
        self._files = ServerFiles(settings.state_dir)
        self._lock = Flock(self._files.lock)
        self._credentials: Credentials | None = None
        self._port = ANY_PORT
        self._child: Child | None = None
        self._pause: Deferred[None] | None = None
        self._running = False
        self._stopping = False
        self._restarting = False
        self._stop_waiters: list[Deferred[None]] = []

    @property
    def pid(self) -> int | None:
        """The server's process id, while there is a process."""
        return None if self._child is None else self._child.pid

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password; they are kept across starts.

        :raises StartError: before the first :meth:`start`.
        """
        if self._credentials is None:
            raise StartError("the embedded nats-server was not started yet")
        return self._credentials.user, self._credentials.password

    def start(self) -> Deferred[None]:
        """Bring a server up.

        :return: fires when it is ready; fails with a :class:`~faasd_async.errors.StartError` that
            names cause and remedy, and nothing is left running then. Cancelling it stops.
        """
        if self._running:
            return fail(StartError("the embedded nats-server was started already"))
        self._running = True
        self._stopping = False
        started: Deferred[None] = Deferred(lambda _: self._interrupt())
        Deferred.fromCoroutine(self._run(started))
        return started

    def stop(self) -> Deferred[None]:
        """End the server for good: SIGTERM, and SIGKILL if that is not enough.

        :return: fires when no process is left; at once if there is none.
        """
        if not self._running:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stop_waiters.append(stopped)
        self._interrupt()
        return stopped

    def restart(self) -> None:
        """End the server that is ready and start another; without effect if there is none."""
        if self._child is not None and self.address is not None and not self._stopping:
            self._restarting = True
            self._child.terminate()

    def _interrupt(self) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.terminate()
        elif self._pause is not None:
            self._pause.cancel()

    async def _run(self, started: Deferred[None]) -> None:
        """Supervise until told to stop or unable to start, then tell everyone who waits."""
        error: Exception = StartError("the embedded nats-server was stopped before it was ready")
        try:
            await self._supervise(started)
        except CancelledError:
            pass
        except Exception as bug_or_start_error:
            error = bug_or_start_error
            if started.called and not self._stopping:
                self.log.failure("the embedded nats-server is no longer supervised")
        self._running = False
        waiters, self._stop_waiters = self._stop_waiters, []
        if not started.called:
            started.errback(error)
        for waiter in waiters:
            waiter.callback(None)

    async def _supervise(self, started: Deferred[None]) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._draw)
        while not self._stopping:
            if started.called and self._is_over():
                return
            began = self._reactor.seconds()
            try:
                child = await self._launch()
            except StartError as error:
                if not started.called or self._stopping:
                    raise
                self.log.error("the embedded nats-server: {error}", error=str(error))
            else:
                await self._watch(child, started)
            if self._stopping:
                return
            if self._restarting:
                self._restarting = False
                continue
            if self._reactor.seconds() - began >= STEADY_SECONDS:
                backoff.steady()
            await self._sleep(backoff.next_seconds())

    def _is_over(self) -> bool:
        why = self._why_not_again()
        if why is not None:
            self.log.critical("nats-server is not started anew: {why}", why=why)
        return why is not None

    async def _launch(self) -> Child:
        """Start one server and wait until it is ready.

        :raises StartError: if it is not going to be; its process has ended then.
        """
        binary = find_binary(self._settings.binary)
        child = Child(self._reactor, self._start_seconds, self._stop_seconds)
        child.on_write_error = self._cannot_write
        self.write_error = None
        with explaining_start_errors(self._files.directory):
            self._credentials = self._files.prepare()
            await take_lock(self._lock, self._files, self._reactor, self._sleep, self._stop_seconds)
            try:
                self._files.write_configuration(self._settings, self._credentials, self._port)
                spawn(
                    self._reactor,
                    child,
                    binary,
                    self._files.configuration,
                    self._lock.descriptor,
                    self._environment(),
                )
            finally:
                # From here on the lock speaks of the server alone.
                self._lock.release()
        self._child = child
        try:
            self.address = await child.when_ready
        except StartError:
            self._child = None
            self._port = ANY_PORT  # Somebody else may have it.
            raise
        self._port = self.address[1]
        # Without room for it the server is of use all the same.
        with suppress(OSError):
            write_private(self._files.address, "{}:{}\n".format(*self.address).encode())
        return child

    async def _watch(self, child: Child, started: Deferred[None]) -> None:
        """Tell of a server that is ready, the observers first, and of its end."""
        if self.address is not None:
            self._tell(self.on_ready, self.address)
        if self.write_error is not None:  # while it was starting
            self._tell(self.on_write_error, self.write_error)
        if not started.called:
            started.callback(None)
        how = await child.when_ended
        self._child = None
        self.address = None
        if not self._stopping and not self._restarting:
            self.log.error("nats-server ended unexpectedly: {how}", how=how)
        self._tell(self.on_exit, how)

    def _cannot_write(self, reason: str) -> None:
        if self.write_error is None:
            self.write_error = reason
            if self.address is not None:
                self._tell(self.on_write_error, reason)

    def _environment(self) -> dict[str, str]:
        """Nothing of the daemon's own, its NOTIFY_SOCKET and LISTEN_FDS least of all."""
        return {"HOME": str(self._files.directory)}

    def _sleep(self, seconds: float) -> Deferred[None]:
        """Fires after so many seconds, or fails with CancelledError when told to stop."""
        self._pause = deferLater(self._reactor, seconds, lambda: None)
        return self._pause

    def _tell(self, observers: Iterable[Callable[[T], object]], news: T) -> None:
        for observer in tuple(observers):
            try:
                observer(news)
            except Exception:
                self.log.failure("an observer of the embedded nats-server failed")
