"""When a stored parcel may be promised: the group-commit barrier.

JetStream acknowledges a message when its bytes are in the kernel's page cache: that survives a
crash of any process, not a power cut. Syncing each message costs nearly all of the throughput.
So parcels gather while one ``syncfs(2)`` of the store's file system is under way on a thread of
its own; the next one covers all that have gathered by then, and when it is done all of them
are promised at once.

The order of things is what makes it safe: a parcel joins the barrier only *after* the server's
acknowledgement, and a flush covers only those parcels that had joined *before* it began.

A failed flush is final
=======================

The kernel tells of a page that it could not write once, and then takes it for clean: it may be
lost, the next flush says that all is well, and whoever reads it finds it in memory still. In the
middle of a block file it is a hole that only a power cut would show; nats-server would cut the file
off there, and what was promised later with it. Starting the broker anew proves nothing either, as
it would read from that memory. So after a failed flush nothing is promised until the store has been
read from the disk itself again, which takes a restart of the machine.

That holds for ENOSPC as it does for EIO. A disk that is merely full fails the *write*, which the
broker tells of (:mod:`faasd_async.nats.server.rescue` deals with that); there a flush succeeds,
for everything written before had its place. A flush that finds no space is that of a device that
had promised more than it has, a thin volume or a server far away, and has dropped what it took.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from faasd_async.errors import MaybeStored, QueueError
from faasd_async.queue.jetstream.side_thread import SideThread

#: How many parcels may wait for their barrier.
LONGEST_WAITING = 10_000

#: A disk whose flush takes longer than this will make callers wait; the operator is told.
SLOW_FLUSH_SECONDS = 0.1

#: So many flushes are timed, and the slowest but one counts: a single hiccup is no slow disk.
MEASURED_FLUSHES = 20

Promise = Callable[[QueueError | None], None]


class Durability(Protocol):
    """Tells when what the broker acknowledged may be promised."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def why_refused(self) -> str | None:
        """Why nothing new can be promised just now, or ``None``. To be asked before anything is
        stored; it does not count for what is."""

    def when_durable(self, promise: Promise) -> None:
        """Call *promise*, with ``None``, or with why it must not be given: what was stored is
        stored, so that is a :class:`~faasd_async.errors.MaybeStored`."""


class Ground(Protocol):
    """What the store lies on.

    :ivar lost: what is gone of it, in words, as far as that is known.
    """

    @property
    def lost(self) -> str | None: ...

    def glance(self) -> str | None:
        """:attr:`lost`, looked at now; in any thread."""


class _Firm:
    """What somebody else looks after."""

    lost = None

    def glance(self) -> str | None:
        return None


FIRM = _Firm()


class Acknowledged:
    """``durability = "process"``: the broker's acknowledgement is enough.

    :param ground: when it is lost, nothing is promised.
    """

    def __init__(self, ground: Ground = FIRM) -> None:
        self._ground = ground

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""

    def why_refused(self) -> str | None:
        return self._ground.lost

    def when_durable(self, promise: Promise) -> None:
        lost = self._ground.lost
        promise(None if lost is None else MaybeStored(lost))


class SomebodyElses(Acknowledged):
    """``durability = "power"`` with a server of the operator's own, whose disk nobody can flush
    from here: its acknowledgement has to be enough, and what makes it so is told.

    :param replicas: how many servers have a call before it is acknowledged.
    """

    _log = Logger()

    def __init__(self, replicas: int, ground: Ground = FIRM) -> None:
        super().__init__(ground)
        self._replicas = replicas

    def start(self) -> None:
        if self._replicas > 1:
            self._log.info(
                '[queue] durability = "power" relies on the {replicas} servers that keep each call:'
                " not all of them may lose their power at once",
                replicas=self._replicas,
            )
        else:
            self._log.warn(
                '[queue] durability = "power" relies on the NATS server: unless it is configured'
                " with jetstream {{ sync_interval: always }}, a power cut of its machine loses"
                " accepted calls. Configure it so, or set [nats] replicas = 3 on a cluster"
            )


class _Reactor(IReactorFromThreads, IReactorTime):
    """What the barrier needs of a reactor."""


