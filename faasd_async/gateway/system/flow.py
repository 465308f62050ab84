"""What an operator orders of the calls on their way: pause, resume, purge.

An order is about a function or about a queue, and answered when it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.body import is_stored
from faasd_async.call.request import QueueRequest
from faasd_async.call.route import without_namespace
from faasd_async.errors import MaybeStored, QueueError
from faasd_async.gateway.refusal import RETRY_SOON, Refusal, unknown_function
from faasd_async.gateway.system.flow_sheet import FlowSheet, Sheet
from faasd_async.gateway.system.letter_sheet import shown
from faasd_async.queue.interface import OfFunction, OfQueue, Queue, Source, told
from faasd_async.runtime.deployments import Deployment

T = TypeVar("T")


class Flow:
    """Fulfils the orders.

    :param recall: lets nothing of a source begin that a worker has in hand already, and returns
        those of its calls that have begun.
    :param let_go: lets go of those who wait for calls: some may be gone.
    :param namespace: the one that may stand behind a function's name.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        deployments: Mapping[str, Deployment],
        sheet: FlowSheet,
        *,
        recall: Callable[[Source], Sequence[QueueRequest]],
        let_go: Callable[[], None],
        namespace: str,
    ) -> None:
        self._queue = queue
        self._deployments = deployments
        self._sheet = sheet
        self._recall = recall
        self._let_go = let_go
        self._namespace = namespace

    def function(self, name: str) -> OfFunction:
        """
        :raises Refusal: 404, no function is called so.
        """
        source = OfFunction(without_namespace(name, self._namespace))
        # What is paused can be resumed, deployed or not.
        if source.function in self._deployments or source in self._queue.pauses:
            return source
        raise unknown_function(name)

    def queue(self, name: str) -> OfQueue:
        """
        :raises Refusal: 404, no function's calls wait in a queue that is called so.
        """
        source = OfQueue(name)
        used = any(each.settings.queue == name for each in self._deployments.values())
        if used or source in self._queue.pauses:
            return source
        raise Refusal(404, f"no queue is called {name}")

    async def sheet(self) -> Sheet:
        """Every queue and its functions, in numbers.

        :raises Refusal: 503 or 504, the queue did not answer as it should.
        """
        return await _asked(Deferred.fromCoroutine(self._sheet.read()))

    async def pause(self, source: Source) -> Sheet:
        """As :meth:`sheet`."""
        await _asked(self._queue.pauses.pause(source))
        self._log.info("an operator has paused {source}", source=source)
        return _about(source) | {"paused": True}

    async def resume(self, source: Source) -> Sheet:
        """As :meth:`sheet`."""
        await _asked(self._queue.pauses.resume(source))
        self._log.info("an operator has resumed {source}", source=source)
        return _about(source) | {"paused": False}

    async def purge(self, source: Source) -> Sheet:
        """Remove what waits; what runs comes to its end. As :meth:`sheet`."""
        running = self._recall(source)
        spared = self._spare_bodies(running)
        try:
            removed = await _asked(self._queue.backlog.purge(source))
            for request in running:
                await _asked(self._put_again(request))
        finally:
            spared()
        await _asked(self._queue.when_durable())
        self._let_go()
        purged = max(removed - len(running), 0)
        self._log.warn(
            "an operator has purged {source} of {count} calls", source=source, count=purged
        )
        return _about(source) | {"purged": purged}

    def _spare_bodies(self, running: Sequence[QueueRequest]) -> Callable[[], None]:
        """Of those that a purge takes along and that are put again, until they are.

        :return: ends that.
        """
        if self._queue.bodies is None:
            return lambda: None
        return self._queue.bodies.spare(
            request.body for request in running if is_stored(request.body)
        )

    def _put_again(self, request: QueueRequest) -> Deferred[None]:
        """A purge takes along what runs, which comes to its end after a crash, too.

        Said to have waited for its time, it is looked up when it is handed out, and found to run or
        to have ended. It may have been put a moment ago, and is to be there all the same.
        """
        not_before_ns = request.not_before_ns or request.start_time_ns
        again = replace(request, not_before_ns=not_before_ns)
        return told(lambda stored: self._queue.put_call_then(again, stored))


def _about(source: Source) -> Sheet:
    if isinstance(source, OfFunction):
        return {"function": shown(source.function)}
    return {"queue": shown(source.queue)}


async def _asked(answer: Deferred[T]) -> T:
    try:
        return await answer
    except MaybeStored as reason:
        raise Refusal(504, f"the queue did not answer in time: {reason}", RETRY_SOON) from reason
    except QueueError as reason:
        raise Refusal(503, f"the queue cannot do it now: {reason}", RETRY_SOON) from reason
