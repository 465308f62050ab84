"""The settings are read again while the daemon runs, and the functions in them deployed.

One reading at a time: who asks meanwhile has the settings read once more after it, so that what
the file said last is what holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.errors import FaasdAsyncError
from faasd_async.settings import FunctionSettings


@dataclass(frozen=True)
class Reading:
    """The settings as they are now.

    :ivar functions: what is to be deployed.
    :ivar notices: lines for the operator.
    :ivar restart_needed: the keys that have changed and will count from the next start.
    """

    functions: Mapping[str, FunctionSettings]
    notices: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()


class Reloading:
    """Reads and deploys when it is asked to.

    :param read: reads the settings; raises :class:`~faasd_async.errors.ConfigurationError`.
    :param deploy: makes functions the deployments, or changes nothing and raises.
    :param told: the notices that the operator knows already.
    :param begins: called when a reading begins, and ``ends`` when it is over, well or not.
    """

    _log = Logger()

    def __init__(
        self,
        read: Callable[[], Reading],
        deploy: Callable[[Mapping[str, FunctionSettings]], Awaitable[object]],
        told: tuple[str, ...],
        *,
        begins: Callable[[], None] = lambda: None,
        ends: Callable[[], None] = lambda: None,
    ) -> None:
        self._read = read
        self._deploy = deploy
        self._told = told
        self._begins = begins
        self._ends = ends
        self._wanted = False
        self._may_begin = False
        self._under_way: Deferred[None] | None = None

    def ask(self) -> None:
        """Have the settings read again, as soon as may be."""
        self._wanted = True
        self._begin()

    def start(self) -> None:
        """From now on, and for whoever has asked before."""
        self._may_begin = True
        self._begin()

    async def stop(self) -> None:
        """Break off what is under way, and wait until nothing is left of it."""
        self._may_begin = False
        if self._under_way is not None:
            self._under_way.cancel()
            await self._under_way

    def _begin(self) -> None:
        if not self._wanted or not self._may_begin or self._under_way is not None:
            return
        self._wanted = False
        self._begins()
        self._under_way = under_way = Deferred.fromCoroutine(self._read_and_deploy())
        under_way.addErrback(self._not_deployed).addCallback(lambda _: self._over())

    def _over(self) -> None:
        self._under_way = None
        if self._may_begin:
            self._ends()
        self._begin()

    async def _read_and_deploy(self) -> None:
        reading = self._read()
        await self._deploy(reading.functions)
        for notice in reading.notices:
            if notice not in self._told:
                self._log.warn("{notice}", notice=notice)
        self._told = reading.notices
        if reading.restart_needed:
            self._log.warn(
                "changed, and without effect until the daemon is started anew: {keys}",
                keys=", ".join(reading.restart_needed),
            )
        self._log.info("{count} functions are deployed now", count=len(reading.functions))

    def _not_deployed(self, failure: Failure) -> None:
        if failure.check(FaasdAsyncError):
            self._log.error(
                "the functions stay as they are: the settings cannot be used: {reason}",
                reason=failure.getErrorMessage(),
            )
        elif not failure.check(CancelledError):
            self._log.failure("the functions stay as they are: this is a bug", failure=failure)
