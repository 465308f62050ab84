"""One installation under trial: a state directory, a port, a function, its callers."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon import Daemon, free_port
from function_server import FunctionServer
from invocations import Count, Invocations
from lifeline import when_ended
from load import Load
from loop_disk import LoopDisk
from noted_process import NotedProcess
from twisted.internet.defer import Deferred, gatherResults

#: A trial that has not come further for so long has failed. Machines are shared, disks have moods.
PATIENCE_SECONDS = 180.0

#: How many calls may run at a time, unless a trial says otherwise.
MAX_INFLIGHT = 16

#: What the callers may add between two moments: enough that they are calling when it comes.
CALLS_A_MOMENT = 1000


class Installation:
    """A daemon that is killed and started again, on one state directory and one port.

    The function ``noted`` runs in the test's own process, as do the callers: nothing that a trial
    kills or cuts off knows what was accepted and what ran.

    :param directory: what the daemon keeps is below it.
    :ivar ups: when each daemon said that it was ready, on the reactor's clock, in seconds.
    """

    def __init__(self, reactor: Any, directory: Path) -> None:
        self.reactor = reactor
        self.directory = directory
        self.port = free_port()
        self.invocations = Invocations(reactor, PATIENCE_SECONDS)
        self.function = FunctionServer(reactor, self.invocations)
        self.load = Load(reactor, self.port)
        self.settings = ""
        self.daemons: list[Daemon] = []
        self.ups: list[float] = []

    @property
    def daemon(self) -> Daemon:
        return self.daemons[-1]

    async def open(self) -> None:
        await self.function.open()

    def function_settings(self, more: str = "") -> str:
        return (
            f"[functions.noted]\nurl = '{self.function.url}'\nmax_inflight = {MAX_INFLIGHT}\n{more}"
        )

    async def up(self, settings: str | None = None, kind: type[Daemon] = Daemon) -> Daemon:
        """Start a daemon, and wait until it is ready.

        :param settings: everything but ``[gateway]``; as before, unless given.
        """
        if settings is not None:
            self.settings = settings
        daemon = kind(self.reactor, self.directory, self.settings, port=self.port)
        self.daemons.append(daemon)
        await daemon.start()
        self.ups.append(self.reactor.seconds())
        return daemon

    async def moment(self, dice: random.Random, most_calls: int) -> None:
        """Return at a moment drawn by lot: as the 202 of one of the next so many calls is read, or
        as one of the next so many invocations begins."""
        self.load.begin(CALLS_A_MOMENT)
        calls = dice.randrange(1, most_calls)
        if dice.random() < 0.5:
            await self.load.when_accepted(len(self.load.accepted) + calls, PATIENCE_SECONDS)
        else:
            await self.invocations.when_begun(self.invocations.begun + calls)

    async def kill(self, *pids: int) -> None:
        """SIGKILL, all at one moment; returns when none of them is left."""
        ended = [when_ended(self.reactor, pid) for pid in pids]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        life = self.invocations.end_life()
        kills_the_caller = self.daemon.pid in pids
        if kills_the_caller:
            self.function.part_from(life)
        await gatherResults(ended)
        if kills_the_caller:
            await self.function.await_next()

    async def cut_power(self, disk: LoopDisk) -> None:
        """Of the machine, whose store is on *disk*: then it is on again."""
        pids = (self.daemon.pid, self.daemon.broker_pid)
        disk.cut_power()
        await self.kill(*pids)
        disk.start_again()
        await self.up()

    async def kill_function(self, process: NotedProcess) -> None:
        """The same for a function's process."""
        ended = when_ended(self.reactor, process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.part_from(process.pid, self.invocations.end_life())
        await ended

    async def settle(self, *, losses: bool = False) -> Count:
        """Let everything that was accepted run, and make sure that nothing is left that could run.

        :param losses: they are expected: what does not run now is not waited for.
        """
        self.load.stop()
        if not losses:
            await self.invocations.when_run(self.load.accepted)
        await self._stop_after_all()
        await self.up()
        await self._stop_after_all()
        return self.invocations.count(self.load.accepted)

    async def _stop_after_all(self) -> None:
        """A daemon that was started anew is given at once whatever was not settled, oldest first:
        when a call that is accepted now runs, all others have been taken; and a daemon that stops
        in peace has ended what it took."""
        last = Load(self.reactor, self.port, callers=1)
        call_ids = await last.push(1, PATIENCE_SECONDS)
        last.stop()
        await self.invocations.when_run(call_ids)
        assert await self.daemon.stop() == 0, self.daemon.log

    async def close(self) -> None:
        self.load.stop()
        for daemon in self.daemons:
            await daemon.end()
        for pid in self._brokers_on(self.directory):
            os.kill(pid, signal.SIGKILL)
            await when_ended(self.reactor, pid)
        await self.function.close()

    @staticmethod
    def _brokers_on(directory: Path) -> list[int]:
        """Whatever nats-server is left there, even if its disk is cut off."""
        store = f"{directory}/state/nats/".encode()
        pids = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if store in (process / "cmdline").read_bytes():
                    pids.append(int(process.name))
        return pids


Install = Callable[..., Deferred[Installation]]
Amount = Callable[[int, int], int]
