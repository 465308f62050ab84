"""Schedules: at each of their times a function is called, once, however many daemons there are.

Every daemon reckons the times by itself, and at each of them puts the same call: its key is made of
function and time, and the queue takes a key once
(:class:`~faasd_async.queue.interface.KeyedCalls`), for as long as a record of the call is kept. The
last time that was seen to is noted beside the calls, for a daemon that comes later.

A time that is a minute past or less is still kept. What is older was missed, by a machine that was
off or slept, or because the queue could not be written to: the schedule says whether that is
skipped, or made up for with one call for the last of them. The clock on the wall may jump: so
nobody sleeps for long without looking at it again, and where it has gone back by up to a day what
was seen to is not done once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueError
from faasd_async.queue.interface import Queue, Tick
from faasd_async.runtime.deployments import Deployments
from faasd_async.settings import FunctionSettings
from faasd_async.settings.cron import Cron

#: A time is kept if it is no longer past than this.
LATE_SECONDS = 60.0

#: The clock on the wall is looked at so often.
LOOK_SECONDS = 5.0

#: A note of a time further ahead was made by a clock that was wrong.
_BACK_SECONDS = 25 * 3600.0

_QUEUE_AGAIN_SECONDS = 1.0

_NS = 10**9


class Ticks:
    """Calls functions at their times.

    :param now_ns: the wall clock, Unix nanoseconds.
    :param accepted: told of each call that was put.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        deployments: Deployments,
        *,
        now_ns: Callable[[], int],
        accepted: Callable[[QueueRequest], None],
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._deployments = deployments
        self._now_ns = now_ns
        self._accepted = accepted
        self._going: dict[str, tuple[FunctionSettings, Deferred[None]]] = {}
        self._taking = False

    # -- a hand of the daemon's

    def start(self) -> None:
        """Follow the schedules of whatever is deployed, now and after each change."""
        self._taking = True
        others = self._deployments.when_changed

        def changed() -> None:
            others()
            self._fit()

        self._deployments.when_changed = changed
        self._fit()

    def stop_taking(self) -> None:
        """Let no more times come."""
        self._taking = False
        self._fit()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing more is put."""
        return gatherResults([going for _, going in self._going.values()]).addCallback(
            lambda _: None
        )

    def give_up(self) -> int:
        """There is nothing that could be."""
        return 0

    def _fit(self) -> None:
        wanted: Mapping[str, FunctionSettings] = {
            each.name: each.settings
            for each in self._deployments.values()
            if self._taking and each.settings.schedule.cron
        }
        for name, (settings, going) in list(self._going.items()):
            if wanted.get(name) != settings:
                del self._going[name]
                going.cancel()
        for name in wanted.keys() - self._going.keys():
            going = Deferred.fromCoroutine(self._follow(wanted[name]))
            self._going[name] = wanted[name], going
            going.addErrback(self._ended, name)

    def _ended(self, failure: Failure, function: str) -> None:
        if not failure.check(CancelledError):
            self._log.failure(
                "the schedule of {function} is not followed any more: this is a bug",
                failure=failure,
                function=function,
            )

    # -- one schedule

    async def _follow(self, function: FunctionSettings) -> None:
        cron = Cron(function.schedule.cron, function.schedule.timezone)
        seen_ns = await self._begin(function)
        while True:
            now_ns = self._now_ns()
            if seen_ns > now_ns + _BACK_SECONDS * _NS:
                seen_ns = now_ns
            tick_ns = cron.next_after(seen_ns)
            if tick_ns is None:
                return
            if tick_ns > now_ns:
                wait_seconds = min((tick_ns - now_ns) / _NS, LOOK_SECONDS)
                await deferLater(self._clock, wait_seconds)
            elif now_ns - tick_ns <= LATE_SECONDS * _NS:
                await self._keep(function, tick_ns)
                seen_ns = tick_ns
            else:
                seen_ns = await self._missed(function, cron, seen_ns, now_ns)

    async def _begin(self, function: FunctionSettings) -> int:
        """The last time that was seen to; of a schedule that is new, this moment."""
        schedule, now_ns = function.schedule.name, self._now_ns()
        while True:
            try:
                last = await self._queue.schedules.last(function.name)
                if last is not None and last.schedule == schedule:
                    return last.at_ns
                await self._queue.schedules.note(function.name, Tick(schedule, now_ns))
            except QueueError as reason:
                await self._again(function, reason)
            else:
                return now_ns

    async def _missed(
        self, function: FunctionSettings, cron: Cron, seen_ns: int, now_ns: int
    ) -> int:
        """Make up for times that are long past, or do not.

        :return: up to when everything is seen to.
        """
        late_ns = now_ns - round(LATE_SECONDS * _NS) - 1
        last_ns = cron.last_until(now_ns, seen_ns)
        if function.schedule.missed == "once" and last_ns is not None:
            await self._keep(function, last_ns)
            return last_ns
        self._log.warn(
            "{function} was not called at a time of its schedule, which is {ago:.0f} s past",
            function=function.name,
            ago=(now_ns - (cron.last_until(late_ns, seen_ns) or late_ns)) / _NS,
        )
        return late_ns

    async def _keep(self, function: FunctionSettings, tick_ns: int) -> None:
        """Have the function called for a time, whoever has that done."""
        while True:
            try:
                await self._put(function, tick_ns)
                return
            except QueueError as reason:
                late = self._now_ns() - tick_ns > LATE_SECONDS * _NS
                if late and function.schedule.missed == "skip":
                    return
                await self._again(function, reason)

    async def _put(self, function: FunctionSettings, tick_ns: int) -> None:
        schedules, schedule = self._queue.schedules, function.schedule.name
        if await schedules.removed(function.name) == schedule:
            return
        request = self._call(function, tick_ns)
        if await self._queue.keyed.put(request) is None:
            self._accepted(request)
        await schedules.note(function.name, Tick(schedule, tick_ns))

    def _call(self, function: FunctionSettings, tick_ns: int) -> QueueRequest:
        """The call of a time: the same one, whoever writes it."""
        body = function.schedule.payload.encode()
        name = b"schedule\0%d" % tick_ns
        repeatable = self._queue.keyed.name(function.name, name, b"/", body)
        now_ns = self._now_ns()
        key = repeatable.key(None)
        at = datetime.fromtimestamp(tick_ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = [
            (b"X-Call-Id", key.call_id.encode()),
            (b"X-Start-Time", b"%d" % now_ns),
            (b"X-Scheduled-At", at.encode()),
        ]
        return QueueRequest(
            function=function.name,
            queue=function.queue,
            key=key,
            start_time_ns=now_ns,
            target=b"/",
            headers=headers,
            body=body,
            digest=repeatable.digest,
        )

    async def _again(self, function: FunctionSettings, reason: QueueError) -> None:
        self._log.warn(
            "the schedule of {function} has to wait for the queue: {reason}",
            function=function.name,
            reason=reason,
        )
        await deferLater(self._clock, _QUEUE_AGAIN_SECONDS)
