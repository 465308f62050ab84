"""How a call ended."""

from __future__ import annotations

from typing import Literal

import msgspec

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import CallbackRequest, Outcome, QueueRequest

State = Literal["succeeded", "failed", "dead", "cancelled", "expired"]

#: Why a call is a dead letter: its retries are used up, it failed and no retry was asked for, it
#: took its daemon down too often, its time was over, or nobody can read it.
Reason = Literal["exhausted", "failed", "crashed", "expired", "orphaned", "unreadable"]

#: Why an answer is nobody's to see: its function's ``results.keep`` is none, or it is larger than
#: ``results.max_bytes``, or large where ``keep`` is short; ``keep`` is over; a dead letter alone is
#: left; or the record does not say which of the first four.
Withheld = Literal["unwanted", "large", "brief", "over", "buried", "unsaid"]


class Ending(msgspec.Struct, frozen=True, gc=False):
    """The terminal record of a call: whoever writes it first has ended the call.

    :ivar outcome: the last answer; without headers and body where results are not kept.
    :ivar ended_ns: Unix nanoseconds.
    :ivar reason: why it is a dead letter, if it is one.
    :ivar withheld: why the answer is not to be shown to anybody; if it is there all the same, it is
        for the callback's sake alone. ``None``: it is to be shown.
    """

    state: State
    outcome: Outcome
    history: History
    ended_ns: int
    reason: Reason | None = None
    withheld: Withheld | None = None


def callback_url_of(request: QueueRequest, ending: Ending) -> CallbackUrl | None:
    """Where a call's end is told, if anywhere.

    A caller may have named a place of their own for what is no success.
    """
    if ending.state != "succeeded" and request.on_failure is not None:
        return request.on_failure
    return request.callback


#: What died: a call, or the callback that was to tell a call's end.
Kind = Literal["call", "callback"]


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A call that did not succeed, whole, kept for somebody to look at.

    :ivar request: with what was tried of it.
    :ivar status: the last answer's.
    :ivar error: why there was no answer of the function's own; empty if there was one.
    """

    request: QueueRequest
    reason: Reason
    status: int
    error: str
    ended_ns: int

    @property
    def kind(self) -> Kind:
        return "call"

    @property
    def function(self) -> str:
        return self.request.function

    @property
    def key(self) -> CallKey:
        return self.request.key


#: Why a callback is a dead letter: its tries are used up, its endpoint said 410, it would have been
#: one call too many of a chain, it was no call that this daemon takes, or too many others waited
#: while its receiver did not keep up.
Undelivered = Literal["exhausted", "gone", "looped", "refused", "crowded"]


class DeadCallback(msgspec.Struct, frozen=True, gc=False):
    """A callback that could not be delivered, whole.

    :ivar status: the endpoint's last answer; 0 if there was none.
    :ivar error: why there was none; empty if there was one.
    :ivar tries: how many there were.
    :ivar attempts: the last of them, one by one.
    """

    callback: CallbackRequest
    reason: Undelivered
    status: int
    error: str
    tries: int
    ended_ns: int
    attempts: tuple[Attempt, ...] = ()

    @property
    def kind(self) -> Kind:
        return "callback"

    @property
    def function(self) -> str:
        return self.callback.function

    @property
    def key(self) -> CallKey:
        return self.callback.key


class SealedLetter(msgspec.Struct, frozen=True, gc=False):
    """A dead letter that this version cannot read, but can tell from others.

    :ivar why: what is the matter with it.
    :ivar message: the bytes of it, header and all.
    """

    kind: Kind
    function: str
    key: CallKey
    why: str
    message: bytes

    @property
    def reason(self) -> Reason:
        return "unreadable"


Letter = DeadLetter | DeadCallback | SealedLetter
