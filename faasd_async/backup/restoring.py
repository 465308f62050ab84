"""Restoring a backup where there is nothing, or nothing any more.

It is put together beside the state (``<state>/restoring``), by a nats-server of its own, and takes
its place when it is whole. A daemon that is started then looks at it as after a crash: before it
runs a call it looks whether it has ended.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from faasd_async.backup.archive import BEGIN, FORMAT, SUMS, Member, members, verify
from faasd_async.backup.broker import started
from faasd_async.backup.errors import BackupError
from faasd_async.backup.taking import KEPT, Beginning
from faasd_async.nats import NatsClient, NatsError
from faasd_async.nats.jetstream import JetStream, MessageNotFound, Snapshots, WrongLastSequence
from faasd_async.nats.jetstream.publishing import read_ack
from faasd_async.private_files import make_private_directory, sync_directory, write_private
from faasd_async.queue.jetstream.subjects import CALLS, LATER, OUTCOMES
from faasd_async.statelock import StateLock

#: How a message begins that was put meanwhile, see :mod:`.taking`.
_MOVED = re.compile(
    rb"(faas\.(?:later|dead|dead-callback|body\.dead|owner\.dead)\.[!-~]+) ([0-9]{1,9})\n"
)

_WHOLE = ("nats", *KEPT)

#: So many ends of calls are looked at in one go.
_AT_A_TIME = 200
_LARGEST_BYTES = 4 * 2**20


async def restore(
    reactor: Any,
    path: Path,
    state_dir: Path,
    *,
    force: bool,
    binary: Path | None,
    tell: Callable[[int, int], object],
) -> Path | None:
    """Restore it.

    :param force: what is there already is put aside.
    :param binary: the nats-server to do it with; ``None``: the one that is installed.
    :param tell: is told, again and again, how many bytes of how many there are.
    :return: where that is which was put aside.
    :raises BackupError: it is not restored, and what was there is as it was.
    :raises StartError: likewise.
    """
    size_bytes = verify(path)
    lock = StateLock(state_dir)
    lock.acquire()
    fresh = state_dir / "restoring"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        there = [name for name in _WHOLE if _holds_something(state_dir / name)]
        if there and not force:
            raise BackupError(
                f"{state_dir} holds {' and '.join(there)} already: name another state directory,"
                " or have it put aside with --force"
            )
        make_private_directory(fresh)
        async with started(reactor, fresh, binary) as client:
            await _Restoring(client, fresh, lambda done: tell(done, size_bytes)).run(path)
        aside = _put_aside(state_dir) if there else None
        _put_in_place(state_dir, fresh)
        # The next daemon is to look at it as after a crash.
        lock.left_behind = True
        return aside
    except (NatsError, msgspec.MsgspecError) as reason:
        raise BackupError(f"it cannot be restored: {reason}") from reason
    except OSError as error:
        raise BackupError(f"{error.filename or state_dir}: {error.strerror}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        lock.release(in_order=False)


class _Restoring:
    """Members of a backup on their way to a nats-server that has nothing yet."""

    def __init__(self, client: NatsClient, directory: Path, tell: Callable[[int], object]) -> None:
        self._client = client
        self._jetstream = JetStream(client, timeout_seconds=60)
        self._snapshots = Snapshots(self._jetstream)
        self._directory = directory
        self._tell = tell
        self._place: bytes | None = None
        self._ended_before = 0
        self._streams = list[str]()

    async def run(self, path: Path) -> None:
        done = 0
        for member in members(path):
            if not member.name.startswith("moved/"):
                await self._take(member)
            done += len(member.content)
            self._tell(done)
        await self._end_stream()
        await self._forget_ended()
        # Only now is everything there that these may be about.
        for member in members(path):
            if member.name.startswith("moved/"):
                await self._put_moved(member.content)

    async def _take(self, member: Member) -> None:
        kind, *rest = member.name.split("/")
        if member.name == BEGIN:
            self._begin(member.content)
        elif kind == "state":
            directory = self._directory / rest[0]
            make_private_directory(directory)
            write_private(directory / rest[1], member.content)
        elif kind == "streams" and rest[1] == "head":
            await self._end_stream()
            self._place = await self._snapshots.begin(rest[0], member.content)
            self._streams.append(rest[0])
        elif kind == "streams":
            if self._place is None or rest[0] != self._streams[-1]:
                raise BackupError(f"{member.name} does not stand behind its head")
            await self._snapshots.put(self._place, member.content)
        else:
            assert member.name == SUMS, "nothing else is let through"

    def _begin(self, content: bytes) -> None:
        self._ended_before = read_beginning(content).ended_before

    async def _end_stream(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            await self._snapshots.put(place, b"")

    async def _forget_ended(self) -> None:
        """Calls that waited for their time, and ended while the backup was taken, wait no more."""
        if not {LATER, OUTCOMES} <= set(self._streams):
            return
        if not (await self._jetstream.stream_info(LATER)).state.messages:
            return
        at = self._ended_before + 1
        while True:
            ended, _ = await self._jetstream.get_messages(
                OUTCOMES, "faas.outcome.>", at, count=_AT_A_TIME, max_bytes=_LARGEST_BYTES
            )
            if not ended:
                return
            for message in ended:
                about = message.subject.removeprefix("faas.outcome.")
                await self._jetstream.purge_stream(LATER, filter=f"faas.later.*.{about}")
                at = message.sequence + 1

    async def _put_moved(self, content: bytes) -> None:
        subject, headers, payload = read_moved(content)
        if subject.startswith(b"faas.later.") and await self._is_known(subject.decode()):
            return
        reply = await self._client.request(subject, payload, headers=headers, timeout_seconds=60)
        acknowledged = read_ack(reply)
        # One that may only be the first of its subject lies there already.
        if isinstance(acknowledged, NatsError) and not isinstance(acknowledged, WrongLastSequence):
            raise acknowledged

    async def _is_known(self, later: str) -> bool:
        """Whether a call that was put off has come back, or ended, since."""
        queue, _, about = later.removeprefix("faas.later.").partition(".")
        for stream, subject in (
            (CALLS, f"faas.call.{queue}.{about}"),
            (OUTCOMES, f"faas.outcome.{about}"),
        ):
            try:
                await self._jetstream.get_last_message(stream, subject)
            except MessageNotFound:
                continue
            return True
        return False


def read_beginning(content: bytes) -> Beginning:
    """
    :raises BackupError: it is none of ours, or of a time to come.
    """
    try:
        begin = msgspec.json.decode(content, type=Beginning)
    except msgspec.MsgspecError as reason:
        raise BackupError(f"it is no backup: {BEGIN}: {reason}") from None
    if begin.format > FORMAT:
        raise BackupError(
            f"it was taken by a newer faasd-async ({begin.version}): restore it with that"
        )
    return begin


def read_moved(content: bytes) -> tuple[bytes, bytes, bytes]:
    """A message's subject, headers and payload.

    :raises BackupError: it is none that moves.
    """
    found = _MOVED.match(content)
    if found is None or found.end() + int(found[2]) > len(content):
        raise BackupError("it is no backup: what moved meanwhile cannot be read")
    payload_at = found.end() + int(found[2])
    return found[1], content[found.end() : payload_at], content[payload_at:]


def _holds_something(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _put_aside(state_dir: Path) -> Path:
    """Keep what is there where it is in nobody's way."""
    number = 1
    while (aside := state_dir / f"replaced-{number}").exists():
        number += 1
    make_private_directory(aside)
    for name in _WHOLE:
        if (state_dir / name).exists():
            (state_dir / name).rename(aside / name)
    return aside


def _put_in_place(state_dir: Path, fresh: Path) -> None:
    """Have what was put together be the state: calls last, for without them there is none."""
    _give_to(fresh, state_dir.stat())
    # nats-server leaves to the kernel when it gets to the disk.
    os.sync()
    for name in reversed(_WHOLE):
        if (fresh / name).exists():
            if (state_dir / name).exists():
                (state_dir / name).rmdir()
            (fresh / name).rename(state_dir / name)
    sync_directory(state_dir)


def _give_to(fresh: Path, owner: os.stat_result) -> None:
    """Have all of it be the owner's of the state directory, whoever restores it."""
    if os.geteuid() != 0:
        return
    for directory, below, files in os.walk(fresh):
        for name in (*below, *files):
            os.chown(Path(directory) / name, owner.st_uid, owner.st_gid, follow_symlinks=False)
