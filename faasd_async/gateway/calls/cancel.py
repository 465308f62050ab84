"""Cancelling a call, wherever it is.

The end is written first, and whoever writes first has ended the call: from then on it is cancelled,
and no crash makes it run to another end. Then it is taken out of the queue, and last whoever has it
in hand is told to let go. To cancel a call once more takes the steps that may be missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.logger import Logger

from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt
from faasd_async.call.known import Known
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.errors import QueueError
from faasd_async.gateway.calls.asked import Asked, link_to, unknown
from faasd_async.gateway.calls.sheet import is_under_way
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.refusal import RETRY_SOON, Refusal, answered
from faasd_async.queue.interface import Backlog, Lookup, Peers

#: Who closes a request before it is answered has no status of its own; this one is customary.
CLIENT_CLOSED_REQUEST = 499

WHY = "it was cancelled"

End = Callable[[QueueRequest, Ending], Awaitable[bool]]


class Cancellation:
    """Cancels calls.

    :param end: writes a call's end down, what follows from it included; returns whether this is
        the end that stands, and raises :class:`~faasd_async.errors.QueueError`.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    _log = Logger()

    def __init__(
        self,
        lookup: Lookup,
        backlog: Backlog,
        peers: Peers,
        waiting: Waiting,
        *,
        end: End,
        now_ns: Callable[[], int],
    ) -> None:
        self._lookup = lookup
        self._backlog = backlog
        self._peers = peers
        self._waiting = waiting
        self._end = end
        self._now_ns = now_ns

    async def cancel(self, asked: Asked) -> Known:
        """Cancel the call that is asked for.

        :return: what was known of it.
        :raises Refusal: 404, there is none; 409, it has ended otherwise, or several are meant;
            503, not all could be written, and it may be tried once more.
        """
        known = await answered(self._lookup.find(*asked))
        if known is None:
            raise unknown(asked)
        if known.others:
            raise _ambiguous(known, asked)
        request = known.request
        if known.ending is None and request is not None:
            if not await self._write_end(known, request):
                await self._look_again(known)
        elif known.ending is None or known.ending.state != "cancelled":
            raise _over(known)
        if request is not None:
            await answered(self._backlog.remove(request))
            self._peers.abort(known.name.key)
        self._waiting.ended(known.name.key)
        return known

    async def _look_again(self, known: Known) -> None:
        """Somebody was faster; if that was another cancellation, this one has come true as well.

        :raises Refusal: 409, it has come to another end.
        """
        key = known.name.key
        now = await answered(self._lookup.find(key.call_id, key.accept))
        if now is None or now.ending is None or now.ending.state != "cancelled":
            raise _over(known if now is None else now)

    async def _write_end(self, known: Known, request: QueueRequest) -> bool:
        """
        :return: whether this is the end that stands.
        """
        grip, now_ns = await self._peers.ask(known.name.key), self._now_ns()
        history, seconds = known.history, 0.0
        if grip is not None:
            history = grip.history
            if is_under_way(history, grip):
                seconds = (now_ns - grip.begun_ns) / 1e9
                attempt = Attempt(grip.begun_ns, CLIENT_CLOSED_REQUEST, seconds, WHY)
                history = history.with_attempt(attempt)
        outcome = Outcome(CLIENT_CLOSED_REQUEST, (), b"", seconds, WHY)
        ending = Ending("cancelled", outcome, history, now_ns)
        try:
            stands = await self._end(request, ending)
        except QueueError as reason:
            raise Refusal(503, f"the call cannot be cancelled: {reason}", RETRY_SOON) from None
        if stands:
            self._log.info(
                "call {call_id} of {function} is cancelled",
                call_id=request.key.call_id,
                function=request.function,
            )
        return stands


def _ambiguous(known: Known, asked: Asked) -> Refusal:
    links = ", ".join(link_to(name, known, asked) for name in (known.name, *known.others)[:20])
    return Refusal(409, f"several calls share this id; say which: {links}")


def _over(known: Known) -> Refusal:
    state = "ended" if known.ending is None else known.ending.state
    return Refusal(409, f"there is nothing to cancel: the call is over ({state})")
