"""Deployments and their tokens, while functions change and invocations end slowly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from faasd_async.errors import StartError
from faasd_async.runtime.deployments import Deployment, Deployments
from faasd_async.runtime.interface import Invocation, Reply
from faasd_async.settings import FunctionSettings


class Bench:
    """A runtime that starts, stops and comes to the end of things as a test says.

    :ivar started: what a start brings.
    :ivar over: when nothing is left of what was over.
    """

    def __init__(self, settings: FunctionSettings) -> None:
        self.settings = settings
        self.started: Deferred[None] = succeed(None)
        self.over: Deferred[None] = succeed(None)
        self.stopped: Deferred[None] = succeed(None)
        self.stops = 0
        self.on_stop: Callable[[], object] = lambda: None

    def start(self) -> Deferred[None]:
        return self.started

    def stop(self) -> Deferred[None]:
        self.stops += 1
        self.on_stop()
        return self.stopped

    def invoke(self, invocation: Invocation, timeout_seconds: float) -> Deferred[Reply]:
        raise NotImplementedError

    def when_over(self) -> Deferred[None]:
        return self.over


class House:
    """Deployments on benches.

    :ivar benches: every one that was made, by its function's name, the newest last.
    :ivar prepare: what is done to a bench before it is started.
    """

    def __init__(self) -> None:
        self.benches: dict[str, list[Bench]] = {}
        self.prepare: Callable[[Bench], object] = lambda bench: None
        self.deployments = Deployments(self._make)

    def _make(self, settings: FunctionSettings) -> Bench:
        bench = Bench(settings)
        self.benches.setdefault(settings.name, []).append(bench)
        self.prepare(bench)
        return bench

    def deploy(self, **limits: int) -> Deferred[None]:
        """Deploy functions with so many tokens."""
        functions = {
            name: FunctionSettings(name=name, max_inflight=limit, max_body_bytes=1)
            for name, limit in limits.items()
        }
        return Deferred.fromCoroutine(self.deployments.deploy(functions))

    def __getitem__(self, name: str) -> Deployment:
        return self.deployments[name]

    def bench(self, name: str = "f") -> Bench:
        return self.benches[name][-1]


@pytest.fixture
def house() -> House:
    return House()


def run(action: Awaitable[Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(action)  # type: ignore[arg-type]


def failure_of(deferred: Deferred[Any]) -> Failure:
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    [failure] = failures
    return failure


# -- tokens


def test_a_token_is_free_when_nothing_is_left(house: House) -> None:
    """Who invoked is not kept waiting, and the next has to wait."""
    house.deploy(f=1)
    told: list[int] = []
    f = house["f"]
    f.when_freed = lambda: told.append(f.free)
    assert f.tokens.acquire().called
    house.bench().over = over = Deferred()
    f.release()
    next_token = f.tokens.acquire()
    assert (f.free, f.running, next_token.called, told) == (0, 1, False, [])
    over.callback(None)
    assert next_token.called
    house.bench().over = succeed(None)
    f.release()
    assert (f.free, f.running, told) == (1, 0, [0, 1])


def test_tokens_come_in_the_order_of_asking(house: House) -> None:
    """Those who ask no more are left out."""
    house.deploy(f=1)
    f = house["f"]
    first, second, third = (f.tokens.acquire() for _ in range(3))
    second.cancel()
    assert failure_of(second).check(CancelledError)
    assert (first.called, third.called) == (True, False)
    f.release()
    assert third.called


def test_idle_takes_every_token(house: House) -> None:
    """It comes after those who asked before, and then nothing can begin."""
    house.deploy(f=2)
    f = house["f"]
    f.tokens.acquire()
    idle = run(house.deployments.when_idle())
    assert not idle.called
    f.release()
    assert idle.called
    assert f.free == 0


# -- changes


def test_what_runs_counts_after_a_change_too(house: House) -> None:
    """The calls of a function with one token never overlap, whichever settings they run under."""
    house.deploy(f=1)
    old = house["f"]
    old.tokens.acquire()
    house.deploy(f=1, g=1)
    assert house["f"] is old, "nothing about it has changed"
    house.deploy(f=2)
    new = house["f"]
    assert (new.free, new.running) == (1, 1)
    house.deploy(f=1)
    newest = house["f"]
    waiting = newest.tokens.acquire()
    assert (newest.free, waiting.called) == (0, False)
    told: list[str] = []
    newest.when_freed = lambda: told.append("freed")
    old.release()
    assert waiting.called
    assert told == ["freed"]


def test_more_tokens_are_given_at_once(house: House) -> None:
    """Even to one who waits at the deployment that is replaced."""
    house.deploy(f=1)
    old = house["f"]
    old.tokens.acquire()
    waiting = old.tokens.acquire()
    house.deploy(f=2)
    assert waiting.called
    assert house["f"].free == 0


def test_fewer_tokens_than_are_out(house: House) -> None:
    """What runs goes on; the next begins when there are few enough."""
    house.deploy(f=3)
    old = house["f"]
    for _ in range(3):
        old.tokens.acquire()
    house.deploy(f=1)
    waiting = house["f"].tokens.acquire()
    assert house["f"].free == 0
    old.release()
    old.release()
    assert not waiting.called
    old.release()
    assert waiting.called


def test_a_function_that_was_away_still_has_its_limit(house: House) -> None:
    """What runs from before it was taken away counts."""
    house.deploy(f=1)
    old = house["f"]
    old.tokens.acquire()
    told: list[str] = []
    old.when_freed = lambda: told.append("freed")
    house.deploy()
    house.deploy(f=1)
    assert house["f"].free == 0
    old.release()
    assert (house["f"].free, told) == (1, [])


def test_a_function_that_came_back_later_begins_anew(house: House) -> None:
    """Nothing is kept of one that is gone and runs nothing any more."""
    house.deploy(f=1)
    house["f"].tokens.acquire()
    house["f"].release()
    house.deploy()
    assert len(house.deployments._rooms) == 0
    house.deploy(f=5)
    assert house["f"].free == 5


def test_a_bench_is_kept_for_those_who_use_it(house: House) -> None:
    """Who runs there, and who waits for a token there."""
    house.deploy(f=1)
    old, bench = house["f"], house.bench()
    old.tokens.acquire()
    waiting = old.tokens.acquire()
    house.deploy(g=1)
    old.release()
    assert waiting.called
    assert bench.stops == 0
    old.release()
    assert bench.stops == 1


# -- a deployment that does not come about


def test_one_that_cannot_start_changes_nothing(house: House) -> None:
    """What had been started beside it is stopped, whatever its stop says; the limit stands."""
    house.deploy(f=1)
    f, bench = house["f"], house.bench()

    def prepare(fresh: Bench) -> None:
        fresh.started = Deferred() if fresh.settings.name == "g" else succeed(None)
        fresh.on_stop = lambda: 1 / 0

    house.prepare = prepare
    deploying = house.deploy(f=2, g=1)
    with capturedLogs() as events:
        house.bench("g").started.errback(StartError("no such program"))
    assert failure_of(deploying).check(StartError)
    assert house["f"] is f
    assert (f.free, bench.stops) == (1, 0)
    assert (house.bench("f").stops, house.bench("g").stops) == (1, 1)
    assert [event["function"] for event in events] == ["f", "g"]


@pytest.mark.parametrize("reason", [RuntimeError("a bug"), None])
def test_one_that_is_broken_off_changes_nothing(house: House, reason: Exception | None) -> None:
    """By a bug or by being cancelled: what had been started is stopped before it is told."""
    house.prepare = lambda bench: vars(bench).update(stopped=Deferred(), started=Deferred())
    ended: list[object] = []
    deploying = house.deploy(f=1).addBoth(ended.append)
    bench = house.bench()
    if reason is None:
        deploying.cancel()
    else:
        bench.started.errback(reason)
    assert bench.stops == 1
    assert ended == []
    bench.stopped.callback(None)
    [failure] = ended
    assert isinstance(failure, Failure)
    assert failure.check(type(reason) if reason else CancelledError)
    assert len(house.deployments) == 0


# -- the end


def test_stopping_ends_what_retires_too(house: House) -> None:
    """It does not wait for what runs there: that is aborted, and then it is over."""
    house.deploy(f=1)
    old, bench = house["f"], house.bench()
    old.tokens.acquire()
    bench.on_stop = lambda: old.release() if bench.stops == 1 else None
    house.deploy()
    assert bench.stops == 0
    stopped = run(house.deployments.stop())
    assert stopped.called
    assert bench.stops == 2


def test_stopping_stops_all_at_the_same_time(house: House) -> None:
    """One that takes its time, or fails, does not keep the others up."""
    house.prepare = lambda bench: setattr(bench, "stopped", Deferred())
    house.deploy(f=1, g=1)
    stopped = run(house.deployments.stop())
    assert [house.bench(name).stops for name in "fg"] == [1, 1]
    with capturedLogs() as events:
        house.bench("f").stopped.errback(RuntimeError("a bug"))
    assert [event["function"] for event in events] == ["f"]
    assert not stopped.called
    house.bench("g").stopped.callback(None)
    assert stopped.called
