"""An answer that is too large to be gathered: it is passed on, piece by piece, into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from faasd_async.call.body import StoredBody
from faasd_async.errors import InvocationBroken


class Source(Protocol):
    """Where an answer comes from."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Intake(Protocol):
    """Takes an answer in."""

    def write(self, piece: bytes) -> None: ...

    def finish(self) -> Deferred[StoredBody]: ...

    def abort(self) -> None: ...


class Spill(Protocol):
    """Where answers go that are too large to be gathered."""

    @property
    def gathered_bytes(self) -> int:
        """How large an answer is at most that is gathered."""

    def begin(self, source: Source) -> Intake:
        """
        :raises Exception: not now.
        """


class Spilling:
    """One answer on its way into the store.

    :param pieces: what was gathered of it.
    :raises InvocationBroken: it cannot be stored now.
    """

    def __init__(self, spill: Spill, source: Source, pieces: Iterable[bytes]) -> None:
        try:
            self._intake = spill.begin(source)
        except Exception as reason:
            raise InvocationBroken(f"the answer cannot be stored: {reason}") from reason
        for piece in pieces:
            self._intake.write(piece)

    def write(self, piece: bytes) -> None:
        self._intake.write(piece)

    def finish(self, told: Callable[[StoredBody | Exception], None]) -> None:
        """*told* is called once it is stored, or cannot be."""

        def failed(failure: Failure) -> None:
            told(InvocationBroken(f"the answer could not be stored: {failure.value}"))

        self._intake.finish().addCallbacks(told, failed)

    def abort(self) -> None:
        """It is not wanted any more. This may be called at any time."""
        self._intake.abort()
