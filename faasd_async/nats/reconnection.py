"""Keeping a connection up: attempt, hold, lose, wait, attempt.

The servers are tried in turn. After a connection that had lasted, the next attempt follows at
once; after each whole round of failures the wait doubles, up to a bound and shortened at random
so that many clients do not come back in one wave.
"""

import random
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from faasd_async.backoff import Backoff
from faasd_async.nats.address import ServerAddress, ServerSource
from faasd_async.nats.errors import NatsError, NotConnected
from faasd_async.nats.futures import new_future, resolve
from faasd_async.nats.limits import Limits
from faasd_async.nats.protocol import NatsProtocol


class Reconnection:
    """Keeps one connection up from :meth:`start` to :meth:`stop`.

    :param connect: makes a connection, handshake included.
    :param on_up: called with each connection.
    :param on_down: called with the reason when it has ended.
    :param on_failure: called with the reason of each attempt that failed.
    :param draw: a random number from 0 to 1.
    """

    def __init__(
        self,
        clock: IReactorTime,
        servers: ServerSource,
        connect: "Callable[[ServerAddress], Deferred[NatsProtocol]]",
        *,
        on_up: Callable[[NatsProtocol], None],
        on_down: Callable[[NatsError], None],
        on_failure: Callable[[Exception], None],
        limits: Limits,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._log = Logger()
        self._clock = clock
        self._servers = servers
        self._connect = connect
        self._on_up = on_up
        self._on_down = on_down
        self._on_failure = on_failure
        self._limits = limits
        self._backoff = Backoff(limits.first_delay_seconds, limits.longest_delay_seconds, draw)
        self._turn = 0
        self._failures = 0
        self._stopping = False
        self._attempt: Deferred[NatsProtocol] | None = None
        self._pause: Deferred[None] | None = None
        self._finished: Deferred[None] | None = None

    def start(self) -> None:
        """Begin with the first attempt, at once."""
        self._finished = Deferred.fromCoroutine(self._run())

    def stop(self) -> "Deferred[None]":
        """Attempt no more; fires when there is neither an attempt nor a connection."""
        self._stopping = True
        for waiting in (self._attempt, self._pause):
            if waiting is not None:
                waiting.cancel()
        finished, self._finished = self._finished, None
        if finished is None:
            finished = new_future()
            resolve(finished, None)
        return finished

    def hurry(self) -> None:
        """Forget earlier failures; end the current wait."""
        self._begin_anew()
        if self._pause is not None:
            resolve(self._pause, None)

    def server_count(self) -> int:
        """How many servers there are to choose from now."""
        return len(self._list_servers())

    async def _run(self) -> None:
        while not self._stopping:
            try:
                self._attempt = self._dial()
                protocol = await self._attempt
            except Exception as error:
                self._failures += 1
                if not self._stopping:
                    self._on_failure(error)
            else:
                await self._hold(protocol)
            finally:
                self._attempt = None
            self._turn += 1
            if not self._stopping:
                await self._wait(self._delay_seconds())

    def _dial(self) -> "Deferred[NatsProtocol]":
        servers = self._list_servers()
        if not servers:
            raise NotConnected("no NATS server is known yet")
        return self._connect(servers[self._turn % len(servers)])

    async def _hold(self, protocol: NatsProtocol) -> None:
        self._attempt = None
        since = self._clock.seconds()
        self._on_up(protocol)
        reason = await protocol.when_lost()
        if self._clock.seconds() - since >= self._limits.longest_delay_seconds:
            self._begin_anew()
        else:
            self._failures += 1
        self._on_down(reason)

    async def _wait(self, seconds: float) -> None:
        self._pause = new_future()
        call = self._clock.callLater(seconds, self._pause.callback, None)
        try:
            await self._pause
        except Exception:
            self._log.debug("stopped while waiting to reconnect")
        finally:
            self._pause = None
            if call.active():
                call.cancel()

    def _delay_seconds(self) -> float:
        rounds, remaining = divmod(self._failures, max(1, self.server_count()))
        if rounds == 0 or remaining:
            return 0.0
        return self._backoff.next_seconds()

    def _begin_anew(self) -> None:
        self._failures = 0
        self._backoff.steady()

    def _list_servers(self) -> "list[ServerAddress]":
        try:
            return list(self._servers() if callable(self._servers) else self._servers)
        except Exception:
            self._log.failure("the source of NATS server addresses failed")
            return []
