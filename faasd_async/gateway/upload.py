"""A body that is too large for one message of the queue: it goes into the store while it comes."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from faasd_async.call.body import StoredBody
from faasd_async.call.headers import Headers
from faasd_async.call.route import FunctionRoute
from faasd_async.errors import MaybeStored, QueueError, QueueUnavailable
from faasd_async.gateway.accept import Acceptance
from faasd_async.gateway.prefer import read_preferences
from faasd_async.gateway.refusal import Refusal, no_room, of_queue_error
from faasd_async.queue.bodies import Bodies, Intake

#: How long an upload may take in all, however steadily it comes.
LONGEST_SECONDS = 1800.0


class Client(Protocol):
    """Who sends the body."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Uploads:
    """Takes large bodies in."""

    def __init__(self, acceptance: Acceptance, bodies: Bodies, clock: IReactorTime) -> None:
        self._acceptance = acceptance
        self._bodies = bodies
        self._clock = clock

    def gathered_bytes(
        self, method: bytes, route: FunctionRoute | None, fields: Headers
    ) -> int | None:
        """How much of a request's body is gathered at most, the rest being stored as it comes;
        ``None``: all of it is."""
        if method != b"POST" or route is None:
            return None
        if not route.asynchronous and not read_preferences(fields).respond_async:
            return None
        return self._acceptance.gathered_body_bytes

    def begin(self, client: Client) -> Upload:
        """
        :raises Refusal: not now.
        """
        return Upload(self._acceptance, self._bodies, self._clock, client)


class Upload:
    """One body on its way in."""

    def __init__(
        self, acceptance: Acceptance, bodies: Bodies, clock: IReactorTime, client: Client
    ) -> None:
        self._acceptance = acceptance
        self._clock = clock
        self._client = client
        self._ends_seconds = clock.seconds() + LONGEST_SECONDS
        try:
            self._intake: Intake = bodies.begin("call", self)
        except QueueError as reason:
            raise of_queue_error(reason, ()) from None

    def write(self, piece: bytes) -> None:
        """Take a piece.

        :raises Refusal: it is of no use to send more.
        """
        if self._intake.reason is not None:
            raise _refusal(self._intake.reason)
        if self._clock.seconds() > self._ends_seconds:
            raise Refusal(408, f"the body was not whole after {LONGEST_SECONDS:g} s")
        why = self._acceptance.why_no_room(len(piece))
        if why is not None:
            raise no_room(why)
        self._intake.write(piece)

    async def finish(self) -> StoredBody:
        """
        :raises Refusal: it could not be stored.
        """
        try:
            return await self._intake.finish()
        except QueueError as reason:
            raise _refusal(reason) from None

    def abort(self) -> None:
        """The client has left, or was refused. This may be called at any time."""
        self._intake.abort()

    # -- the store's pace

    def pause(self) -> None:
        self._client.pauseProducing()

    def resume(self) -> None:
        self._client.resumeProducing()


def _refusal(reason: QueueError) -> Refusal:
    """No call was put as yet, so that nothing is in doubt."""
    if isinstance(reason, MaybeStored):
        reason = QueueUnavailable(str(reason))
    return of_queue_error(reason, ())
