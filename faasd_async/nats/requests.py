"""Requests and their answers, over one subscription.

Every request names a reply subject of its own below one inbox (``_INBOX.<client>.<number>``), and
one wildcard subscription hears them all. An open request is a callable in a map: no Deferred, no
timer. One timer, which runs only while a request is open, looks for those whose time is up.
"""

import secrets
from collections.abc import Callable
from typing import TypeAlias

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from faasd_async.nats.errors import NatsError, NoResponders, RequestTimedOut
from faasd_async.nats.wire import Message

OnReply: TypeAlias = Callable[[Message | NatsError], None]

SWEEP_SECONDS = 0.1
_NO_RESPONDERS = b"NATS/1.0 503"


def new_inbox() -> bytes:
    """Return a subject nobody else listens to, to be continued with tokens of its owner's."""
    return b"_INBOX.%b" % secrets.token_hex(11).encode()


class Requests:
    """The open requests of one client."""

    def __init__(self, clock: IReactorTime) -> None:
        self._log = Logger()
        self._clock = clock
        self._prefix = new_inbox() + b"."
        self._prefix_bytes = len(self._prefix)
        self._count = 0
        self._open: dict[bytes, tuple[OnReply, float, bytes]] = {}
        self._sweep_call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def wildcard(self) -> bytes:
        """The subject under which all answers come."""
        return self._prefix + b"*"

    def open(self, subject: bytes, on_reply: OnReply, timeout_seconds: float) -> bytes:
        """Expect an answer; return the subject it is to be sent to."""
        self._count += 1
        token = b"%d" % self._count
        self._open[token] = (on_reply, self._clock.seconds() + timeout_seconds, subject)
        if self._sweep_call is None:
            self._sweep_call = self._clock.callLater(SWEEP_SECONDS, self._sweep)
        return self._prefix + token

    def forget(self, reply: bytes) -> None:
        """Expect no answer any more."""
        self._open.pop(reply[self._prefix_bytes :], None)

    def received(self, message: Message) -> None:
        """Hand an answer to the one who waits for it; a late one is dropped."""
        entry = self._open.pop(message.subject[self._prefix_bytes :], None)
        if entry is None:
            return
        if message.header_block.startswith(_NO_RESPONDERS) and not message.payload:
            subject = entry[2].decode("latin-1")
            entry[0](NoResponders(f"nobody answers requests to {subject}"))
        else:
            entry[0](message)

    def fail_all(self, error: NatsError) -> None:
        """End every open request with an error."""
        entries, self._open = self._open, {}
        for on_reply, _, subject in entries.values():
            self._fail(on_reply, subject, error)
        if self._sweep_call is not None and not self._open:
            self._sweep_call.cancel()
            self._sweep_call = None

    def _sweep(self) -> None:
        self._sweep_call = None
        now = self._clock.seconds()
        late = [token for token, (_, deadline, _) in self._open.items() if deadline <= now]
        for token in late:
            entry = self._open.pop(token, None)
            if entry is not None:
                on_reply, _, subject = entry
                where = subject.decode("latin-1")
                self._fail(on_reply, subject, RequestTimedOut(f"no answer in time from {where}"))
        if self._open and self._sweep_call is None:
            self._sweep_call = self._clock.callLater(SWEEP_SECONDS, self._sweep)

    def _fail(self, on_reply: OnReply, subject: bytes, error: NatsError) -> None:
        try:
            on_reply(error)
        except Exception:
            self._log.failure(
                "the sender of a request to {subject} failed", subject=subject.decode("latin-1")
            )
