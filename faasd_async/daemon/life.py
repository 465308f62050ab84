"""The daemon's life: its parts come up in order and go down in order.

Up: the doors are bound (before privileges are dropped), then lock, the end of what an earlier
daemon left running, broker, functions, queue, and last the worker and the poster; then whoever
waits at a socket of systemd's is let in. Down: doors, deliveries, what is in hand, then queue,
functions, broker, lock. A part that has to be up before another stands before it in both lists.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import ILogObserver, Logger

from faasd_async.daemon import signals
from faasd_async.daemon.parts import Parts
from faasd_async.daemon.reloading import Reading, Reloading
from faasd_async.daemon.systemd import Notifier
from faasd_async.errors import FaasdAsyncError, StartError
from faasd_async.settings import FunctionSettings

#: What was aborted is given back within this time, or left to its lease.
_LETTING_GO_SECONDS = 10.0


class Daemon(Service):
    """The one service that twistd runs.

    :param functions: what to deploy at the start.
    :param reload: reads the settings again; raises
        :class:`~faasd_async.errors.ConfigurationError`.
    :param observer: where this daemon's log goes, if twistd's own choice is not to stand.
    :param troubles: each says why no new call is accepted although all is up, or ``None``.
    :param systemd: is told of each step.
    :param when_clock_believed: fires when what has to do with time may begin.
    :param deploy: deploys the functions of the settings, and perhaps others besides.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        parts: Parts,
        *,
        functions: Mapping[str, FunctionSettings],
        reload: Callable[[], Reading],
        drain_timeout_seconds: float,
        notices: tuple[str, ...],
        observer: ILogObserver | None,
        systemd: Notifier,
        troubles: Sequence[Callable[[], str | None]] = (),
        when_clock_believed: Callable[[], Deferred[None]] = lambda: succeed(None),
        deploy: Callable[[Mapping[str, FunctionSettings]], Awaitable[object]] | None = None,
    ) -> None:
        self._reactor = reactor
        self._parts = parts
        self._functions = functions
        self._deploy = deploy
        self._reloading = Reloading(
            reload,
            deploy or parts.deployments.deploy,
            notices,
            begins=systemd.reloading,
            ends=systemd.ready,
        )
        self._systemd = systemd
        self._drain_timeout_seconds = drain_timeout_seconds
        self._notices = notices
        self._observer = observer
        self._troubles = troubles
        self._when_clock_believed = when_clock_believed
        self._cannot_start: StartError | None = None
        self._starting: Deferred[None] | None = None
        self._was_ready = False
        self._drained: Deferred[bool] = Deferred()
        self.waiting_for: str | None = "the daemon is starting"

    def why_not_ready(self) -> str | None:
        """What keeps a call from being accepted and run, or ``None``."""
        if self.waiting_for is not None:
            return self.waiting_for
        for trouble in self._troubles:
            why = trouble()
            if why is not None:
                return why
        queue = self._parts.queue
        return queue.why_refused if queue.ready else "the queue cannot be reached"

    def setServiceParent(self, parent: IServiceCollection) -> None:
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)  # type: ignore[attr-defined]
        super().setServiceParent(parent)

    # -- up

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        try:
            self._parts.doors.open()
        except StartError as reason:
            self._cannot_start = reason

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._run)

    def _run(self) -> None:
        signals.install(self._reactor, self._stop_or_hurry, self._reload_functions)
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._not_started)

    def _how_it_is(self) -> str:
        why_not = self.why_not_ready()
        return f"ready: {len(self._parts.deployments)} functions" if why_not is None else why_not

    def _wait_for(self, what: str | None) -> None:
        self.waiting_for = what
        self._systemd.look()

    async def _start(self) -> None:
        self._systemd.start(self._how_it_is)
        for notice in self._notices:
            self._log.warn("{notice}", notice=notice)
        parts = self._parts
        parts.lock.acquire()
        if self._cannot_start is not None:
            # After the lock: whoever holds that holds the ports too, and is to be named.
            raise self._cannot_start
        parts.ground.when_lost = partial(self._end_drain, False)
        parts.ground.take()
        self._wait_for("processes that an earlier daemon left behind are ending")
        await parts.processes.start()
        self._wait_for("the clock is not set yet")
        await self._when_clock_believed()
        self._wait_for("the broker is starting")
        if parts.broker is not None:
            await parts.broker.start()
        self._wait_for("the functions are starting")
        await (self._deploy or parts.deployments.deploy)(self._functions)
        if parts.provider is not None:
            self._wait_for("the provider of functions is asked for them")
            await parts.provider.start()
        parts.sweeping.start()
        self._log.info("{count} functions are deployed", count=len(parts.deployments))
        self._wait_for("the queue is being recovered")
        if parts.broker is None:
            # Somebody else's may stay away for long; synchronous calls are served meanwhile.
            self._systemd.ready()
        await parts.queue.start()
        parts.ground.take()
        for hand in parts.hands:
            hand.start()
        for onlooker in parts.onlookers:
            onlooker.start()
        self._was_ready = True
        self._wait_for(None)
        parts.doors.let_in()
        self._systemd.ready()
        self._log.info(
            "ready: {count} functions, pid {pid}", count=len(parts.deployments), pid=os.getpid()
        )
        self._reloading.start()

    def _not_started(self, failure: Any) -> None:
        if failure.check(CancelledError) or (not self.running and failure.check(FaasdAsyncError)):
            return  # it was stopped before it had started
        if failure.check(FaasdAsyncError):
            self._log.critical("cannot start: {reason}", reason=failure.getErrorMessage())
            # twistd has made a log of sys.stderr; whoever typed the command looks at this one.
            if sys.__stderr__ is not None:
                sys.__stderr__.write(f"faasd-async cannot start: {failure.getErrorMessage()}\n")
        else:
            self._log.failure("cannot start: this is a bug", failure=failure)
        _leave_with(1)
        self._reactor.stop()

    # -- changes

    def _reload_functions(self) -> None:
        if self.running:
            self._reloading.ask()

    # -- down

    def _stop_or_hurry(self) -> None:
        """The first signal stops the daemon, a second one its patience."""
        if self.running:
            self._reactor.stop()
        else:
            self._end_drain(False)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self.waiting_for = "the daemon is stopping"
        self._systemd.stopping()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        parts = self._parts
        if self._starting is not None:
            self._starting.cancel()
        reloaded = Deferred.fromCoroutine(self._reloading.stop())
        await self._bring_down(parts.doors.close)
        for onlooker in parts.onlookers:
            await self._bring_down(onlooker.stop)
        for hand in parts.hands:
            await self._bring_down(hand.stop_taking)
        await self._bring_down(lambda: reloaded)
        if parts.provider is not None:
            stopping = parts.provider.stop()
            await self._bring_down(lambda: Deferred.fromCoroutine(stopping))
        if self._starting is not None:
            # What it had begun to start is stopped by now.
            await self._starting
        await self._bring_down(self._drain)
        await self._bring_down(parts.queue.stop)
        await self._bring_down(parts.sweeping.stop)
        await self._bring_down(parts.deployments.stop)
        await self._bring_down(parts.processes.stop)
        if parts.broker is not None:
            await self._bring_down(parts.broker.stop)
        await self._bring_down(parts.ground.release)
        await self._bring_down(partial(parts.lock.release, in_order=self._was_ready))
        self._systemd.stop()
        self._log.info("stopped")

    async def _bring_down(self, stop: Callable[[], object]) -> None:
        """Stop a part and wait for it; one that fails at it must not keep the next one up."""
        try:
            await maybeDeferred(stop)
        except OSError as reason:
            # The state directory is gone, or its disk has failed.
            self._log.error(
                "a part of the daemon did not stop as it should: {reason}", reason=reason
            )
        except Exception:
            self._log.failure("a part of the daemon did not stop as it should: this is a bug")

    async def _drain(self) -> None:
        """Let what is in hand come to its end, within the time there is."""
        parts = self._parts
        idle = Deferred.fromCoroutine(self._when_idle())
        idle.addCallbacks(lambda _: self._end_drain(True), self._never_idle)
        timer = self._reactor.callLater(self._drain_timeout_seconds, self._end_drain, False)
        all_done = await self._drained
        if timer.active():
            timer.cancel()
        if not all_done:
            given_back = sum(hand.give_up() for hand in parts.hands)
            letting_go = gatherResults([hand.when_idle() for hand in parts.hands])
            letting_go.addTimeout(_LETTING_GO_SECONDS, self._reactor)
            await letting_go
            self._tell_of_aborted(given_back)

    def _tell_of_aborted(self, count: int) -> None:
        lost = self._parts.ground.lost
        if lost is None:
            self._log.warn(
                "{count} calls and callbacks were aborted and given back; these will run again",
                count=count,
            )
        else:
            self._log.critical(
                "{count} calls and callbacks were aborted. These, and all that waited, run again"
                " only if what was moved is put back: {why}",
                count=count,
                why=lost,
            )

    async def _when_idle(self) -> None:
        """Wait until nothing is in hand, and then until no invocation runs: in this order, for a
        call in hand may still need a token, and the other takes all of them away."""
        await gatherResults([hand.when_idle() for hand in self._parts.hands])
        await self._parts.deployments.when_idle()

    def _never_idle(self, failure: Any) -> None:
        self._log.failure("nobody can tell what is in hand: this is a bug", failure=failure)
        self._end_drain(False)

    def _end_drain(self, all_done: bool) -> None:
        if not self._drained.called:
            self._drained.callback(all_done)


def _leave_with(status: int) -> None:
    """End the process with *status* once twistd has cleaned up after the reactor.

    twistd has no way to say it: it returns 0 whenever the reactor was stopped.
    """

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    atexit.register(leave)
