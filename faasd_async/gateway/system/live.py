"""How things are, told again and again to whoever watches: server-sent events.

``hour`` comes first and once: the samples of the last hour. Then, every second, ``now``: every
queue and function, in numbers; ``ended``, if calls have come to their end; and ``sample``, when
there is a further one.

One timer serves all who watch, and it runs only while somebody does. What is told is looked up in
the figures and in the streams, so that the way of a call knows nothing of it. Whoever reads too
slowly is left out until they have read what they were sent: what comes then is as new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from faasd_async.gateway.refusal import RETRY_LATER, Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.system.flow import Flow
from faasd_async.gateway.system.letter_sheet import Sheet
from faasd_async.gateway.system.recent import RecentCalls

#: How many may watch at a time.
MOST_WATCHERS = 50

#: How often they are told.
EVERY_SECONDS = 1.0

#: Of more ends than that in between, the latest are told.
_MOST_ENDS = 25

#: When one whose connection broke is to come back.
_AGAIN_MILLISECONDS = 2000


class Hour(Protocol):
    """What is remembered of the last hour."""

    @property
    def every_seconds(self) -> float:
        """How far apart the samples are."""

    @property
    def count(self) -> int:
        """How many samples were ever taken."""

    def samples(self) -> Sequence[Mapping[str, object]]:
        """Those of the last hour, oldest first."""

    def paces(self) -> Mapping[str, Mapping[str, object]]:
        """How each function has done of late."""


class Live:
    """Tells them."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, hour: Hour, flow: Flow, recent: RecentCalls) -> None:
        self._hour = hour
        self._flow = flow
        self._recent = recent
        self._watchers: set[_Watcher] = set()
        self._timer = LoopingCall(self._tick)
        self._timer.clock = clock
        self._samples_told = 0
        self._ends_told: list[Sheet] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._watchers)

    async def tell(self, request: GatewayRequest) -> None:
        """Write events until the client goes or the daemon stops.

        :raises Refusal: 503, too many watch already.
        """
        if len(self._watchers) >= MOST_WATCHERS or self._closed:
            raise Refusal(503, f"{MOST_WATCHERS} clients watch already", RETRY_LATER)
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"Cache-Control", b"no-store")
        # To a proxy that would rather gather a reply before it passes it on.
        request.setHeader(b"X-Accel-Buffering", b"no")
        if request.method == b"HEAD":
            return
        watcher = _Watcher(request.write)
        request.registerProducer(watcher, True)
        request.write(b"retry: %d\n\n" % _AGAIN_MILLISECONDS + self._whole_hour())
        self._watchers.add(watcher)
        if not self._timer.running:
            self._ends_told = None
            self._samples_told = self._hour.count
            self._timer.start(EVERY_SECONDS)
        else:
            # Not only with the others' next one.
            Deferred.fromCoroutine(self._tell_now([watcher]))
        try:
            await watcher.when_over
        finally:
            self._watchers.discard(watcher)
            request.unregisterProducer()
            if not self._watchers and self._timer.running:
                self._timer.stop()

    def close(self) -> None:
        """Let everybody go: the daemon stops."""
        self._closed = True
        for watcher in tuple(self._watchers):
            watcher.let_go()

    def _whole_hour(self) -> bytes:
        sheet = {"every_seconds": self._hour.every_seconds, "samples": self._hour.samples()}
        return _event("hour", sheet)

    def _tick(self) -> Deferred[None]:
        """The next one comes when this is done, however long that takes."""
        return Deferred.fromCoroutine(self._tell_all())

    async def _tell_all(self) -> None:
        watchers = list(self._watchers)
        if self._samples_told < self._hour.count:
            self._samples_told = self._hour.count
            _write(watchers, _event("sample", self._hour.samples()[-1]))
        await self._tell_now(watchers)
        await self._tell_ends(watchers)

    async def _tell_now(self, watchers: Sequence[_Watcher]) -> None:
        try:
            sheet = await self._flow.sheet()
        except Refusal as refusal:
            _write(watchers, _event("trouble", {"why": refusal.text}))
        except Exception:
            self._log.failure("those who watch cannot be told: this is a bug")
        else:
            _write(watchers, _event("now", sheet | {"paces": self._hour.paces()}))

    async def _tell_ends(self, watchers: Sequence[_Watcher]) -> None:
        try:
            ends = list(await self._recent.ended(_MOST_ENDS))
        except Refusal:
            # It was told with the rest.
            return
        except Exception:
            self._log.failure("those who watch cannot be told of ends: this is a bug")
            return
        told, self._ends_told = self._ends_told, ends
        if told is None:
            return
        news = [each for each in ends if each not in told]
        if news:
            _write(watchers, _event("ended", {"calls": news}))


@implementer(IPushProducer)
class _Watcher:
    """One who watches.

    :ivar when_over: fires when there will be nothing more.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._is_paused = False
        self.when_over: Deferred[None] = Deferred()

    def write(self, data: bytes) -> None:
        if not self._is_paused:
            self._write(data)

    def let_go(self) -> None:
        if not self.when_over.called:
            self.when_over.callback(None)

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False

    def stopProducing(self) -> None:
        """The client has gone, and whoever waits is told of that otherwise."""


def _write(watchers: Sequence[_Watcher], event: bytes) -> None:
    for watcher in watchers:
        if not watcher.when_over.called:
            watcher.write(event)


def _event(name: str, sheet: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(sheet))
