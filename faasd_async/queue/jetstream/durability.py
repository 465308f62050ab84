"""When a stored parcel may be promised: the group-commit barrier.

JetStream acknowledges a message when its bytes are in the kernel's page cache: that survives a
crash of any process, not a power cut. Syncing each message costs nearly all of the throughput.
So parcels gather while one ``syncfs(2)`` of the store's file system is under way on a thread of
its own; the next one covers all that have gathered by then, and when it is done all of them
are promised at once.

The order of things is what makes it safe: a parcel joins the barrier only *after* the server's
acknowledgement, and a flush covers only those parcels that had joined *before* it began.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from faasd_async.errors import QueueUnavailable

#: How many parcels may wait for their barrier.
LONGEST_WAITING = 10_000

#: A disk whose flush takes longer than this will make callers wait; the operator is told.
SLOW_FLUSH_SECONDS = 0.1

_MEASURED_FLUSHES = 5

Promise = Callable[[QueueUnavailable | None], None]


class Durability(Protocol):
    """Tells when what the broker acknowledged may be promised."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def when_durable(self, promise: Promise) -> None:
        """Call *promise*, with ``None``, or with why it must not be given.

        :raises QueueUnavailable: too many wait already, or the disk has failed.
        """


class Acknowledged:
    """``durability = "process"``: the broker's acknowledgement is enough."""

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""

    def when_durable(self, promise: Promise) -> None:
        promise(None)


class _Reactor(IReactorFromThreads, IReactorTime):
    """What the barrier needs of a reactor."""


class Barrier:
    """``durability = "power"``: a flush of the store's file system stands before each promise.

    :param directory: the store; it must exist when the barrier starts.
    :param flush: makes everything written to the descriptor's file system durable; raises
        :class:`OSError` if it cannot.
    :ivar flushes: how many were done.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: _Reactor,
        directory: str,
        flush: Callable[[int], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._flush = flush or syncfs
        self._gathering: list[Promise] = []
        self._flushing: list[Promise] = []
        self._thread = ThreadPool(1, 1, "barrier")
        self._descriptor = -1
        self._broken: OSError | None = None
        self.flushes = 0

    def start(self) -> None:
        """Hold the directory open and see how fast its disk is."""
        self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._thread.start()
        self._thread.callInThread(self._measure)

    def stop(self) -> None:
        """Finish the flush under way; what waits still is promised by it."""
        if self._descriptor < 0:
            return  # a start that failed before it came to this part
        self._thread.stop()
        os.close(self._descriptor)

    def when_durable(self, promise: Promise) -> None:
        if self._broken is not None:
            raise QueueUnavailable(f"the disk failed: {self._broken}")
        if len(self._gathering) >= LONGEST_WAITING:
            raise QueueUnavailable(f"{LONGEST_WAITING} calls wait for the disk already")
        self._gathering.append(promise)
        if not self._flushing:
            self._begin()

    def _begin(self) -> None:
        self._flushing, self._gathering = self._gathering, []
        self._thread.callInThread(self._flush_in_thread)

    def _flush_in_thread(self) -> None:
        try:
            self._flush(self._descriptor)
        except OSError as reason:
            self._reactor.callFromThread(self._finished, reason)
        else:
            self._reactor.callFromThread(self._finished, None)

    def _finished(self, reason: OSError | None) -> None:
        covered, self._flushing = self._flushing, []
        self.flushes += 1
        # A flush that follows a failed one proves nothing, even if it succeeds.
        reason = reason or self._broken
        if reason is not None:
            self._fail(reason, covered)
            return
        if self._gathering:
            self._begin()
        for promise in covered:
            promise(None)

    def _fail(self, reason: OSError, covered: list[Promise]) -> None:
        """After a failed flush nobody knows what reached the disk: promise nothing any more."""
        self._broken = reason
        self._log.critical(
            "no call is accepted any more: {directory} cannot be flushed ({reason}). "
            "Check the disk, then restart.",
            directory=self._directory,
            reason=reason,
        )
        gathered, self._gathering = self._gathering, []
        for promise in (*covered, *gathered):
            promise(QueueUnavailable(f"the disk failed: {reason}"))

    def _measure(self) -> None:
        """In the thread: time a few flushes and complain if they are slow."""
        worst_seconds = 0.0
        try:
            for _ in range(_MEASURED_FLUSHES):
                began = self._reactor.seconds()
                self._flush(self._descriptor)
                worst_seconds = max(worst_seconds, self._reactor.seconds() - began)
        except OSError as reason:
            self._reactor.callFromThread(self._fail, reason, [])
            return
        if worst_seconds > SLOW_FLUSH_SECONDS:
            self._reactor.callFromThread(self._complain, worst_seconds)

    def _complain(self, worst_seconds: float) -> None:
        self._log.warn(
            "a flush of {directory} takes {milliseconds:.0f} ms, and each 202 waits for one: "
            "move state_dir to a faster disk, or accept losses in a power cut with "
            '[queue] durability = "process"',
            directory=self._directory,
            milliseconds=worst_seconds * 1000,
        )


_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(descriptor: int) -> None:
    """Flush the file system that *descriptor* is on; returns when the device has it all.

    :raises OSError: the kernel's reason.
    """
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
