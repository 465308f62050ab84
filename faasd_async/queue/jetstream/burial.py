"""What cannot be read: it becomes a dead letter, whole, before the queue forgets it.

Nobody can run it, and nobody can say any more where its end is to be told. But somebody was
promised something, and a person may read what a program cannot.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.ending import Ending
from faasd_async.call.ids import CallKey
from faasd_async.call.request import NOT_TRIED, Outcome, QueueRequest
from faasd_async.nats.jetstream import JetStreamMessage
from faasd_async.queue.jetstream.dead_letters import JetStreamDeadLetters
from faasd_async.queue.jetstream.records import JetStreamRecords
from faasd_async.queue.jetstream.subjects import (
    CALLBACKS,
    read_callback_subject,
    read_queued_subject,
)
from faasd_async.settings import ResultSettings

_INTERNAL_ERROR = 500

#: In place of the names that a foreign subject does not tell.
_NOBODY = "unreadable"


class Burial:
    """Makes dead letters of what cannot be read.

    :param when_durable: fires when all that was stored is as durable as it has to be.
    :param now_ns: the wall clock, Unix nanoseconds.
    """

    _log = Logger()

    def __init__(
        self,
        records: JetStreamRecords,
        dead_letters: JetStreamDeadLetters,
        when_durable: Callable[[], Deferred[None]],
        now_ns: Callable[[], int],
    ) -> None:
        self._records = records
        self._dead_letters = dead_letters
        self._when_durable = when_durable
        self._now_ns = now_ns

    def bury(self, message: JetStreamMessage, why: str) -> Deferred[None]:
        """Keep a message; when this fires it may be terminated.

        :return: fails with a :class:`~faasd_async.errors.QueueError`; it may be tried again.
        """
        return Deferred.fromCoroutine(self._bury(message, why))

    async def _bury(self, message: JetStreamMessage, why: str) -> None:
        is_callback = message.stream == CALLBACKS
        queue, function, key = _named(message, is_callback)
        now_ns = self._now_ns()
        if not is_callback:
            request = QueueRequest(function, queue, key, 0, b"/", (), b"")
            outcome = Outcome(_INTERNAL_ERROR, (), b"", 0.0, f"it cannot be read: {why}")
            ending = Ending("dead", outcome, NOT_TRIED, now_ns, "unreadable")
            await self._records.record_ending(request, ending, ResultSettings())
        await self._dead_letters.put_unreadable(
            "callback" if is_callback else "call",
            (queue, function, key),
            message.header_block + message.payload,
            why,
            now_ns,
        )
        await self._when_durable()
        self._log.error(
            "the {kind} {call_id} of {function} cannot be read and is a dead letter now: {why}",
            kind="callback" if is_callback else "call",
            call_id=key.call_id,
            function=function,
            why=why,
        )


def _named(message: JetStreamMessage, is_callback: bool) -> tuple[str, str, CallKey]:
    """Queue, function and key, as far as the subject tells."""
    try:
        subject = message.subject.decode()
        if is_callback:
            return "-", *read_callback_subject(subject)
        return read_queued_subject(subject)
    except ValueError:
        place = f"{message.stream}-{message.stream_sequence}"
        return _NOBODY, _NOBODY, CallKey(place, "0")
