"""What the daemon stands on: its state directory, and its own broker that keeps the queue there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from faasd_async.assembly.shared import Shared
from faasd_async.daemon.ground import Ground
from faasd_async.nats.server import EmbeddedServer, ServerFiles, ServerSettings
from faasd_async.nats.server.rescue import Rescue
from faasd_async.queue.space import Disk, Space
from faasd_async.statelock import StateLock
from faasd_async.wallclock import WallClock, newest_below
from faasd_async.worker.expiry import EARLIEST_NS

#: What an embedded nats-server may store is bounded by the quotas of the streams. Its own limit
#: counts what they might hold: one that has just been lowered would be in its own way.
_NO_LIMIT_BYTES = 2**50

#: With this share of ``min_free`` a broker that could not write is given another start: enough for
#: the ends of what was accepted, while new calls are refused still.
_RESTART_SHARE = 1 / 4

#: What an embedded nats-server takes in one message.
EMBEDDED_PAYLOAD_BYTES = 8 * 2**20


class Store:
    """The state directory and who writes to it.

    :ivar broker: ``None``: somebody else's, or none at all.
    :ivar directory: where the broker keeps what it stores.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.lock = StateLock(shared.state_dir)
        self.ground = Ground(shared.reactor, self._grounds())
        self.disk = Disk(shared.reactor, shared.settings.state_dir)
        self.directory = str(shared.state_dir / "nats")
        self.broker = self._broker()

    def _grounds(self) -> list[Path]:
        """What must stay what it is while the daemon runs; its store last."""
        settings, state_dir = self._shared.settings, self._shared.state_dir
        grounds = [state_dir, self.lock.path]
        if settings.queue.backend != "memory" and settings.nats.embedded:
            files = ServerFiles(state_dir)
            grounds += [files.lock, files.directory, *files.store]
        return grounds

    def _broker(self) -> EmbeddedServer | None:
        reactor, state_dir = self._shared.reactor, self._shared.state_dir
        nats, queue = self._shared.settings.nats, self._shared.settings.queue
        if queue.backend == "memory" or not nats.embedded:
            return None
        server = EmbeddedServer(
            reactor,
            ServerSettings(
                state_dir=state_dir,
                max_file_store_bytes=_NO_LIMIT_BYTES,
                binary=None if nats.binary is None else Path(nats.binary),
                max_payload_bytes=EMBEDDED_PAYLOAD_BYTES,
            ),
            why_not_again=self.ground.look,
        )
        enough_bytes = round(queue.min_free_bytes * _RESTART_SHARE)
        Rescue(reactor, server, self.disk.free_bytes, enough_bytes, self.ground.look)
        return server

    def newest_seconds(self) -> float:
        """What our clock cannot be behind of if it is set: when the broker stored something last.

        :return: Unix seconds; 0 with somebody else's, whose clock is asked when we reach it.
        """
        return newest_below(self.directory) if self.broker else 0.0

    def wall_clock(self, newest_seconds: Callable[[], float]) -> WallClock:
        """
        :param newest_seconds: what the clock cannot be behind of if it is set, Unix seconds.
        """
        return WallClock(
            self._shared.reactor,
            time.time,
            newest_seconds,
            earliest_seconds=EARLIEST_NS / 1e9,
            patience_seconds=self._shared.settings.queue.clock_wait_seconds,
        )

    def space(self) -> Space | None:
        """With somebody else's broker the disk is somebody else's too."""
        broker = self.broker
        if broker is None:
            return None
        self._shared.figures.watch_disk(self.disk.free_bytes)
        min_free_bytes = self._shared.settings.queue.min_free_bytes
        # What cannot be written because its store is gone is no matter of room.
        return Space(
            self.disk, min_free_bytes, lambda: broker.write_error if not self.ground.lost else None
        )

    def may_have_crashed(self, left_behind: bool) -> bool:
        """Alone on its queue a daemon knows how the one before it ended; of others it cannot."""
        alone = self._shared.settings.nats.embedded
        return (left_behind and self.lock.left_behind) if alone else True
