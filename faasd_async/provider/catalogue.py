"""What another provider has: asked for again and again, and remembered while it does not answer.

It is asked once for all who want to know at the same time. Whoever deploys through us, and whoever
calls a function that is not known, waits for an answer that is newer than the question: somebody
else may have deployed it there a moment ago. But for functions that nobody knows it is asked once a
second at most, and who calls one waits until it is time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.errors import FaasdAsyncError
from faasd_async.provider.errors import ProviderAway, ProviderError, ProviderRefused
from faasd_async.provider.interface import Asks
from faasd_async.provider.listed import ListReader, Sheet, Sheets
from faasd_async.provider.remembered import Remembered
from faasd_async.settings import FunctionSettings

#: A list that is no older is good enough to be shown; and between two questions there is so much
#: time, if they are asked on account of functions that are not known.
FRESH_SECONDS = 1.0

#: So many namespaces of it count.
MOST_NAMESPACES = 100

#: So many may wait for its answer, and so many more until it may be asked.
MOST_WAITING = 1000

_DECODE_NAMES = msgspec.json.Decoder(list[str]).decode
_DECODE_SHEETS = msgspec.json.Decoder(list[Sheet]).decode


class Catalogue:
    """Keeps the list.

    :param deploy: has functions deployed in place of those it was given before.
    :param namespace: the one that is meant where none is named.
    :ivar reader: makes settings of what is listed.
    :ivar sheets: what each namespace was last known to hold.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        provider: Asks,
        reader: ListReader,
        remembered: Remembered,
        *,
        deploy: Callable[[Mapping[str, FunctionSettings]], Awaitable[object]],
        namespace: str,
        refresh_seconds: float,
    ) -> None:
        self.reader = reader
        self.sheets: Sheets = {}
        self._clock = clock
        self._provider = provider
        self._remembered = remembered
        self._deploy = deploy
        self._namespace = namespace
        self._refresh_seconds = refresh_seconds
        self._functions: Mapping[str, FunctionSettings] = {}
        self._told: list[str] = []
        #: When the last question began, and when the last one that was answered.
        self._began_seconds = float("-inf")
        self._asked_seconds: float | None = None
        self._away = False
        self._under_way: Deferred[None] | None = None
        self._next: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        #: Those who wait until it may be asked, and then for the answer.
        self._patient: list[Deferred[None]] = []
        self._is_running = False

    def start(self) -> Deferred[None]:
        """Deploy what was known last, and ask for what there is; from then on again and again.

        :return: fires when the provider has answered, or has not.
        """
        self._is_running = True
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        known = self._remembered.read()
        if known:
            await self._take(known)
        # What goes wrong has been logged by then, and it is asked again.
        with suppress(ProviderError):
            await self.when_fresh()

    async def stop(self) -> None:
        """Ask no more."""
        self._is_running = False
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._under_way is not None:
            self._under_way.cancel()
        waiting = [*self._waiting, *self._patient]
        self._waiting.clear()
        self._patient.clear()
        for waiter in waiting:
            waiter.errback(ProviderAway("the daemon is stopping"))
        await self._provider.close()

    # -- who waits

    def when_fresh(self) -> Deferred[None]:
        """:return: fires when the list is newer than this question; fails with a
        :class:`ProviderError`, and then it is as it was."""
        return self._wait_with(self._waiting)

    def when_looked_for(self) -> Deferred[None]:
        """As :meth:`when_fresh`, on account of a function that is not known: however many of these
        are called, the provider is asked no more often than it may be."""
        return self._wait_with(self._patient)

    def _wait_with(self, others: list[Deferred[None]]) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        if not self._is_running or len(others) >= MOST_WAITING:
            waiter.errback(ProviderAway("the provider cannot be asked now"))
            return waiter
        others.append(waiter)
        if self._under_way is None:
            self._plan()
        return waiter

    def when_about_fresh(self) -> Deferred[None]:
        """As :meth:`when_fresh`, if the list is not from a moment ago."""
        asked = self._asked_seconds
        if asked is not None and self._clock.seconds() - asked < FRESH_SECONDS:
            return succeed(None)
        return self.when_fresh()

    def _plan(self) -> None:
        """Ask when it is time for it, which may be now."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
        wait_seconds = self._refresh_seconds
        if self._waiting:
            wait_seconds = 0.0
        elif self._patient:
            since_seconds = self._clock.seconds() - self._began_seconds
            wait_seconds = min(wait_seconds, FRESH_SECONDS - since_seconds)
        if wait_seconds > 0:
            self._next = self._clock.callLater(wait_seconds, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._next = None
        waiting = [*self._waiting, *self._patient]
        self._waiting.clear()
        self._patient.clear()
        self._began_seconds = began = self._clock.seconds()
        self._under_way = under_way = Deferred.fromCoroutine(self._refresh())
        under_way.addCallbacks(lambda _: self._is_back(began), self._is_away)
        under_way.addBoth(self._over, waiting)

    def _over(self, reason: Failure | None, waiting: list[Deferred[None]]) -> None:
        self._under_way = None
        for waiter in waiting:
            waiter.callback(reason)
        # One of those may have had it asked again.
        if self._under_way is None and self._is_running:
            self._plan()

    def _is_back(self, began_seconds: float) -> None:
        self._asked_seconds = began_seconds
        if self._away:
            self._away = False
            self._log.info("the provider answers again")

    def _is_away(self, failure: Failure) -> Failure:
        if failure.check(CancelledError):
            return Failure(ProviderAway("the daemon is stopping"))
        if not failure.check(FaasdAsyncError):
            self._log.failure("the provider was not asked: this is a bug", failure)
            return Failure(ProviderAway("the provider cannot be asked"))
        if not self._away:
            self._away = True
            self._log.error(
                "{reason}; what is known of its {count} functions holds on",
                reason=failure.getErrorMessage(),
                count=len(self._functions),
            )
        if failure.check(ProviderError):
            return failure
        return Failure(ProviderAway(failure.getErrorMessage()))

    # -- what it has

    async def _refresh(self) -> None:
        sheets: dict[str, list[Sheet]] = {}
        for namespace in await self._namespaces():
            answer = await self._provider.ask("GET", "functions", [("namespace", namespace)])
            try:
                sheets[namespace] = _DECODE_SHEETS(answer)
            except msgspec.MsgspecError as reason:
                raise ProviderAway(f"the provider's list cannot be read: {reason}") from None
        if await self._take(sheets):
            await self._remembered.write(sheets)

    async def _namespaces(self) -> list[str]:
        """Ours first."""
        try:
            found = _DECODE_NAMES(await self._provider.ask("GET", "namespaces"))
        except (ProviderRefused, msgspec.MsgspecError):
            found = []  # It knows none.
        return list(dict.fromkeys([self._namespace, *found]))[:MOST_NAMESPACES]

    async def _take(self, sheets: Sheets) -> bool:
        """:return: whether that changed anything."""
        functions, notices = self.reader.read(sheets)
        for notice in notices:
            if notice not in self._told:
                self._log.warn("{notice}", notice=notice)
        self._told = notices
        changed = functions != self._functions
        if changed:
            await self._deploy(functions)
            self._functions = functions
        self.sheets = sheets
        return changed
