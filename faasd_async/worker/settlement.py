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

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.ending import DeadLetter, Ending, callback_url_of
from faasd_async.call.request import CallbackName, CallbackRequest, QueueRequest
from faasd_async.errors import CallTooLarge, QueueError, QueueUnavailable
from faasd_async.queue.interface import Queue
from faasd_async.settings import FunctionSettings, ResultSettings
from faasd_async.worker.retry import most_attempts
from faasd_async.worker.shorter import versions

#: For a function that is not deployed any more.
_KEEP = ResultSettings()
_USUAL_ATTEMPTS = 1

T = TypeVar("T")


class CallbackStore(Protocol):
    """Where callbacks are put; see :class:`~faasd_async.queue.interface.Queue`."""

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]: ...

    def put_callback_then(
        self, callback: CallbackRequest, stored: Callable[[QueueError | None], None]
    ) -> None: ...


LetterWriter = Callable[[QueueRequest, Ending, int], CallbackRequest]


class Settlement:
    """Writes ends down.

    :param write_letter: what a callback says, given the most attempts the policy allows.
    :param find_settings: a function's, if it is deployed.
    :param ended: told of each end that is written here and stands, and whether the call becomes a
        dead letter.
    :param callbacks: where callbacks are put; the queue itself unless given.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        write_letter: LetterWriter,
        find_settings: Callable[[str], FunctionSettings | None],
        ended: Callable[[QueueRequest, Ending, bool], None] = lambda request, ending, buried: None,
        callbacks: CallbackStore | None = None,
    ) -> None:
        self._queue = queue
        self._callbacks = callbacks or queue
        self._write_letter = write_letter
        self._find_settings = find_settings
        self._ended = ended

    async def end(self, request: QueueRequest, ending: Ending) -> bool:
        """Write a call's end down; when this returns its delivery may be settled.

        If somebody has ended the call before, that end stands and is completed.

        :return: whether this is the end that stands.
        :raises QueueError: not everything could be written; it may all be written again.
        """
        settings = self._find_settings(request.function)
        keep = _KEEP if settings is None else settings.results
        records = self._queue.records
        first = await self._fitting(ending, lambda it: records.record_ending(request, it, keep))
        if first is None or first:
            self._ended(request, ending, _is_buried(ending, settings))
            await self._write_rest(request, ending, settings)
            return True
        await self._complete(request)
        return False

    async def _complete(self, request: QueueRequest) -> None:
        if not await self.complete(request):
            raise QueueUnavailable("the end of the call that was recorded first is gone again")

    def end_then(
        self, request: QueueRequest, ending: Ending, ended: Callable[[Exception | None], None]
    ) -> None:
        """As :meth:`end`, without a coroutine where all goes as it mostly does.

        :param ended: called once, perhaps at once; given why not everything could be written. It
            does not fail.
        """
        settings = self._find_settings(request.function)

        def recorded(first: bool | QueueError) -> None:
            try:
                go_on(first)
            except Exception as reason:
                ended(reason)

        def go_on(first: bool | QueueError) -> None:
            if first is True:
                self._ended(request, ending, _is_buried(ending, settings))
                self._write_rest_then(request, ending, settings, ended)
            elif first is False:
                _when_done(self._complete(request), ended)
            elif isinstance(first, CallTooLarge):
                _when_done(self.end(request, ending), ended)
            else:
                ended(first)

        keep = _KEEP if settings is None else settings.results
        self._queue.records.record_ending_then(request, ending, keep, recorded)

    def _write_rest_then(
        self,
        request: QueueRequest,
        ending: Ending,
        settings: FunctionSettings | None,
        ended: Callable[[Exception | None], None],
    ) -> None:
        if ending.reason is not None:
            _when_done(self._write_rest(request, ending, settings), ended)
            return
        if callback_url_of(request, ending) is None:
            self._queue.when_durable_then(ended)
            return

        def stored(reason: QueueError | None) -> None:
            if reason is None:
                self._queue.when_durable_then(ended)
            elif isinstance(reason, CallTooLarge):
                _when_done(self._write_rest(request, ending, settings), ended)
            else:
                ended(reason)

        letter = self._write_letter(request, ending, _most_attempts(request, settings))
        self._callbacks.put_callback_then(letter, stored)

    async def complete(self, request: QueueRequest) -> bool:
        """Take the steps that may be missing of an end that somebody recorded.

        :return: whether there was one.
        :raises QueueError: as :meth:`end`.
        """
        recorded = await self._queue.records.find_ending(
            request.function, request.key, request.generation
        )
        if recorded is None:
            return False
        settings = self._find_settings(request.function)
        owed = callback_url_of(request, recorded) is not None
        told = owed and await self._is_told(request)
        await self._write_rest(request, recorded, settings, told=told)
        return True

    async def _is_told(self, request: QueueRequest) -> bool:
        """Whether the call's callback was stored, and is gone because it was brought to its end."""
        name = CallbackName(request.function, request.key, request.generation)
        posting = await self._queue.records.find_posting(name)
        return posting is not None and posting.over

    async def _write_rest(
        self,
        request: QueueRequest,
        ending: Ending,
        settings: FunctionSettings | None,
        *,
        told: bool = False,
    ) -> None:
        if callback_url_of(request, ending) is not None and not told:
            most = _most_attempts(request, settings)
            put = self._callbacks.put_callback
            await self._fitting(ending, lambda it: put(self._write_letter(request, it, most)))
        if _is_buried(ending, settings):
            bury = self._queue.dead_letters.put
            await self._fitting(ending, lambda it: bury(_dead_letter(request, it)))
        await self._queue.when_durable()

    async def _fitting(self, ending: Ending, put: Callable[[Ending], Deferred[T]]) -> T | None:
        """Store an end, shorter if it cannot be stored as it is.

        :return: what storing it brought; ``None`` if it cannot be told short enough.
        """
        for version in versions(ending):
            try:
                return await put(version)
            except CallTooLarge as reason:
                self._log.error("an end cannot be stored as it is: {reason}", reason=reason)
        return None


def _is_buried(ending: Ending, settings: FunctionSettings | None) -> bool:
    """Whether a call that ended so becomes a dead letter."""
    return ending.reason is not None and (settings is None or settings.dead_letters == "failed")


def _most_attempts(request: QueueRequest, settings: FunctionSettings | None) -> int:
    if settings is None:
        return _USUAL_ATTEMPTS
    return most_attempts(settings.retry, request.max_attempts)


def _when_done(
    doing: Coroutine[Deferred[Any], Any, object], told: Callable[[Exception | None], None]
) -> None:
    """*told* does not fail."""
    done = Deferred.fromCoroutine(doing)
    done.addCallbacks(lambda _: told(None), lambda failure: told(failure.value))


def _dead_letter(request: QueueRequest, ending: Ending) -> DeadLetter:
    assert ending.reason is not None
    return DeadLetter(
        request=replace(request, history=ending.history),
        reason=ending.reason,
        status=ending.outcome.status,
        error=ending.outcome.error,
        ended_ns=ending.ended_ns,
    )
