"""Listing the calls that are in this process's memory."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred, fail, succeed

from faasd_async.call.known import CallName
from faasd_async.call.request import NOT_TRIED
from faasd_async.queue.listing import BadPlace, CallPage, End, Listed, Wanted
from faasd_async.queue.memory.find import Memories


class MemoryListing:
    """See :class:`~faasd_async.queue.listing.Listing`."""

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    def page(self, wanted: Wanted, after: str | None, limit: int) -> Deferred[CallPage]:
        skipped = after or "0"
        if not (skipped.isascii() and skipped.isdigit() and len(skipped) < 20):
            return fail(BadPlace(after))
        found = {each.name: each for each in self._all() if _is_meant(each, wanted)}
        calls = sorted(found.values(), key=lambda each: each.changed_ns, reverse=True)
        end = int(skipped) + limit
        return succeed(CallPage(calls[int(skipped) : end], str(end) if end < len(calls) else None))

    def _all(self) -> Iterator[Listed]:
        for entry in self._memories.calls:
            request = entry.parcel
            name = CallName(request.function, request.key)
            noted_in, history = self._memories.histories.get(name, (0, NOT_TRIED))
            if noted_in < request.generation:
                history = request.history
            yield Listed(
                name,
                request.queue,
                request.start_time_ns,
                request.start_time_ns,
                "later" if entry.put_off else "queue",
                len(history.attempts),
            )
        for (function, key), (request, ending) in self._memories.endings.items():
            attempts, outcome = len(ending.history.attempts), ending.outcome
            yield Listed(
                CallName(function, key),
                request.queue,
                request.start_time_ns,
                ending.ended_ns,
                "ended",
                attempts,
                End(ending.state, outcome.status, outcome.duration_seconds, attempts),
            )


def _is_meant(call: Listed, wanted: Wanted) -> bool:
    if wanted.call_id not in (None, call.name.key.call_id):
        return False
    if wanted.function not in (None, call.name.function) or call.where not in wanted.where:
        return False
    return call.end is None or wanted.states is None or call.end.state in wanted.states
