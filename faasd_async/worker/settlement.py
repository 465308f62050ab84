"""The end of a call: the order in which it is written down.

1. The terminal record. Whoever writes it first has ended the call; the others find it there.
2. The callback, if one is owed, with a copy of its own of the body.
3. The dead letter, if the call did not succeed.
4. The barrier: all of that is on disk.
5. The delivery is settled, and the queue forgets the call.

A crash between any two of these leaves a call that comes again. Its terminal record is found,
the steps that may be missing are taken once more, and the function is not invoked. Each of the
steps may be taken twice and counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from faasd_async.call.ending import DeadLetter, Ending
from faasd_async.call.request import CallbackRequest, QueueRequest
from faasd_async.queue.interface import Queue
from faasd_async.settings import FunctionSettings, ResultSettings

#: For a function that is not deployed any more.
_KEEP = ResultSettings()
_USUAL_ATTEMPTS = 1

LetterWriter = Callable[[QueueRequest, Ending, int], CallbackRequest]


class Settlement:
    """Writes ends down.

    :param write_letter: what a callback says, given the most attempts the policy allows.
    :param find_settings: a function's, if it is deployed.
    """

    def __init__(
        self,
        queue: Queue,
        write_letter: LetterWriter,
        find_settings: Callable[[str], FunctionSettings | None],
    ) -> None:
        self._queue = queue
        self._write_letter = write_letter
        self._find_settings = find_settings

    async def end(self, request: QueueRequest, ending: Ending) -> None:
        """Write a call's end down; when this returns its delivery may be settled.

        If somebody has ended the call before, that end stands and is completed.

        :raises QueueError: not everything could be written; it may all be written again.
        """
        settings = self._find_settings(request.function)
        keep = _KEEP if settings is None else settings.results
        if await self._queue.records.record_ending(request, ending, keep):
            await self._write_rest(request, ending, settings)
        else:
            await self.complete(request)

    async def complete(self, request: QueueRequest) -> bool:
        """Take the steps that may be missing of an end that somebody recorded.

        :return: whether there was one.
        :raises QueueError: as :meth:`end`.
        """
        recorded = await self._queue.records.find_ending(request.function, request.key)
        if recorded is None:
            return False
        await self._write_rest(request, recorded, self._find_settings(request.function))
        return True

    async def _write_rest(
        self, request: QueueRequest, ending: Ending, settings: FunctionSettings | None
    ) -> None:
        if request.callback is not None:
            most = _USUAL_ATTEMPTS if settings is None else settings.retry.attempts
            await self._queue.put_callback(self._write_letter(request, ending, most))
        kept = settings is None or settings.dead_letters == "failed"
        if ending.reason is not None and kept:
            await self._queue.dead_letters.put(_dead_letter(request, ending))
        await self._queue.when_durable()


def _dead_letter(request: QueueRequest, ending: Ending) -> DeadLetter:
    assert ending.reason is not None
    return DeadLetter(
        request=replace(request, history=ending.history),
        reason=ending.reason,
        status=ending.outcome.status,
        error=ending.outcome.error,
        ended_ns=ending.ended_ns,
    )