class Barrier:
    """``durability = "power"``: a flush of the store's file system stands before each promise.

    :param directory: the store; it must exist when the barrier starts.
    :param flush: makes everything written to the descriptor's file system durable; raises
        :class:`OSError` if it cannot.
    :param ground: looked at after each flush: what was flushed into a store that has been deleted
        or replaced is not promised, nor anything after it.
    :param flushed: told of each flush for how many it was, and how many seconds it took.
    :ivar flushes: how many were done for somebody.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: _Reactor,
        directory: str,
        flush: Callable[[int], None] | None = None,
        ground: Ground = FIRM,
        flushed: Callable[[int, float], object] = lambda promises, seconds: None,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._flush = flush or syncfs
        self._tell_flushed = flushed
        self._ground = ground
        self._gathering: list[Promise] = []
        self._covered: list[Promise] = []
        self._flushing = False
        self._thread = SideThread("barrier")
        self._descriptor = -1
        self._refusal: str | None = None
        self._measured_seconds: list[float] = []
        self.flushes = 0

    def start(self) -> None:
        """Hold the directory open and see how fast its disk is."""
        self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._thread.start()
        self._go_on()

    def stop(self) -> None:
        """Finish the flush under way, which promises what it covers; who has gathered behind it
        is told that there is none any more."""
        self._refusal = self._refusal or "the daemon is stopping"
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return  # a start that failed before it came to this part
        self._thread.stop()
        os.close(descriptor)

    def why_refused(self) -> str | None:
        why = self._refusal or self._ground.lost
        if why is not None:
            return why
        if len(self._gathering) >= LONGEST_WAITING:
            return f"{LONGEST_WAITING} calls wait for the disk already"
        return None

    def when_durable(self, promise: Promise) -> None:
        why = self.why_refused()
        if why is not None:
            promise(MaybeStored(why))
            return
        self._gathering.append(promise)
        if not self._flushing:
            self._go_on()

    def _go_on(self) -> None:
        """Flush for those who have gathered; at the start for nobody too, to see how fast it is."""
        measured = len(self._measured_seconds) >= MEASURED_FLUSHES
        if self._descriptor < 0 or (measured and not self._gathering):
            return
        self._covered, self._gathering = self._gathering, []
        self._flushing = True
        self._thread.do(partial(self._flush_in_thread, self._descriptor))

    def _flush_in_thread(self, descriptor: int) -> None:
        began = self._reactor.seconds()
        try:
            self._flush(descriptor)
        except OSError as reason:
            self._reactor.callFromThread(self._disk_failed, reason)
        else:
            seconds = self._reactor.seconds() - began
            self._reactor.callFromThread(self._flushed, self._ground.glance(), seconds)

    def _flushed(self, lost: str | None, seconds: float) -> None:
        self._flushing = False
        if lost is not None:
            self._refuse(lost)
            return
        covered, self._covered = self._covered, []
        if covered:
            self.flushes += 1
            self._tell_flushed(len(covered), seconds)
        self._measure(seconds)
        self._go_on()
        for promise in covered:
            self._tell(promise, None)
        if self._descriptor < 0:
            self._refuse_gathered()

    def _disk_failed(self, reason: OSError) -> None:
        """Nobody knows what reached the disk: promise nothing any more."""
        self._flushing = False
        self._log.critical(
            "no call is accepted any more: {directory} cannot be flushed ({reason}), and what was"
            " written last may be in memory alone. Check the disk, then restart the machine.",
            directory=self._directory,
            reason=reason,
        )
        self._refuse(f"the disk failed: {reason}")

    def _refuse(self, why: str) -> None:
        self._refusal = why
        self._gathering, self._covered = [*self._covered, *self._gathering], []
        self._refuse_gathered()

    def _refuse_gathered(self) -> None:
        gathered, self._gathering = self._gathering, []
        for promise in gathered:
            self._tell(promise, MaybeStored(self._refusal or ""))

    def _tell(self, promise: Promise, reason: QueueError | None) -> None:
        """One who cannot bear the news must not keep it from the others."""
        try:
            promise(reason)
        except Exception:
            self._log.failure("somebody who waited for the disk failed when told: this is a bug")

    def _measure(self, seconds: float) -> None:
        """Complain, once, if the first flushes show a slow disk."""
        if len(self._measured_seconds) >= MEASURED_FLUSHES:
            return
        self._measured_seconds.append(seconds)
        if len(self._measured_seconds) < MEASURED_FLUSHES:
            return
        slowest_but_one = sorted(self._measured_seconds)[-2]
        if slowest_but_one > SLOW_FLUSH_SECONDS:
            self._log.warn(
                "a flush of {directory} takes {milliseconds:.0f} ms, and each 202 waits for one: "
                "move state_dir to a faster disk, or accept losses in a power cut with "
                '[queue] durability = "process"',
                directory=self._directory,
                milliseconds=slowest_but_one * 1000,
            )


_libc = ctypes.CDLL(None, use_errno=True)


def syncfs(descriptor: int) -> None:
    """Flush the file system that *descriptor* is on; returns when the device has it all.

    :raises OSError: the kernel's reason.
    """
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
