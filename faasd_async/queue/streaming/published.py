"""The calls that were published into NATS Streaming by this daemon and have not come out yet.

NATS Streaming finds nothing by its name. So that a call can be asked after, and cancelled, in the
moment between its 202 and its arrival in JetStream, it is remembered here, in memory, without its
header fields and its body. Another daemon does not know of it; and one that was taken by somebody
else, OpenFaaS' own queue-worker perhaps, is remembered until so many others have come after it.
"""

from __future__ import annotations

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.known import CallbackKnown, CallName, Known
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Lookup

#: How many are remembered; the oldest are forgotten first.
MOST_REMEMBERED = 10_000


class Published:
    """What is between a 202 and JetStream."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._requests: dict[CallKey, QueueRequest] = {}

    def add(self, request: QueueRequest) -> None:
        """It is being published."""
        self._requests[request.key] = replace(request, headers=(), body=b"")
        if len(self._requests) > self._most:
            del self._requests[next(iter(self._requests))]

    def discard(self, key: CallKey) -> None:
        """It is not there: it was not stored, or has come out."""
        self._requests.pop(key, None)

    def find(self, call_id: str, accept: str | None) -> Known | None:
        """What is known of the call of an id."""
        for request in reversed(self._requests.values()):
            if request.key.call_id == call_id and accept in (None, request.key.accept):
                return _known(request)
        return None


def _known(request: QueueRequest) -> Known:
    return Known(
        name=CallName(request.function, request.key),
        queue=request.queue,
        accepted_ns=request.start_time_ns,
        place="queue",
        request=request,
        history=History(),
        not_before_ns=0,
        ending=None,
        callback=None if request.callback is None else CallbackKnown("pending"),
        traceparent=request.traceparent,
    )


class StreamingLookup:
    """See :class:`~faasd_async.queue.interface.Lookup`.

    :param beside: finds what JetStream knows, which counts first.
    """

    def __init__(self, beside: Lookup, published: Published) -> None:
        self._beside = beside
        self._published = published

    def find(self, call_id: str, accept: str | None = None) -> Deferred[Known | None]:
        return Deferred.fromCoroutine(self._find(call_id, accept))

    async def _find(self, call_id: str, accept: str | None) -> Known | None:
        # Looked for here first: meanwhile it may come out, and be found there.
        here = self._published.find(call_id, accept)
        return await self._beside.find(call_id, accept) or here
