"""What became of a call: the function's own answer, as soon as it is there."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import Body
from faasd_async.call.ending import Ending, Withheld
from faasd_async.call.headers import Headers, end_to_end, first, replaced
from faasd_async.call.known import CallName
from faasd_async.gateway.arrival import path_of
from faasd_async.gateway.calls.asked import Asked, unknown
from faasd_async.gateway.calls.waiting import Waiting
from faasd_async.gateway.prefer import LONGEST_SECONDS
from faasd_async.gateway.receipt import Receipt
from faasd_async.gateway.refusal import RETRY_SOON, Refusal, answered
from faasd_async.gateway.written import BODILESS
from faasd_async.queue.interface import Lookup, Records

_ETAG = re.compile(rb'(?:W/)?("[^"]*")')

#: What a function may not say to a browser, for it would hold for all that is at this daemon's
#: address, and for whoever fetches the answer, who need not be the one who called.
_OF_THE_ADDRESS = frozenset(
    (b"set-cookie", b"set-cookie2", b"clear-site-data", b"strict-transport-security", b"alt-svc")
)

_WHY_WITHHELD: dict[Withheld, str] = {
    "unwanted": "the function's results.keep is 0s",
    "large": "it is larger than the function's results.max_bytes",
    "brief": "it is larger than 64 KiB, and the function's results.keep is under a minute",
    "over": "the function's results.keep is over",
    "buried": "the call's dead letter alone is left",
    "unsaid": "the function's results.keep or results.max_bytes did not allow it",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer."""

    status: int
    fields: Headers
    body: Body

    def with_fields(self, *fields: tuple[bytes, bytes]) -> Shown:
        """The same, with these in place of any others of their names."""
        return replace(self, fields=replaced(self.fields, fields))

    def for_one_who_has(self, if_none_match: bytes | None) -> Shown:
        """The same for a client that has an answer already: 304 if it is this one."""
        tag = first(self.fields, b"etag")
        if if_none_match is None or tag is None or not 200 <= self.status < 300:
            return self
        if if_none_match.strip() != b"*" and _bare(tag) not in _ETAG.findall(if_none_match):
            return self
        kept = (b"etag", b"x-call-id", b"x-function-status", b"cache-control")
        return Shown(304, [field for field in self.fields if field[0].lower() in kept], b"")


@dataclass(frozen=True, slots=True)
class Waited:
    """What came of waiting for a call that was just accepted.

    :ivar seconds: how long it was waited at most; ``None``: not at all.
    """

    seconds: int | None = None
    result: Shown | None = None


def _bare(tag: bytes) -> bytes:
    return tag.removeprefix(b"W/")


class Results:
    """Looks results up, and waits for them."""

    def __init__(
        self, clock: IReactorTime, lookup: Lookup, records: Records, waiting: Waiting
    ) -> None:
        self._clock = clock
        self._lookup = lookup
        self._records = records
        self._waiting = waiting

    async def find(self, asked: Asked, seconds: float) -> Shown:
        """The result of a call; 202 if it is not there within so many seconds.

        :raises Refusal: 404, there is no such call; 410, its result is not there any more; 503.
        """
        known = await answered(self._lookup.find(*asked))
        if known is None:
            raise unknown(asked)
        ending = known.ending
        if ending is None and known.place is not None and seconds > 0:
            ending = await self.wait(known.name, seconds, known.generation)
        elif known.is_forgotten:
            raise _gone(known.name, "it is kept no longer")
        if ending is None:
            return receipt(known.name, *RETRY_SOON)
        if ending.withheld is not None:
            why = _WHY_WITHHELD[ending.withheld]
            raise _gone(
                known.name, f"the call has ended ({ending.state}); its answer is not kept: {why}"
            )
        return shown(known.name, ending)

    async def wait(self, name: CallName, seconds: float, generation: int = 0) -> Ending | None:
        """How a call ends, as soon as it does; ``None`` if it does not in time.

        :raises Refusal: 503, too many wait, or the queue cannot be asked.
        """
        waiter = self._waiting.join(name)
        deadline = self._clock.seconds() + min(seconds, LONGEST_SECONDS)
        try:
            while True:
                ending = await answered(self._records.find_ending(*name, generation))
                left_seconds = deadline - self._clock.seconds()
                if ending is not None or waiter.is_over or left_seconds <= 0:
                    return ending
                await waiter.when_rung(left_seconds)
        finally:
            waiter.leave()

    async def wait_for_receipt(self, receipt: Receipt, seconds: int | None) -> Waited:
        """Wait for a call whose receipt is due in any case: nothing that fails here matters."""
        if seconds is None:
            return Waited()
        try:
            ending = await self.wait(receipt.name, seconds)
        except Refusal:
            return Waited()
        if ending is None or ending.withheld is not None:
            return Waited(seconds)
        return Waited(seconds, shown(receipt.name, ending))


def shown(name: CallName, ending: Ending) -> Shown:
    """A function's answer, as the one who fetches it gets it.

    It comes from this daemon's address, where other things are, so that a browser must not let it
    do what a page of ours could.
    """
    outcome = ending.outcome
    fields = end_to_end(outcome.headers, without=_OF_THE_ADDRESS)
    ours = [
        (b"X-Call-Id", name.key.call_id.encode()),
        (b"X-Function-Status", b"%d" % outcome.status),
        (b"X-Duration-Seconds", b"%f" % outcome.duration_seconds),
        (b"Content-Security-Policy", b"sandbox"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    if first(fields, b"etag") is None:
        ours.append((b"ETag", b'"%x"' % ending.ended_ns))
    if first(fields, b"cache-control") is None:
        ours.append((b"Cache-Control", b"private, no-cache"))
    if outcome.status not in BODILESS:
        ours.append((b"Content-Length", b"%d" % len(outcome.body)))
    return Shown(outcome.status, replaced(fields, ours), outcome.body)


def receipt(name: CallName, *more: tuple[bytes, bytes]) -> Shown:
    """A 202 that says where to look for a call."""
    fields = (
        (b"X-Call-Id", name.key.call_id.encode()),
        (b"Location", path_of(name.key.call_id).encode()),
        (b"Cache-Control", b"no-store"),
        (b"Content-Length", b"0"),
    )
    return Shown(202, (*fields, *more), b"")


def _gone(name: CallName, why: str) -> Refusal:
    return Refusal(410, why, ((b"X-Call-Id", name.key.call_id.encode()),))
