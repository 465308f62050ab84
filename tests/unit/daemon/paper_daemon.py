"""A daemon whose parts write down what they do."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from faasd_async.daemon import life
from faasd_async.daemon.life import Daemon
from faasd_async.daemon.parts import Parts
from faasd_async.daemon.reloading import Reading
from faasd_async.daemon.systemd import Notifier
from faasd_async.settings import FunctionSettings

DRAIN_SECONDS = 30.0
Functions = Mapping[str, FunctionSettings]
NO_FUNCTIONS: Functions = {}


class PaperGround:
    """Nobody moves it, unless the test does."""

    def __init__(self) -> None:
        self.lost: str | None = None
        self.when_lost: Callable[[], None] = lambda: None

    def take(self) -> None: ...

    def release(self) -> None: ...


class Reactor(Clock):
    """A reactor that runs already, and remembers that it was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def callWhenRunning(self, action: Callable[[], None]) -> None:  # noqa: N802
        action()

    def stop(self) -> None:
        self.stopped += 1


class Step:
    """Something a part does.

    :ivar waits: it takes until the test ends it.
    :ivar failure: what it fails with.
    """

    def __init__(self, diary: list[str], name: str) -> None:
        self._diary = diary
        self._name = name
        self.waits = False
        self.failure: Exception | None = None
        self.under_way: list[Deferred[None]] = []

    def __call__(self) -> Deferred[None]:
        self._diary.append(self._name)
        done: Deferred[None] = Deferred()
        if self.failure is not None:
            done.errback(self.failure)
        elif self.waits:
            self.under_way.append(done)
        else:
            done.callback(None)
        return done

    def at_once(self) -> None:
        """Do it without a Deferred."""
        self._diary.append(self._name)
        if self.failure is not None:
            raise self.failure

    def ends(self) -> None:
        """What is under way is done."""
        under_way, self.under_way = self.under_way, []
        for done in under_way:
            done.callback(None)

    def breaks_off(self, reason: Exception) -> Deferred[None]:
        """Wait, and fail for *reason* when it is cancelled."""
        self._diary.append(self._name)
        return Deferred(lambda done: done.errback(reason))


class PaperHand:
    """A worker or poster with so many parcels in hand."""

    def __init__(self, house: House, name: str) -> None:
        self.start = house.step(f"{name} starts").at_once
        self.stop_taking = house.step(f"{name} stops taking").at_once
        self.idle = house.step(f"{name} is idle")
        self.in_hand = 0
        self._give_up = house.step(f"{name} gives up")

    def when_idle(self) -> Deferred[None]:
        self.idle.waits = self.in_hand > 0
        return self.idle()

    def give_up(self) -> int:
        self._give_up.at_once()
        given_up, self.in_hand = self.in_hand, 0
        self.idle.ends()
        return given_up

    def finishes(self) -> None:
        """Everything in hand comes to its end."""
        self.in_hand = 0
        self.idle.ends()


class PaperDeployments:
    """Takes any functions."""

    def __init__(self, house: House) -> None:
        self.deployed: list[Functions] = []
        self.deploying = house.step("functions start")
        self.idle = house.step("functions are idle")
        self.stopping = house.step("functions stop")

    def __len__(self) -> int:
        return len(self.deployed[-1])

    async def deploy(self, functions: Functions) -> None:
        await self.deploying()
        self.deployed.append(functions)

    async def when_idle(self) -> None:
        await self.idle()

    async def stop(self) -> None:
        await self.stopping()


class House:
    """A daemon whose parts write down what they do.

    :ivar diary: what was done, in its order.
    :ivar left_with: the status the process is to end with, if it was said.
    :ivar left_in_order: what the lock was told when it was released.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.diary: list[str] = []
        self.steps: dict[str, Step] = {}
        self.reactor = Reactor()
        self.ready = True
        self.worker, self.poster = PaperHand(self, "worker"), PaperHand(self, "poster")
        self.deployments = PaperDeployments(self)
        self.settings: Callable[[], Functions] = lambda: NO_FUNCTIONS
        self.left_with: list[int] = []
        self.left_in_order: bool | None = None
        self.signals: tuple[Callable[[], None], Callable[[], None]] | None = None
        monkeypatch.setattr(life, "_leave_with", self.left_with.append)
        monkeypatch.setattr(life.signals, "install", self._install)
        self.stderr = io.StringIO()
        monkeypatch.setattr(sys, "__stderr__", self.stderr)
        self.daemon = self.make_daemon()

    def make_daemon(self, **changes: Any) -> Daemon:
        self._closing = self.step("doors close")
        self.ground = PaperGround()
        parts = Parts(
            lock=cast(Any, self._lock()),
            ground=cast(Any, self.ground),
            processes=cast(Any, self.processes()),
            broker=cast(Any, self.deferring(start="broker starts", stop="broker stops")),
            queue=cast(Any, self.deferring(start="queue starts", stop="queue stops")),
            deployments=cast(Any, self.deployments),
            sweeping=cast(Any, self.part(start="sweeping starts", stop="sweeping stops")),
            hands=(self.worker, self.poster),
            doors=cast(Any, self.part(open="doors open", let_in="doors let in")),
        )
        cast(Any, parts.doors).close = self._close
        cast(Any, parts.queue).ready = True
        cast(Any, parts.queue).why_refused = None
        self.parts = parts
        given: dict[str, Any] = {
            "functions": NO_FUNCTIONS,
            "reload": lambda: Reading(self.settings()),
            "drain_timeout_seconds": DRAIN_SECONDS,
            "notices": (),
            "observer": None,
            "systemd": Notifier(self.reactor, {}),
        }
        return Daemon(self.reactor, parts, **(given | changes))

    async def _close(self) -> None:
        await self._closing()

    def _install(self, reactor: object, stop: Any, reload: Any) -> None:
        assert reactor is self.reactor
        self.signals = stop, reload

    def _lock(self) -> object:
        part: Any = self.part(acquire="lock")
        unlock = self.step("unlock")

        def release(*, in_order: bool) -> None:
            self.left_in_order = in_order
            unlock.at_once()

        part.release = release
        return part

    def processes(self) -> object:
        part: Any = self.part(stop="notes end")
        part.start = self.step("left behind ends")
        return part

    def step(self, name: str) -> Step:
        self.steps[name] = Step(self.diary, name)
        return self.steps[name]

    def part(self, **does: str) -> object:
        return type("Part", (), {name: self.step(what).at_once for name, what in does.items()})()

    def deferring(self, **does: str) -> object:
        return type("Part", (), {name: self.step(what) for name, what in does.items()})()

    def starts(self) -> None:
        """As twistd has it."""
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def sigterm(self) -> None:
        assert self.signals is not None
        self.signals[0]()

    def sighup(self) -> None:
        assert self.signals is not None
        self.signals[1]()

    def stops(self) -> Deferred[None]:
        """As the reactor has it when it goes down; the diary begins anew."""
        self.diary.clear()
        return self.daemon.stopService()
