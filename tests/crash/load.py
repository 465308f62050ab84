"""Callers: so many at a time, who keep the id of every call whose 202 they have read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import httptools
from raw_http import request_bytes
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

BODY = b"x" * 1024

#: What a caller who was refused, or cut off, does before it tries again.
_PAUSE_SECONDS = 0.05


#: A 504 says that nobody knows.
_SURELY_REFUSED = (503, 507)


class Load:
    """Calls a daemon's function without a break, through refusals and while nobody listens.

    :param callers: each has one connection, and one call at a time.
    :param named: each call's id is its caller's, who so knows that of one that is refused.
    :param accepted_status: 202, or 200 for callers who wait for the function itself.
    :ivar accepted: ids, in the order in which their 202s were read.
    :ivar accepted_at: when, on the reactor's clock, in seconds.
    :ivar seconds: how long each of these took.
    :ivar refused: the other answers, by status.
    :ivar never: the ids of those that were surely not stored and must never run, if they are named.
    :ivar cut_off: how many calls got no answer at all.
    """

    def __init__(
        self,
        reactor: Any,
        port: int,
        path: str = "/async-function/noted",
        *,
        callers: int = 64,
        body: bytes = BODY,
        fields: tuple[tuple[str, str], ...] = (),
        named: bool = False,
        accepted_status: int = 202,
    ) -> None:
        self.reactor = reactor
        self.endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=10)
        self._plain = request_bytes("POST", path, fields, body)
        self._request = partial(request_bytes, "POST", path)
        self._fields, self._body, self._named = fields, body, named
        self.accepted: list[str] = []
        self.accepted_at: list[float] = []
        self.seconds: list[float] = []
        self.refused: Counter[int] = Counter()
        self.never: set[str] = set()
        self.cut_off = 0
        self.running = True
        self._accepted_status = accepted_status
        self._left: int | None = 0
        self._callers = [_Caller(self) for _ in range(callers)]
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def begin(self, calls: int | None = None) -> None:
        """Make so many calls more, or calls until :meth:`stop`."""
        self._left = calls
        for caller in self._callers:
            caller.go_on()

    def stop(self) -> None:
        """Hang up for good, whatever is under way."""
        self.running = False
        for caller in self._callers:
            caller.stop()

    def when_accepted(self, count: int, patience_seconds: float) -> Deferred[None]:
        """Fires when so many have been accepted in all, at the moment the 202 is read."""
        return self._when(lambda: len(self.accepted) >= count, patience_seconds)

    def when_answered(self, count: int, patience_seconds: float) -> Deferred[None]:
        """Fires when so many have been answered in all, whatever the answers were."""
        return self._when(
            lambda: len(self.accepted) + self.refused.total() >= count, patience_seconds
        )

    def when_refused(self, count: int, patience_seconds: float) -> Deferred[None]:
        """Fires when so many have been refused in all."""
        return self._when(lambda: self.refused.total() >= count, patience_seconds)

    def _when(self, enough: Callable[[], bool], patience_seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        if enough():
            waiting.callback(None)
            return waiting
        self._waiting.append((enough, waiting))
        return waiting.addTimeout(patience_seconds, self.reactor)

    async def push(self, calls: int, patience_seconds: float) -> list[str]:
        """Have exactly so many calls more accepted.

        :return: their ids.
        """
        before = len(self.accepted)
        self.begin(calls)
        await self.when_accepted(before + calls, patience_seconds)
        return self.accepted[before:]

    # -- what callers ask and report

    def take_one(self) -> bool:
        """Whether there is one more call to make."""
        if self._left is None:
            return self.running
        self._left -= 1
        return self.running and self._left >= 0

    def request(self) -> tuple[bytes, str]:
        """One more request, and its call id if it has one."""
        if not self._named:
            return self._plain, ""
        call_id = str(uuid4())
        return self._request((*self._fields, ("X-Call-Id", call_id)), self._body), call_id

    def answered(self, status: int, call_id: str, seconds: float) -> bool:
        """:return: whether the call was accepted."""
        accepted = status == self._accepted_status
        if accepted:
            self.accepted.append(call_id)
            self.accepted_at.append(self.reactor.seconds())
            self.seconds.append(seconds)
        else:
            self.refused[status] += 1
            if status in _SURELY_REFUSED and call_id:
                self.never.add(call_id)
        for waiter in list(self._waiting):
            enough, waiting = waiter
            if enough():
                self._waiting.remove(waiter)
                if not waiting.called:
                    waiting.callback(None)
        return accepted


class _Caller:
    """One who calls: one call after the other, and each again until it is accepted."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._factory = Factory.forProtocol(_Line)
        self._factory.noisy = False
        self._line: _Line | None = None
        self._calls = False
        self._pausing: Deferred[None] | None = None

    def go_on(self) -> None:
        if not self._calls:
            self._calls = True
            Deferred.fromCoroutine(self._call())

    def stop(self) -> None:
        if self._line is not None:
            self._line.transport.abortConnection()  # type: ignore[union-attr]
        if self._pausing is not None:
            self._pausing.cancel()

    async def _call(self) -> None:
        load = self._load
        while load.take_one():
            while load.running and not await self._is_accepted():
                await self._pause()
        self._calls = False

    async def _is_accepted(self) -> bool:
        load = self._load
        try:
            if self._line is None or self._line.lost:
                self._line = await load.endpoint.connect(self._factory)  # type: ignore[assignment]
        except ConnectError:
            return False
        assert self._line is not None
        asked_at = load.reactor.seconds()
        try:
            request, own_id = load.request()
            status, call_id = await self._line.ask(request)
        except ConnectionError:
            load.cut_off += load.running
            return False
        return load.answered(status, call_id or own_id, load.reactor.seconds() - asked_at)

    async def _pause(self) -> None:
        if not self._load.running:
            return
        self._pausing = deferLater(self._load.reactor, _PAUSE_SECONDS)
        try:
            await self._pausing
        except CancelledError:
            pass  # the load is stopped
        finally:
            self._pausing = None


class _Line(Protocol):
    """A caller's connection."""

    def __init__(self) -> None:
        self.lost = False
        self._answer: Deferred[tuple[int, str]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._call_id = ""

    def ask(self, request: bytes) -> Deferred[tuple[int, str]]:
        """Fires with the status and the call id; fails with :class:`ConnectionError`."""
        answer = self._answer = Deferred()
        if self.lost:
            self._fail()
        else:
            self.transport.write(request)  # type: ignore[union-attr]
        return answer

    def dataReceived(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = True
        self._fail()

    def _fail(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(ConnectionError("no answer came"))

    def on_message_begin(self) -> None:
        self._call_id = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-call-id":
            self._call_id = value.decode("latin-1")

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback((self._parser.get_status_code(), self._call_id))
