"""How a call is at this moment."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from faasd_async.call.known import Known
from faasd_async.gateway.calls.asked import Asked, unknown
from faasd_async.gateway.calls.sheet import Sheet, sheet_of, shown, state_of
from faasd_async.gateway.refusal import Refusal, answered
from faasd_async.queue.interface import Lookup, Peers


class Step(NamedTuple):
    """Where a call is on its way.

    :ivar id: which call it is, of those that share an id, and how far it has come.
    """

    id: str
    state: str
    sheet: Sheet
    is_last: bool

    def written(self) -> bytes:
        data = msgspec.json.encode(self.sheet)
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (self.id.encode(), self.state.encode(), data)


class Status:
    """Finds out how a call is."""

    def __init__(self, lookup: Lookup, peers: Peers) -> None:
        self._lookup = lookup
        self._peers = peers

    async def find(self, asked: Asked) -> Known:
        """
        :raises Refusal: 404, there is no such call; 410, there was one; 503.
        """
        known = await answered(self._lookup.find(*asked))
        if known is None:
            raise unknown(asked)
        if known.is_forgotten:
            raise Refusal(410, "the call has ended, and what became of it is kept no longer")
        return known

    async def step(self, known: Known, asked: Asked) -> Step:
        """Where it is at this moment."""
        grip = await self._peers.ask(known.name.key) if known.place == "queue" else None
        state, sheet = state_of(known, grip), sheet_of(known, grip, asked)
        attempts = sheet["attempts"]
        assert isinstance(attempts, list)
        accept = shown(known.name.key.accept)
        step = f"{accept}.{known.generation}.{len(attempts)}.{state}"
        return Step(step, state, sheet, known.ending is not None)
