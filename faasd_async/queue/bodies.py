"""What every queue offers for bodies that are too large for one of its messages.

Such a body goes into the store piece by piece, as fast as that takes it, and comes out of it as
fast as somebody reads. Until its parcel lies in the queue, whoever has stored it *holds* it: it has
to be kept or discarded then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from twisted.internet.defer import Deferred

from faasd_async.call.body import StoredBody
from faasd_async.call.request import QueueRequest
from faasd_async.errors import QueueError

#: Whose body it is.
BodyKind = Literal["call", "callback", "outcome", "dead"]


class Pace(Protocol):
    """Where pieces come from."""

    def pause(self) -> None:
        """The store has as much as it can take."""

    def resume(self) -> None:
        """It takes more."""


class Intake(Protocol):
    """A body on its way into the store."""

    @property
    def size_bytes(self) -> int:
        """What has come of it."""

    @property
    def reason(self) -> QueueError | None:
        """Why it cannot be stored, as soon as that is known."""

    def write(self, piece: bytes) -> None:
        """Take a piece."""

    def finish(self) -> Deferred[StoredBody]:
        """There is no more.

        :return: fires when all of it is stored; it is durable as what is stored after it is. Fails
            with a :class:`~faasd_async.errors.QueueError`; then nothing is held.
        """

    def abort(self) -> None:
        """It is not wanted any more: nothing is left of it. This may be called at any time."""


class Pieces(Protocol):
    """A body on its way out of the store."""

    def read(self) -> Deferred[bytes]:
        """The next piece; empty after the last. It is waited for for as long as the store cannot be
        asked; fails with :class:`~faasd_async.errors.BodyGone`."""

    def close(self) -> None:
        """Nothing more is wanted."""


class Bodies(Protocol):
    """The store."""

    def begin(self, kind: BodyKind, pace: Pace, *, insistent: bool = False) -> Intake:
        """Take a body in.

        :param insistent: what cannot be stored just now is tried again, until it is aborted.
        :raises QueueUnavailable: too many are on their way.
        """

    def open(self, body: StoredBody) -> Pieces:
        """Read a body from its beginning."""

    def prepare_call(self, request: QueueRequest) -> Deferred[QueueRequest]:
        """Have a call's body lie where bodies of calls do, and known to be this call's.

        :return: the call as it is to be put. Fails with a
            :class:`~faasd_async.errors.QueueError`.
        """

    def copy_for_call(self, body: StoredBody) -> Deferred[StoredBody]:
        """Have a copy, for a call that is to be made of it; it is held.

        :return: fails with a :class:`~faasd_async.errors.QueueError`.
        """

    def keep(self, body: StoredBody) -> None:
        """Its parcel lies in the queue, or may do so: it is not held any more."""

    def put(self, body: StoredBody, reason: QueueError | None) -> None:
        """Its parcel was put, or not, and why: it is kept, or discarded if that is certain."""

    def discard(self, body: StoredBody) -> None:
        """It is not wanted any more, whoever it belonged to."""

    def spare(self, bodies: Iterable[StoredBody]) -> Callable[[], None]:
        """Take none of them for forgotten, though their parcels are not there for a moment.

        :return: ends that.
        """

    def drop_held(self, body: StoredBody) -> None:
        """It comes to no parcel. If it is not held it has one, and stays."""
