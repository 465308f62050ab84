"""Calls that may come twice, in this process's memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from faasd_async.call.body import Body
from faasd_async.call.once import Repeatable, repeatable
from faasd_async.call.request import QueueRequest
from faasd_async.queue.interface import Accepted


class MemoryKeyedCalls:
    """See :class:`~faasd_async.queue.interface.KeyedCalls`."""

    def __init__(self, put: Callable[[QueueRequest, float], Deferred[None]]) -> None:
        self._put = put
        self._secret = secrets.token_bytes(32)
        self._accepted: dict[tuple[str, str], Accepted] = {}

    def name(self, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
        return repeatable(self._secret, function, key, target, body)

    def put(self, request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Accepted | None]:
        about = request.function, request.key.accept
        if about in self._accepted:
            return succeed(self._accepted[about])
        self._accepted[about] = Accepted(request.key, request.start_time_ns, request.digest)
        return self._put(request, delay_seconds).addCallback(lambda _: None)
