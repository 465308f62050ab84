"""A container that runs: the way to it, whether it answers, what it writes, and its end."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.backoff import Backoff
from faasd_async.runtime.container.engine import Engine
from faasd_async.runtime.container.errors import EngineError, NoSuchThing
from faasd_async.runtime.container.frames import STDERR, Frames
from faasd_async.runtime.container.launching import Launched
from faasd_async.runtime.journal import Keep, unkept
from faasd_async.runtime.process.logs import ProcessLog
from faasd_async.runtime.process.readiness import answers
from faasd_async.runtime.reactor import IRuntimeReactor
from faasd_async.runtime.upstream import Upstream
from faasd_async.runtime.watch import watch
from faasd_async.settings import FunctionSettings

FIRST_ASKING_SECONDS = 0.1
LONGEST_ASKING_SECONDS = 5.0

#: So long its last words may take once it has ended.
LAST_WORDS_SECONDS = 2.0


class Container:
    """A container that has been started.

    It does not depend on the engine: one that is away for a while is asked again until it answers.

    :param busy: as for :func:`~faasd_async.runtime.watch.watch`, like *looked*.
    :param now_seconds: the wall clock, Unix time.
    :param keep: is given each line that it writes.
    :ivar upstream: the way to it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IRuntimeReactor,
        engine: Engine,
        settings: FunctionSettings,
        launched: Launched,
        *,
        busy: Callable[[], bool],
        looked: Callable[[bool], object],
        now_seconds: Callable[[], float],
        keep: Keep = unkept,
    ) -> None:
        self._reactor = reactor
        self._engine = engine
        self._settings = settings
        self.name = launched.name
        self._busy = busy
        self._looked = looked
        self._now_seconds = now_seconds
        self._keep = keep
        self._logged_until = None if launched.is_new else now_seconds()
        self._waiting: Deferred[int | None] | None = None
        self._ending: Deferred[None] | None = None
        self.upstream = Upstream(
            reactor,
            settings.name,
            f"http://127.0.0.1:{launched.port}",
            max_inflight=settings.max_inflight,
            connect_timeout_seconds=settings.connect_timeout_seconds,
        )

    async def live(self) -> int | None:
        """Watch it until it ends.

        :return: its exit code; ``None`` if nobody can tell.
        """
        watching = Deferred.fromCoroutine(
            watch(
                self._reactor,
                self._look,
                busy=self._busy,
                looked=self._looked,
                interval_seconds=self._settings.container.healthcheck_interval_seconds,
            )
        )
        watching.addErrback(self._not_seen_to)
        logging = Deferred.fromCoroutine(self._log_what_it_writes())
        logging.addErrback(self._not_seen_to)
        self._waiting = Deferred.fromCoroutine(self._when_ended())
        try:
            return await self._waiting
        except CancelledError:
            return None
        finally:
            watching.cancel()
            self._looked(False)
            await self.upstream.stop()
            await logging.addTimeout(LAST_WORDS_SECONDS, self._reactor)

    def end(self, grace_seconds: float) -> None:
        """Make it end; what it says to that is still logged."""
        if self._ending is None:
            self._ending = Deferred.fromCoroutine(self._end(grace_seconds))
            self._ending.addErrback(self._not_seen_to)

    async def _end(self, grace_seconds: float) -> None:
        try:
            await self._engine.stop(self.name, grace_seconds)
        except EngineError as reason:
            self._log.warn(
                "{function}: its container cannot be stopped: {reason}",
                function=self._settings.name,
                reason=str(reason),
            )
        finally:
            if self._waiting is not None:
                self._waiting.cancel()

    async def _look(self) -> bool:
        return await answers(
            self.upstream, self._settings.name, self._settings.container.ready_path
        )

    async def _when_ended(self) -> int | None:
        pauses = Backoff(FIRST_ASKING_SECONDS, LONGEST_ASKING_SECONDS)
        failed_at = float("-inf")
        while True:
            try:
                return await self._engine.when_ended(self.name)
            except NoSuchThing:
                return None
            except EngineError as reason:
                now = self._reactor.seconds()
                if now - failed_at > 2 * LONGEST_ASKING_SECONDS:
                    # Not the same trouble as before: that would have come again sooner.
                    pauses.steady()
                    self._log.warn(
                        "{function}: whether it runs cannot be asked now: {reason}",
                        function=self._settings.name,
                        reason=str(reason),
                    )
                failed_at = now
            await deferLater(self._reactor, pauses.next_seconds())

    async def _log_what_it_writes(self) -> None:
        pauses = Backoff(FIRST_ASKING_SECONDS, LONGEST_ASKING_SECONDS)
        while True:
            await self._follow()
            await deferLater(self._reactor, pauses.next_seconds())
            try:
                if not (await self._engine.inspect(self.name)).is_running:
                    return
            except NoSuchThing:
                return
            except EngineError:
                pass  # The one who waits for its end says so.

    async def _follow(self) -> None:
        """Log what it writes, until the engine has no more of it."""
        out, err = self._log_of("stdout"), self._log_of("stderr")
        frames = Frames(lambda stream, piece: (err if stream == STDERR else out).received(piece))
        try:
            await self._engine.follow(self.name, self._logged_until, frames.feed)
        except EngineError:
            pass
        finally:
            self._logged_until = self._now_seconds()
            out.finish()
            err.finish()

    def _log_of(self, stream: str) -> ProcessLog:
        prefixed = self._settings.container.prefix_logs
        log = ProcessLog(self._settings.name, stream, prefixed=prefixed, keep=self._keep)
        log.instance = self.name
        return log

    def _not_seen_to(self, reason: Failure) -> None:
        if not reason.check(CancelledError, TimeoutError):
            self._log.failure("nobody sees to {function}", reason, function=self._settings.name)
