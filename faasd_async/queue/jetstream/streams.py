"""The streams: brought up with quotas that the disk has room for, and looked into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from faasd_async.errors import QueueFull, StartError
from faasd_async.nats.jetstream import (
    JetStream,
    ResourcesExceeded,
    StreamConfig,
    StreamInfo,
    StreamNotFound,
)
from faasd_async.queue.jetstream.layout import Layout
from faasd_async.queue.jetstream.quotas import Quotas, fit
from faasd_async.queue.jetstream.subjects import CALLBACKS, CALLS, DEAD, LATER, OUTCOMES

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class StoreDisk:
    """The disk that the store is on.

    :ivar free_bytes: what is left of it; ``None`` if that is not known.
    :ivar spared_bytes: what is to stay free.
    """

    free_bytes: Callable[[], int | None]
    spared_bytes: int


class Streams:
    """What the queue keeps its things in.

    :param disk: ``None``: it is another machine's, whose operator sees to its room.
    :ivar layout: as it was asked for, within the quotas there is room for.
    :ivar keeps_schedules: whether the broker is new enough to put messages off.
    """

    _log = Logger()

    def __init__(self, jetstream: JetStream, layout: Layout, disk: StoreDisk | None) -> None:
        self.layout = layout
        self._jetstream = jetstream
        self._wanted = layout.quotas
        self._disk = disk
        self._told: list[str] = []
        self.keeps_schedules = True

    async def bring_up(self) -> dict[str, int]:
        """Have every stream in place; what is there already stays as it is.

        :return: the last sequence of each.
        :raises NatsError, QueueError: it cannot be done now.
        :raises StartError: it never will be.
        """
        stored = await self._look()
        if self._disk is not None:
            self._fit(stored, self._disk)
        return {stream.name: await self._ensure(stream) for stream in self.layout.streams}

    async def _ensure(self, stream: StreamConfig) -> int:
        try:
            info = await self._jetstream.ensure_stream(stream)
        except ResourcesExceeded as reason:
            raise QueueFull(
                f"{stream.name}: {reason}: the NATS server has less room than the quotas in [queue]"
                " ask for; lower them, or raise its max_file_store"
            ) from reason
        if stream.allow_msg_schedules:
            # A server older than 2.12 makes the stream, and leaves out what it has never heard of.
            self.keeps_schedules = info.config.allow_msg_schedules
        return info.state.last_seq

    async def report(self, tell: Callable[[str, int, int, int], None]) -> None:
        """Tell of each stream what it holds, in bytes and messages, and its quota.

        :raises NatsError: it cannot be found out now.
        """
        layout = self.layout
        quotas = {
            CALLS: layout.calls_bytes,
            LATER: layout.later_bytes,
            CALLBACKS: layout.callbacks_bytes,
            OUTCOMES: layout.outcomes_bytes,
            DEAD: layout.dead_bytes,
        }
        for name, quota_bytes in quotas.items():
            state = (await self._jetstream.stream_info(name)).state
            tell(name, state.bytes, state.messages, quota_bytes)

    def calls_share(self, size_bytes: int, messages: int) -> float:
        """As :meth:`callbacks_share`, of calls."""
        layout = self.layout
        return max(size_bytes / layout.calls_bytes, messages / layout.waiting_messages)

    def callbacks_share(self, size_bytes: int, messages: int) -> float:
        """How much of their quotas so many bytes of so many callbacks take up; 1 is all."""
        layout = self.layout
        return max(size_bytes / layout.callbacks_bytes, messages / layout.waiting_messages)

    async def _look(self) -> Quotas:
        """What the streams hold."""
        found = {stream.name: await self._find(stream.name) for stream in self.layout.streams}
        for info in found.values():
            if info is not None and info.config.persist_mode == "async":
                raise StartError(
                    f"the stream {info.config.name} has persist_mode: async, which acknowledges"
                    " calls before they are written: move what it holds away and delete it; it is"
                    " made anew at the next start"
                )
        held = {name: 0 if info is None else info.state.bytes for name, info in found.items()}
        return Quotas(held[CALLS], held[LATER], held[CALLBACKS], held[OUTCOMES], held[DEAD])

    async def _find(self, name: str) -> StreamInfo | None:
        try:
            return await self._jetstream.stream_info(name)
        except StreamNotFound:
            return None

    def _fit(self, stored: Quotas, disk: StoreDisk) -> None:
        """Share out what room there is."""
        free_bytes = disk.free_bytes()
        if free_bytes is None:
            return
        fitting = fit(self._wanted, stored, free_bytes, disk.spared_bytes)
        self.layout = self.layout.within(fitting)
        before, self._told = self._told, _changes(self._wanted, fitting)
        if self._told and self._told != before:
            self._log.warn(
                "the disk has {free} free, and the quotas shrink to that: {changes}. Make room, or"
                " set smaller ones",
                free=_mib(free_bytes),
                changes=", ".join(self._told),
            )


def _changes(wanted: Quotas, fitting: Quotas) -> list[str]:
    """Which settings do not hold as they are."""
    pairs = (
        ("[queue] max_bytes (calls)", wanted.calls, fitting.calls),
        ("[queue] max_bytes (calls that wait for their time)", wanted.later, fitting.later),
        ("[queue] max_bytes (callbacks)", wanted.callbacks, fitting.callbacks),
        ("[queue] results_max_bytes", wanted.outcomes, fitting.outcomes),
        ("[queue] dead_letters_max_bytes", wanted.dead, fitting.dead),
    )
    return [
        f"{setting} is {_mib(asked)} and becomes {_mib(found)}"
        for setting, asked, found in pairs
        if found < asked
    ]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.0f} MiB"
