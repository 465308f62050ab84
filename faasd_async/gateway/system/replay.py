"""Dead letters put back into the queue, so that a crash between any two steps loses nothing.

A call goes back in three steps:

1. What is known of it, its terminal record and its attempts, is forgotten.
2. The call is put into the queue again, one generation later and without a history; this
   returns when it is durable.
3. The letter is removed: from its place, so that a younger letter of the same call, which may
   have failed again by then, stays.

If the daemon or the broker goes away

- before 1 is done: the letter is there, and nothing has happened;
- between 1 and 2: the letter is there and tells all that the records told but the answer's body;
- during 2: the call is in the queue or it is not. The letter is there, and replaying it once more
  writes the same message, which the broker takes once (within two minutes);
- between 2 and 3: the call runs, and the letter is there as well. Replaying it once more after the
  call has ended finds a terminal record of a later generation: then there is nothing to replay,
  and the letter goes. While it is still under way, it may run once more;
- after 3: everything is done. If the power fails before the disk has heard of 1 or 3, the old
  record or the old letter may be back: a record of an earlier generation counts for nothing
  (:class:`~faasd_async.queue.interface.Records`), and the letter is as in the case before.

A callback goes back in two steps: it is put, it is durable; its letter is removed. Between the two
it may be delivered twice, under one ``webhook-id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from faasd_async.call.callback_url import CallbackUrl
from faasd_async.call.ending import DeadCallback, DeadLetter
from faasd_async.call.headers import first, replaced
from faasd_async.call.request import NOT_TRIED, CallbackRequest, QueueRequest
from faasd_async.errors import FaasdAsyncError, QueueError
from faasd_async.gateway.system.edits import Edits
from faasd_async.queue.interface import DeadLetters, Filed, Records
from faasd_async.runtime.deployments import Deployment


class DeadLetterStore(Protocol):
    """What is needed of a queue here."""

    @property
    def records(self) -> Records: ...

    @property
    def dead_letters(self) -> DeadLetters: ...

    def when_durable(self) -> Deferred[None]: ...

    def put_call(self, request: QueueRequest) -> Deferred[None]: ...

    def put_callback(self, callback: CallbackRequest) -> Deferred[None]: ...


class NotReplayable(FaasdAsyncError):
    """A letter that cannot be replayed as it is (HTTP 409); the text says why."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Puts dead letters back.

    :ivar deployments: of the functions that there are now.
    :ivar now_ns: the wall clock, Unix nanoseconds.
    :ivar accepted: told of each call that was put back.
    """

    queue: DeadLetterStore
    deployments: Mapping[str, Deployment]
    now_ns: Callable[[], int]
    accepted: Callable[[QueueRequest], None]

    async def put_back(self, filed: Filed, edits: Edits) -> None:
        """Replay one letter.

        :raises NotReplayable: it stays where it is.
        :raises QueueError: some steps may not have been taken; it may be replayed once more.
        """
        letter = filed.letter
        if isinstance(letter, DeadLetter):
            await self._put_call_back(letter, filed.place, edits)
        elif isinstance(letter, DeadCallback):
            await self._put_callback_back(letter, edits)
        else:
            raise NotReplayable(f"it cannot be read: {letter.why}")
        try:
            await self.queue.dead_letters.remove(filed.place)
        except QueueError as reason:
            # It is back in the queue all the same.
            _log.warn(
                "the dead letter {call_id} is replayed, but could not be removed: {reason}",
                call_id=letter.key.call_id,
                reason=reason,
            )
        _log.info(
            "the {kind} {call_id} of {function} was a dead letter and is replayed",
            kind=letter.kind,
            call_id=letter.key.call_id,
            function=letter.function,
        )

    async def _put_call_back(self, letter: DeadLetter, place: int, edits: Edits) -> None:
        deployment = self.deployments.get(letter.function)
        if deployment is None:
            raise NotReplayable("the function is not deployed now, so the call would only wait")
        request = self._again(letter.request, deployment, edits)
        records = self.queue.records
        if await records.find_ending(request.function, request.key, request.generation):
            await self.queue.dead_letters.remove(place)
            raise NotReplayable("it was replayed before and has ended since; the letter is gone")
        await records.forget(request.function, request.key)
        await self.queue.put_call(request)
        self.accepted(request)

    def _again(self, request: QueueRequest, deployment: Deployment, edits: Edits) -> QueueRequest:
        """The call as it is accepted anew: now, and into its function's present queue."""
        now_ns = self.now_ns()
        callback = edits.callback_of(request.callback)
        headers = [*edits.headers_of(request.headers)]
        headers = replaced(headers, [(b"X-Start-Time", b"%d" % now_ns)])
        if callback != request.callback:
            headers = _with_callback(headers, callback)
        return replace(
            request,
            queue=deployment.settings.queue,
            start_time_ns=now_ns,
            headers=headers,
            callback=callback,
            history=NOT_TRIED,
            generation=request.generation + 1,
            not_before_ns=0,
            expires_ns=0,
        )

    async def _put_callback_back(self, letter: DeadCallback, edits: Edits) -> None:
        callback = letter.callback
        if edits.headers:
            raise NotReplayable("the header fields of a callback are the answer's, and stay")
        url = edits.callback_of(callback.url)
        if url is None:
            raise NotReplayable("a callback without a URL goes nowhere")
        await self.queue.put_callback(replace(callback, url=url, replays=callback.replays + 1))
        await self.queue.when_durable()


def _with_callback(
    headers: list[tuple[bytes, bytes]], callback: CallbackUrl | None
) -> list[tuple[bytes, bytes]]:
    """What the function is told of its callback."""
    if callback is None:
        return [field for field in headers if field[0].lower() != b"x-callback-url"]
    if first(headers, b"x-callback-url") is None:
        return headers
    return replaced(headers, [(b"X-Callback-Url", callback.text.encode("ascii"))])


_log = Logger()
