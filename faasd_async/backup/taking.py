"""Taking a backup while the daemon goes on.

Streams can only be taken one after the other, and what they hold moves: a call that waits for its
time becomes one that waits for its turn, and back; it ends, and leaves a record, a callback, a dead
letter; and a dead letter may be replayed. Each move is: write there, and only then remove here. So
whatever was there when the backup began is always in one stream at least, and is found

- if the stream it moves to is taken after the one it comes from: ``FAAS_DEAD``, ``FAAS_LATER``,
  ``FAAS_CALLS``, ``FAAS_CALLBACKS``, ``FAAS_OUTCOMES``, in this order;
- or, where things move against that order, because every message that is put into a stream that
  was taken already is written down as it is put. These are calls that are put off
  (``faas.later``) and dead letters, with their bodies.

What is found twice does no harm: a call that has ended meanwhile has its record, which is taken
last. :mod:`.restoring` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from faasd_async.backup.archive import BEGIN, FORMAT, ArchiveWriter
from faasd_async.backup.errors import BackupError
from faasd_async.nats import Message, NatsClient, NatsError, Subscription
from faasd_async.nats.jetstream import JetStream, Snapshots, StreamNotFound
from faasd_async.queue.jetstream.subjects import (
    CALLBACKS,
    CALLS,
    CONTROL,
    DEAD,
    LATER,
    OUTCOMES,
)

#: In which order the streams are taken.
ORDER = (DEAD, LATER, CALLS, CALLBACKS, OUTCOMES, CONTROL)

#: What is put where it was taken already.
_MOVED = (
    *("faas.later.>", "faas.dead.>", "faas.dead-callback.>"),
    *("faas.body.dead.>", "faas.owner.dead.>"),
)

#: What is kept of the state directory besides the streams.
KEPT = ("functions", "secrets")


class Beginning(msgspec.Struct, frozen=True):
    """The first member.

    :ivar ended_before: the place in ``FAAS_OUTCOMES`` before all that ended meanwhile.
    """

    version: str
    begun_ns: int
    ended_before: int
    format: int = FORMAT


@dataclass(slots=True)
class Taken:
    """What a backup holds.

    :ivar messages: of each stream, when it was taken.
    :ivar moved: messages that were put meanwhile.
    """

    messages: dict[str, int]
    moved: int = 0
    files: int = 0
    size_bytes: int = 0


class Taking:
    """One backup.

    :param client: connected.
    :param tell: is told, again and again, how many bytes of how many there are.
    """

    def __init__(
        self, client: NatsClient, archive: ArchiveWriter, tell: Callable[[int, int], object]
    ) -> None:
        self._client = client
        self._jetstream = JetStream(client, timeout_seconds=60)
        self._archive = archive
        self._tell = tell
        self._whole_bytes = 0
        self._taken = Taken({})
        self._failed: Exception | None = None

    async def run(self, state_dir: Path, version: str, now_ns: int) -> Taken:
        """Take it.

        :raises BackupError: it is not whole.
        """
        subscriptions: list[Subscription] = []
        try:
            ended_before = await self._look()
            begin = Beginning(version, now_ns, ended_before)
            self._archive.add(BEGIN, msgspec.json.encode(begin))
            for subject in _MOVED:
                subscriptions.append(self._client.subscribe(subject.encode(), self._moved))
            await self._client.flush()
            self._keep(state_dir)
            for stream in self._taken.messages:
                await self._take(stream)
            await self._client.flush()
        except NatsError as reason:
            raise BackupError(f"it cannot be taken: {reason}") from reason
        finally:
            for subscription in subscriptions:
                subscription.unsubscribe()
        if self._failed is not None:
            raise self._failed
        self._taken.size_bytes = self._archive.size_bytes
        return self._taken

    async def _look(self) -> int:
        """Which streams there are, and how large.

        :return: the last place in that of the ends.
        """
        last = 0
        for name in ORDER:
            try:
                state = (await self._jetstream.stream_info(name)).state
            except StreamNotFound:
                continue
            self._taken.messages[name] = state.messages
            self._whole_bytes += state.bytes
            last = state.last_seq if name == OUTCOMES else last
        return last

    def _keep(self, state_dir: Path) -> None:
        for path in kept_files(state_dir):
            # What was removed meanwhile is not there.
            with suppress(FileNotFoundError):
                self._archive.add(f"state/{path.parent.name}/{path.name}", path.read_bytes())
                self._taken.files += 1

    async def _take(self, stream: str) -> None:
        count = 0

        def head(content: bytes) -> None:
            self._archive.add(f"streams/{stream}/head", content)

        def piece(content: bytes) -> None:
            nonlocal count
            count += 1
            self._archive.add(f"streams/{stream}/{count:08}", content)
            self._tell(self._archive.size_bytes, self._whole_bytes)

        await Snapshots(self._jetstream).take(stream, head, piece)

    def _moved(self, message: Message) -> None:
        if self._failed is not None:
            return
        self._taken.moved += 1
        sizes = f" {len(message.header_block)}\n".encode()
        content = message.subject + sizes + message.header_block + message.payload
        try:
            self._archive.add(f"moved/{self._taken.moved:08}", content)
        except OSError as reason:
            self._failed = reason


def kept_files(state_dir: Path) -> Iterator[Path]:
    """The functions and secrets there are."""
    for name in KEPT:
        directory = state_dir / name
        if directory.is_dir():
            yield from sorted(path for path in directory.iterdir() if _is_whole(path))


def _is_whole(path: Path) -> bool:
    """Whether it is no file that is being written; a function's name may begin with a dot, too."""
    return path.suffix == ".json" or path.name[0] != "."
