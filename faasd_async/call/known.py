"""What is known of a call, wherever it is on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from faasd_async.call.ending import Ending
from faasd_async.call.history import History
from faasd_async.call.ids import CallKey
from faasd_async.call.posting import NOT_POSTED, Posting
from faasd_async.call.request import QueueRequest

#: Where a call lies that has not been forgotten by the queue: it can be taken, or has to wait for
#: its time.
Place = Literal["queue", "later"]

#: What is the matter with a call's callback: its call has not ended, it waits to be delivered, it
#: was delivered or given up, or nobody remembers any more.
CallbackState = Literal["pending", "waiting", "delivered", "given_up", "forgotten"]


class CallName(NamedTuple):
    """What tells one accepted call from all others."""

    function: str
    key: CallKey


@dataclass(frozen=True, slots=True)
class CallbackKnown:
    """What is known of a call's callback.

    :ivar posting: what was tried of it.
    """

    state: CallbackState
    posting: Posting = NOT_POSTED


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one call.

    :ivar queue: empty if nobody remembers.
    :ivar accepted_ns: Unix nanoseconds; 0 if nobody remembers.
    :ivar place: ``None`` if it is not in the queue any more.
    :ivar request: the call itself, as long as it is in the queue.
    :ivar history: what was tried of it, as far as it was noted.
    :ivar not_before_ns: when its next attempt is due; 0 if that is not put off.
    :ivar ending: how it ended.
    :ivar callback: ``None`` if none was asked for.
    :ivar traceparent: the trace it belongs to; empty: none, or nobody remembers.
    :ivar others: further calls that share its id.
    """

    name: CallName
    queue: str
    accepted_ns: int
    place: Place | None
    request: QueueRequest | None
    history: History
    not_before_ns: int
    ending: Ending | None
    callback: CallbackKnown | None
    others: Sequence[CallName] = ()
    traceparent: bytes = b""

    @property
    def is_forgotten(self) -> bool:
        """There are traces of it, but neither the call nor its end."""
        return self.place is None and self.ending is None

    @property
    def generation(self) -> int:
        """How often it was replayed, as far as that matters for what is to come."""
        return 0 if self.request is None else self.request.generation


@dataclass(frozen=True, slots=True)
class Grip:
    """What whoever has a call in hand knows of it.

    :ivar begun_ns: when the attempt under way began, Unix nanoseconds; 0 if it has not yet.
    :ivar history: what was tried before that.
    """

    begun_ns: int
    history: History


def buried(letter_reason: str) -> Literal["failed", "dead", "expired"]:
    """The state of a call whose dead letter alone is left."""
    if letter_reason == "failed":
        return "failed"
    return "expired" if letter_reason == "expired" else "dead"
