"""A reply whose body flows from a source, at the receiver's pace.

The source feeds pieces and says when there are no more; the receiver takes, pauses and aborts. What
comes while nobody takes it is held, and the source paused: so no more than what the source had
already read is ever in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from faasd_async.call.headers import Headers


class Source(Protocol):
    """Where a body comes from: a connection, a process. Each may be called more than once."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Let go of what is left."""


class FlowingReply:
    """The :class:`~faasd_async.runtime.interface.Reply` of every runtime.

    :param source: is told the receiver's wishes, until it has called :meth:`finish`.
    :param pieces: of the body, that came along with the head.
    """

    __slots__ = (
        "_closed", "_delivered", "_finished", "_headers", "_held", "_paused", "_reason", "_source",
        "_status", "_write",
    )  # fmt: skip

    def __init__(
        self, status: int, headers: Headers, source: Source, pieces: Iterable[bytes] = ()
    ) -> None:
        self._status = status
        self._headers = headers
        self._source = source
        self._held = deque(pieces)
        self._write: Callable[[bytes], object] | None = None
        self._delivered: Deferred[None] | None = None
        self._paused = False
        self._finished = False
        self._reason: Failure | None = None
        self._closed = False

    @property
    def status(self) -> int:
        return self._status

    @property
    def headers(self) -> Headers:
        return self._headers

    # What the source calls.

    def feed(self, piece: bytes) -> None:
        """Pass a piece on, or hold it."""
        if self._closed or self._finished:
            return
        if self._write is None or self._paused or self._held:
            self._held.append(piece)
            self._source.pause()
        else:
            self._pass_on(self._write, piece)

    def finish(self, reason: Failure | None = None) -> None:
        """No more pieces will come.

        :param reason: why the body is not whole.
        """
        if self._closed or self._finished:
            return
        self._finished = True
        self._reason = reason
        self._flow()

    # What the receiver calls.

    def deliver_to(self, write: Callable[[bytes], object]) -> Deferred[None]:
        if self._write is not None:
            raise RuntimeError("a body is delivered once")
        if self._closed:
            return fail(CancelledError())
        self._write = write
        delivered: Deferred[None] = Deferred(lambda _: self.abort())
        self._delivered = delivered
        self._flow()
        return delivered

    def pause(self) -> None:
        self._paused = True
        if not self._closed and not self._finished:
            self._source.pause()

    def resume(self) -> None:
        self._paused = False
        self._flow()

    def abort(self) -> None:
        if self._closed:
            return
        if not self._finished:
            self._finished = True
            self._source.abort()
        self._close(Failure(CancelledError()))

    def _flow(self) -> None:
        if self._write is None:
            return
        while self._held and not self._paused and not self._closed:
            self._pass_on(self._write, self._held.popleft())
        if self._paused or self._closed:
            return
        if self._finished:
            self._close(self._reason)
        else:
            self._source.resume()

    def _pass_on(self, write: Callable[[bytes], object], piece: bytes) -> None:
        try:
            write(piece)
        except Exception:
            if not self._finished:
                self._source.abort()
            self._close(Failure())

    def _close(self, reason: Failure | None) -> None:
        if self._closed:
            return
        self._closed = True
        self._held.clear()
        # The receiver and its Deferred know us; we forget them, or nobody but the garbage
        # collector would free us together.
        delivered, self._delivered = self._delivered, None
        if delivered is None:
            return
        self._write = _has_it_all
        if reason is None:
            delivered.callback(None)
        else:
            delivered.errback(reason)


def _has_it_all(piece: bytes) -> None:
    """The receiver of a body that has been delivered."""
