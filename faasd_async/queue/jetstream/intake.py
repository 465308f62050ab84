"""A body on its way into a stream, piece by piece: each is acknowledged before the next is sent."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from faasd_async.call.body import StoredBody
from faasd_async.errors import QueueError, QueueUnavailable
from faasd_async.queue.bodies import Pace

#: When a piece that could not be stored is tried again.
AGAIN_SECONDS = 1.0

_FORGOTTEN = "the body is not wanted any more"


class Shelf(Protocol):
    """Where pieces go."""

    @property
    def piece_bytes(self) -> int:
        """How large one is at most."""

    def put_piece(self, name: str, number: int, piece: bytes) -> Deferred[None]:
        """Fires when it is stored; fails with a :class:`~faasd_async.errors.QueueError`."""

    def dropped(self, name: str) -> None:
        """Nothing more comes of it, and it is not whole."""


class StoreIntake:
    """See :class:`~faasd_async.queue.bodies.Intake`."""

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, shelf: Shelf, name: str, pace: Pace, *, insistent: bool
    ) -> None:
        self._clock = clock
        self._shelf = shelf
        self._name = name
        self._pace = pace
        self._insistent = insistent
        self._hash = hashlib.sha256()
        self._gathered = bytearray()
        self._waiting: deque[bytes] = deque()
        self._number = 0
        self._on_its_way = False
        self._is_paused = False
        self._finished: Deferred[StoredBody] | None = None
        self._over = False
        self._again: IDelayedCall | None = None
        self.size_bytes = 0
        self.reason: QueueError | None = None

    def write(self, piece: bytes) -> None:
        if self._over:
            return
        self._hash.update(piece)
        self.size_bytes += len(piece)
        self._gathered += piece
        most = self._shelf.piece_bytes
        while len(self._gathered) >= most:
            self._waiting.append(bytes(self._gathered[:most]))
            del self._gathered[:most]
        self._go_on()

    def finish(self) -> Deferred[StoredBody]:
        finished: Deferred[StoredBody] = Deferred(lambda _: self.abort())
        if self._over:
            finished.errback(self.reason or QueueUnavailable(_FORGOTTEN))
            return finished
        self._finished = finished
        if self._gathered:
            self._waiting.append(bytes(self._gathered))
            self._gathered.clear()
        self._go_on()
        return finished

    def abort(self) -> None:
        if not self._over:
            self._end(QueueUnavailable(_FORGOTTEN))

    # -- piece after piece

    def _go_on(self) -> None:
        if self._over:
            return
        if not self._on_its_way and self._waiting:
            self._send(self._waiting.popleft())
        elif not self._on_its_way and self._finished is not None:
            self._over = True
            finished, self._finished = self._finished, None
            finished.callback(StoredBody(self._name, self.size_bytes, self._hash.hexdigest()))
            return
        self._set_pace(bool(self._waiting))

    def _send(self, piece: bytes) -> None:
        self._on_its_way = True
        putting = self._shelf.put_piece(self._name, self._number, piece)
        putting.addCallbacks(self._stored, self._not_stored, errbackArgs=(piece,))
        putting.addErrback(
            lambda failure: self._log.failure("a body cannot be stored: a bug", failure=failure)
        )

    def _stored(self, _: None) -> None:
        self._on_its_way = False
        self._number += 1
        if self._over:
            self._shelf.dropped(self._name)
        else:
            self._go_on()

    def _not_stored(self, failure: Failure, piece: bytes) -> None:
        self._on_its_way = False
        reason = failure.value
        if self._over:
            self._shelf.dropped(self._name)
        elif not isinstance(reason, QueueError):
            self._end(QueueUnavailable(repr(reason)))
            failure.raiseException()
        elif self._insistent:
            self._on_its_way = True
            self._again = self._clock.callLater(AGAIN_SECONDS, self._send, piece)
        else:
            self._end(reason)

    def _end(self, reason: QueueError) -> None:
        """It will never be whole."""
        self._over, self.reason = True, reason
        self._gathered.clear()
        self._waiting.clear()
        again, self._again = self._again, None
        if again is not None and again.active():
            again.cancel()
            self._on_its_way = False
        if not self._on_its_way:
            self._shelf.dropped(self._name)
        finished, self._finished = self._finished, None
        if finished is not None:
            finished.errback(reason)
        self._set_pace(False)

    def _set_pace(self, is_full: bool) -> None:
        if is_full != self._is_paused:
            self._is_paused = is_full
            if is_full:
                self._pace.pause()
            else:
                self._pace.resume()
