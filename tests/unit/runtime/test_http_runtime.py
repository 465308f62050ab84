"""The life of a function that is a server: starts, looks, restarts. The servers are made up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from faasd_async.errors import NotHandedOver, StartError
from faasd_async.runtime.interface import Invocation
from faasd_async.runtime.process import http, server
from faasd_async.runtime.process.http import HttpRuntime
from faasd_async.runtime.process.program import Program
from faasd_async.runtime.process.server import Server
from faasd_async.settings import CommandSettings

PROGRAM = Program(("figlet",), "/figlet", {}, None)
COMMAND = CommandSettings(words=("figlet",), mode="http", healthcheck_interval_seconds=30.0)
CALL = Invocation("figlet", "the-call", b"GET", b"/", (), b"")


class MadeUpServer:
    """A server whose life the test decides."""

    #: How many more starts fail, and those that did not.
    failing = 0
    started: list[MadeUpServer]

    def __init__(self, *_: Any, looked: Any, **options: Any) -> None:
        if MadeUpServer.failing:
            MadeUpServer.failing -= 1
            raise OSError("no memory")
        MadeUpServer.started.append(self)
        self.looked = looked
        self.ended: Deferred[int] = Deferred()
        self.upstream = self
        self.calls: list[Invocation] = []

    async def live(self) -> int:
        return await self.ended

    def end(self) -> None:
        self.ended.callback(-15)

    async def exchange(self, invocation: Invocation) -> None:
        self.calls.append(invocation)
        await Deferred()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runtime(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> HttpRuntime:
    monkeypatch.setattr(http, "Server", MadeUpServer)
    MadeUpServer.failing = 0
    MadeUpServer.started = []
    return HttpRuntime(
        clock,
        "figlet",
        lambda: PROGRAM,
        COMMAND,
        max_inflight=1,
        connect_timeout_seconds=5.0,
        draw=lambda: 1.0,
    )


def failure_of(deferred: Deferred[Any]) -> Failure:
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    [failure] = failures
    return failure


def test_start_does_not_wait(runtime: HttpRuntime) -> None:
    """Starting is done when the process runs, ready or not."""
    assert runtime.start().called
    assert len(MadeUpServer.started) == 1


def test_first_start_fails(runtime: HttpRuntime) -> None:
    """A program that cannot be run stops the start."""
    MadeUpServer.failing = 1
    failure = failure_of(runtime.start())
    assert failure.check(StartError)
    assert "function figlet: /figlet cannot be run: no memory" in str(failure.value)


def test_delays_between_restarts(runtime: HttpRuntime, clock: Clock) -> None:
    """Each delay is twice the one before, up to a bound."""
    runtime.start()
    for delay in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0):
        before = len(MadeUpServer.started)
        MadeUpServer.started[-1].ended.callback(1)
        clock.advance(delay * 0.99)
        assert len(MadeUpServer.started) == before
        clock.advance(delay * 0.02)
        assert len(MadeUpServer.started) == before + 1


def test_steady_server_starts_over(runtime: HttpRuntime, clock: Clock) -> None:
    """After a long run a crash is a first one again."""
    runtime.start()
    for _ in range(5):
        MadeUpServer.started[-1].ended.callback(1)
        clock.advance(30.0)
    clock.advance(60.0)
    before = len(MadeUpServer.started)
    MadeUpServer.started[-1].ended.callback(1)
    clock.advance(0.1)
    assert len(MadeUpServer.started) == before + 1


def test_restart_that_fails_is_tried_again(runtime: HttpRuntime, clock: Clock) -> None:
    """Once it has run, a program that cannot be run now is tried later."""
    runtime.start()
    MadeUpServer.failing = 2
    MadeUpServer.started[0].ended.callback(1)
    clock.pump((0.1, 0.2, 0.4))
    assert len(MadeUpServer.started) == 2


def test_call_waits_for_the_next_server(runtime: HttpRuntime, clock: Clock) -> None:
    """A call that finds the server down waits for the next one, not for its look alone."""
    runtime.start()
    MadeUpServer.started[0].looked(True)
    MadeUpServer.started[0].ended.callback(1)
    runtime.invoke(CALL, 60.0)
    clock.advance(0.1)
    second = MadeUpServer.started[1]
    second.looked(False)
    assert second.calls == []
    second.looked(True)
    assert second.calls == [CALL]


def test_call_waits_as_long_as_for_a_connection(runtime: HttpRuntime, clock: Clock) -> None:
    """After the connect timeout the call has not been handed over."""
    runtime.start()
    invoked = runtime.invoke(CALL, 60.0)
    clock.advance(5.0)
    assert failure_of(invoked).check(NotHandedOver)
    MadeUpServer.started[0].looked(True)
    assert MadeUpServer.started[0].calls == []


def test_stop(runtime: HttpRuntime, clock: Clock) -> None:
    """Stopping ends the server and starts no other."""
    runtime.start()
    assert runtime.stop().called
    assert not clock.getDelayedCalls()
    assert len(MadeUpServer.started) == 1


class MadeUpGroup:
    """A process that ends when the test says so."""

    pid = 4711

    def __init__(self, when_ended: Deferred[int]) -> None:
        self.when_ended = when_ended


class Watched:
    """A server that is watched on a clock.

    :ivar looks: how often it was looked at.
    :ivar told: what was told of it.
    :ivar ended: ends its process.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.looks = 0
        self.told: list[bool] = []
        self.ready = False
        self.busy = False
        self.ended: Deferred[int] = Deferred()
        monkeypatch.setattr(server, "ProcessGroup", lambda *_: MadeUpGroup(self.ended))
        monkeypatch.setattr(server, "listens", self._listens)
        self.server = Server(
            self.clock,
            "figlet",
            PROGRAM,
            COMMAND,
            upstream_at=lambda _: self,
            busy=lambda: self.busy,
            looked=self.told.append,
        )
        self.life = Deferred.fromCoroutine(self.server.live())

    async def _listens(self, *_: Any) -> bool:
        self.looks += 1
        return self.ready

    async def stop(self) -> None: ...


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(monkeypatch)
    yield watched
    if not watched.ended.called:
        watched.ended.callback(0)


def test_looks_grow_rarer(watched: Watched) -> None:
    """A server that comes up is looked at often, then every second."""
    for pause in (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0):
        before = watched.looks
        watched.clock.advance(pause * 0.99)
        assert watched.looks == before
        watched.clock.advance(pause * 0.02)
        assert watched.looks == before + 1
    assert watched.told == [False] * watched.looks


def test_health_is_checked_from_time_to_time(watched: Watched) -> None:
    """A ready server is looked at every healthcheck interval, and often again if it is not."""
    watched.ready = True
    watched.clock.advance(0.01)
    watched.clock.advance(29.9)
    assert watched.told == [False, True]
    watched.ready = False
    watched.clock.advance(0.1)
    assert watched.told == [False, True, False]
    watched.ready = True
    watched.clock.advance(0.01)
    assert watched.told == [False, True, False, True]


def test_busy_server_is_left_in_peace(watched: Watched) -> None:
    """While calls are under way nobody looks: a server may only do one thing at a time."""
    watched.ready = True
    watched.clock.advance(0.01)
    looks = watched.looks
    watched.busy = True
    watched.clock.advance(30.0)
    assert watched.looks == looks
    assert watched.told[-1] is True


def test_nobody_looks_at_a_dead_server(watched: Watched) -> None:
    """With the process's end the watch ends."""
    watched.ended.callback(3)
    codes: list[int] = []
    watched.life.addCallback(codes.append)
    assert codes == [3]
    assert not watched.clock.getDelayedCalls()
