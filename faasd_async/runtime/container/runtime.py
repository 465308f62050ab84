"""A function that is an image: one container, which comes, goes, and comes again.

One coroutine, :meth:`ContainerRuntime._live`, is its whole life: bring a container up, stay with it
until it ends, wait a little, again. One that nobody calls is let go of, if the settings say so, and
the life rests until somebody does. A call that finds none waits until there is one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.backoff import Backoff
from faasd_async.errors import NotRunning
from faasd_async.runtime.collect import gather_whole
from faasd_async.runtime.container.errors import EngineError
from faasd_async.runtime.container.idle import when_idle
from faasd_async.runtime.container.installation import Installation
from faasd_async.runtime.container.running import Container
from faasd_async.runtime.deadline import UnderWay
from faasd_async.runtime.interface import Invocation, Passing, Receiver, Reply, WhenWhole
from faasd_async.runtime.passing import pass_reply
from faasd_async.runtime.process.group import how_it_ended
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.settings import FunctionSettings

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A container that ran this long is not in a loop of crashes: the delays begin anew."""

T = TypeVar("T")


class ContainerRuntime:
    """The :class:`~faasd_async.runtime.interface.WholeRuntime` of an ``image`` function.

    :meth:`start` does not wait for the container, nor fail for want of an engine: the daemon has
    other functions. Calls of this one are told why it is not there.

    How many calls wait is bounded by the deployment's tokens, and how long by ``start_timeout``.

    :param draw: a random number from 0 to 1, for the delays before a restart.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IRuntimeReactor,
        settings: FunctionSettings,
        installation: Installation,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._function = settings.name
        self._installation = installation
        self._draw = draw
        self._under_way = UnderWay(reactor)
        self._stopped = True
        self._life: Deferred[None] = succeed(None)
        #: What the life waits for, if a stop may end that wait.
        self._step: Deferred[Any] | None = None
        self._container: Container | None = None
        self._ready = False
        #: The container ends because nobody calls.
        self._let_go = False
        self._calls = 0
        self._waiting: set[Deferred[None]] = set()
        self._resting: Deferred[None] | None = None
        #: Why there is no container, once it could not be brought up.
        self._why_not: str | None = None
        self._stage = "its container is being started"

    @property
    def is_ready(self) -> bool:
        """Whether there is a container, and it answers."""
        return self._ready and self._container is not None

    def start(self) -> Deferred[None]:
        self._stopped = False
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(self._died)
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """:return: fires when the container has ended and is removed."""
        self._stopped = True
        self._under_way.abort()
        if self._container is not None:
            self._end(self._container)
        if self._step is not None:
            self._step.cancel()
        return self._life

    # -- calls

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        self._calls += 1
        if self._ready and self._container is not None:
            return self._container.upstream.invoke(invocation, timeout_seconds)
        held = Deferred.fromCoroutine(self._hold(invocation))
        return self._under_way.bound(self._function, timeout_seconds, held)

    def invoke_whole(
        self,
        invocation: Invocation,
        timeout_seconds: float,
        most_bytes: int,
        when_whole: WhenWhole,
    ) -> Callable[[], None]:
        """See :class:`~faasd_async.runtime.interface.WholeRuntime`."""
        if self._ready and self._container is not None:
            self._calls += 1
            return self._container.upstream.invoke_whole(
                invocation, timeout_seconds, most_bytes, when_whole
            )
        replying = self.invoke(invocation, timeout_seconds)
        return gather_whole(replying, most_bytes, when_whole, invocation.spill)

    def invoke_passing(
        self, invocation: Invocation, timeout_seconds: float, receiver: Receiver
    ) -> Passing:
        """See :class:`~faasd_async.runtime.interface.PassingRuntime`."""
        if self._ready and self._container is not None:
            self._calls += 1
            return self._container.upstream.invoke_passing(invocation, timeout_seconds, receiver)
        return pass_reply(self.invoke(invocation, timeout_seconds), receiver)

    def when_over(self) -> None:
        """At once: what a function does behind a connection that was closed cannot be seen."""

    async def _hold(self, invocation: Invocation) -> Reply:
        await self._when_ready()
        assert self._container is not None
        return await self._container.upstream.exchange(invocation)

    async def _when_ready(self) -> None:
        if self._stopped:
            raise NotRunning(f"{self._function} is not started")
        if self._why_not is not None:
            raise NotRunning(f"{self._function} is not there: {self._why_not}")
        ready: Deferred[None] = Deferred()
        self._waiting.add(ready)
        self._wake()
        limit_seconds = self._settings.container.start_timeout_seconds
        try:
            await ready.addTimeout(limit_seconds, self._reactor)
        except TimeoutError:
            raise NotRunning(
                f"{self._function} was not ready within {limit_seconds:g} s: {self._stage}"
            ) from None
        except CancelledError:
            raise NotRunning(f"{self._function} is not ready") from None
        finally:
            self._waiting.discard(ready)

    def _wanted(self) -> bool:
        """Whether calls are with the container, or wait for it."""
        container = self._container
        return len(self._under_way) > 0 or (
            container is not None and container.upstream.in_flight > 0
        )

    def _busy(self) -> bool:
        """Whether calls are with the container."""
        return self._ready and self._wanted()

    # -- its life

    async def _live(self) -> None:
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, self._draw)
        try:
            while not self._stopped:
                container = await self._bring_up()
                if container is not None and await self._stay_with(container, backoff):
                    continue
                await self._unless_stopped(deferLater(self._reactor, backoff.next_seconds()))
        except CancelledError:
            if not self._stopped:
                raise

    async def _bring_up(self) -> Container | None:
        """:return: a container that runs, if there can be one."""
        launcher = self._installation.launcher
        try:
            prepared = await self._unless_stopped(
                Deferred.fromCoroutine(launcher.prepare(self._settings, self._set_stage))
            )
            launched = await launcher.launch(self._settings, prepared)
        except EngineError as reason:
            self._cannot(str(reason))
            return None
        if self._why_not is not None:
            self._log.info("{function} can be started now", function=self._function)
        self._why_not = None
        self._stage = f"it does not answer GET {self._settings.container.ready_path} with 2xx yet"
        return Container(
            self._reactor,
            self._installation.engine,
            self._settings,
            launched,
            busy=self._busy,
            looked=self._looked,
            now_seconds=self._installation.now_seconds,
            keep=self._installation.keep,
        )

    async def _stay_with(self, container: Container, backoff: Backoff) -> bool:
        """Stay until it has ended and is removed; if it was let go of, until it is wanted again.

        :return: whether another is wanted at once.
        """
        began = self._reactor.seconds()
        self._container = container
        if self._stopped:
            self._end(container)
        self._let_go = False
        idling = self._watch_idleness(container)
        try:
            exit_code = await container.live()
        finally:
            idling.cancel()
            self._container, self._ready = None, False
        await self._installation.ours.remove(container.name)
        if self._let_go:
            self._log.info(
                "{function} is at zero: nobody has called it for {seconds:g} s",
                function=self._function,
                seconds=self._settings.container.zero_after_seconds,
            )
            backoff.steady()
            await self._rest()
            return True
        if self._stopped:
            return True
        end = "is gone" if exit_code is None else how_it_ended(exit_code)
        self._log.warn("{function} {end} and is started again", function=self._function, end=end)
        self._stage = f"its container {end}, and is started again"
        if self._reactor.seconds() - began >= STEADY_SECONDS:
            backoff.steady()
        return False

    def _watch_idleness(self, container: Container) -> Deferred[None]:
        after_seconds = self._settings.container.zero_after_seconds
        if not after_seconds:
            return succeed(None)

        def idle(_: None) -> None:
            self._let_go, self._ready = True, False
            self._end(container)

        idling = Deferred.fromCoroutine(
            when_idle(self._reactor, after_seconds, lambda: self._calls, self._wanted)
        )
        return idling.addCallbacks(idle, lambda reason: reason.trap(CancelledError) and None)

    async def _rest(self) -> None:
        """Wait until somebody calls."""
        self._stage = "its container is being started"
        if self._waiting or self._stopped:
            return
        self._resting = Deferred()
        try:
            await self._unless_stopped(self._resting)
        finally:
            self._resting = None

    def _wake(self) -> None:
        if self._resting is not None and not self._resting.called:
            self._resting.callback(None)

    def _end(self, container: Container) -> None:
        container.end(self._installation.grace_seconds)

    async def _unless_stopped(self, step: Deferred[T]) -> T:
        """Wait for *step*, which :meth:`stop` cancels."""
        self._step = step
        if self._stopped:
            step.cancel()
        try:
            return await step
        finally:
            self._step = None

    # -- what is told

    def _looked(self, ready: bool) -> None:
        if self._let_go:
            return
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

    def _set_stage(self, stage: str) -> None:
        self._stage = stage
        self._log.info("{function}: {stage}", function=self._function, stage=stage)

    def _cannot(self, reason: str) -> None:
        if reason != self._why_not:
            self._log.error(
                "function {function} cannot be started: {reason}",
                function=self._function,
                reason=reason,
            )
        self._why_not = reason
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            each.errback(NotRunning(f"{self._function} is not there: {reason}"))

    def _died(self, failure: Failure) -> None:
        self._log.failure(
            "nobody sees to {function}: this is a bug", failure, function=self._function
        )
        self._cannot("the daemon has a bug, which its log tells of")
