"""Calls that may come twice and are stored once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.body import Body
from faasd_async.call.ids import CallKey
from faasd_async.call.once import Repeatable
from faasd_async.call.request import QueueRequest


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is known of a call that was accepted before.

    :ivar digest: as :class:`~faasd_async.call.once.Repeatable` has it.
    """

    key: CallKey
    start_time_ns: int
    digest: str


class KeyedCalls(Protocol):
    """Calls that their callers may repeat, and that are stored once."""

    def name(self, function: str, key: bytes, target: bytes, body: Body) -> Repeatable:
        """What makes a request the same call as another.

        :raises QueueUnavailable: the queue was never reached.
        """

    def put(self, request: QueueRequest, delay_seconds: float = 0.0) -> Deferred[Accepted | None]:
        """Store a call, unless it was accepted before.

        :param delay_seconds: it is to be taken after that.
        :return: how it was accepted before, or ``None``; durable either way. Fails as
            :meth:`.Queue.put_call`.
        """
