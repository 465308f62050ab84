"""What functions write, over REST: a line of JSON for each line, as they come if that is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from faasd_async.call.moments import NoMoment, parse_moment, rfc3339
from faasd_async.functions.roster import Roster
from faasd_async.gateway.query import Query, mistake
from faasd_async.gateway.refusal import RETRY_LATER, Refusal
from faasd_async.gateway.request import GatewayRequest
from faasd_async.gateway.system.orders import Namespace, refusing
from faasd_async.runtime.journal import MOST_FOLLOWERS, Follower, Journal, Line
from faasd_async.settings.mistakes import Refusal as NoDuration
from faasd_async.settings.quantities import parse_duration_or_zero

_BEGINNING = -1

_ENCODER = msgspec.json.Encoder()


class Asked(NamedTuple):
    """What is asked for.

    :ivar tail: how many of the last lines; 0: all.
    :ivar since_ns: not before, Unix nanoseconds.
    :ivar instance: whose; empty: everybody's.
    """

    function: str
    tail: int
    follow: bool
    since_ns: int
    instance: str

    def wants(self, line: Line) -> bool:
        return line.at_ns >= self.since_ns and self.instance in ("", line.instance)


class LogLines:
    """Shows lines.

    :param now_ns: the wall clock, Unix nanoseconds.
    """

    def __init__(
        self, journal: Journal, roster: Roster, namespace: Namespace, now_ns: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._roster = roster
        self._namespace = namespace
        self._now_ns = now_ns

    async def show(self, query: Query, request: GatewayRequest) -> None:
        """Answer *request*.

        :raises Refusal: there is nothing to be told.
        """
        await self.tell(self.read(query), request)

    def read(self, query: Query) -> Asked:
        """
        :raises Refusal: 400, it is not understood; 404, there is no such function.
        """
        name = query.text("name")
        if name is None:
            raise mistake("name", "none", "a function's name")
        bare = self._namespace.bare(name, query.text("namespace"))
        with refusing():
            self._roster.find(bare)
        return Asked(
            function=bare,
            tail=_tail(query.text("tail")),
            follow=query.flag("follow"),
            since_ns=self._since_ns(query.text("since")),
            instance=query.text("instance") or "",
        )

    def _since_ns(self, text: str | None) -> int:
        if text is None:
            return 0
        try:
            return self._now_ns() - round(parse_duration_or_zero(text) * 1e9)
        except NoDuration:
            pass
        try:
            return parse_moment(text)
        except NoMoment:
            raise mistake(
                "since", repr(text[:40]), 'a time such as "2030-01-31T08:00:00Z", or a duration'
            ) from None

    async def tell(self, asked: Asked, request: GatewayRequest) -> None:
        """Write what there is, and, if it is asked for, what comes, until the client goes, the
        function is removed or the daemon stops.

        :raises Refusal: 503, too many follow already.
        """
        if asked.follow and self._journal.followers >= MOST_FOLLOWERS:
            raise Refusal(503, f"{MOST_FOLLOWERS} clients follow logs already", RETRY_LATER)
        request.setHeader(b"Content-Type", b"application/x-ndjson")
        # To a proxy that would rather gather a reply before it passes it on.
        request.setHeader(b"X-Accel-Buffering", b"no")
        lines = self._journal.lines(asked.function)
        shown = [line for line in lines if asked.wants(line)][-asked.tail :]
        if not asked.follow:
            request.write(self._written(asked, shown))
            return
        follower, leave = self._journal.follow(asked.function)
        try:
            request.write(self._written(asked, shown))
            await self._follow(asked, lines[-1].number if lines else _BEGINNING, follower, request)
        finally:
            leave()

    async def _follow(
        self, asked: Asked, seen: int, follower: Follower, request: GatewayRequest
    ) -> None:
        pace = _Pace(follower)
        request.registerProducer(pace, True)
        try:
            while not follower.is_over:
                await follower.when_rung()
                if pace.is_paused:
                    continue
                lines = self._journal.lines(asked.function, seen)
                if lines:
                    missing = lines[0].number - seen - 1
                    seen = lines[-1].number
                    shown = [line for line in lines if asked.wants(line)]
                    request.write(self._missing(asked, missing) + self._written(asked, shown))
        finally:
            request.unregisterProducer()

    def _missing(self, asked: Asked, count: int) -> bytes:
        if not count:
            return b""
        text = f"({count} lines are missing here: they came faster than they were read)"
        return self._written(asked, [Line(0, self._now_ns(), "", text)])

    def _written(self, asked: Asked, lines: Sequence[Line]) -> bytes:
        """A line of JSON for each."""
        return _ENCODER.encode_lines(
            [
                {
                    "name": asked.function,
                    "namespace": self._namespace.name,
                    "instance": line.instance,
                    "timestamp": rfc3339(line.at_ns),
                    "text": line.text,
                }
                for line in lines
            ]
        )


@implementer(IPushProducer)
class _Pace:
    """Waits for a client that reads slowly."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.is_paused = False

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        self.is_paused = False
        self._follower.ring()

    def stopProducing(self) -> None:
        """The client has gone, and whoever waits here is told of that otherwise."""


def _tail(text: str | None) -> int:
    """:return: how many lines; 0 for all, which clients say as 0 or -1."""
    if text is None:
        return 0
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        return max(int(text), 0)
    raise mistake("tail", repr(text[:40]), "a number of lines")
