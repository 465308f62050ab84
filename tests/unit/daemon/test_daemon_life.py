"""The daemon's parts come up in order and go down in order, whatever goes wrong on the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, cast

import pytest
from paper_daemon import DRAIN_SECONDS, NO_FUNCTIONS, Functions, House
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.daemon.parts import Parts
from faasd_async.errors import ConfigurationError, StartError
from faasd_async.settings import FunctionSettings


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    gc.collect()  # what tests before this one left lying is not told as ours
    with capturedLogs() as events:
        yield events


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, events: list[LogEvent]) -> Iterator[House]:
    house = House(monkeypatch)
    yield house
    gc.collect()
    assert house.reactor.getDelayedCalls() == []
    unhandled = [event for event in events if "Unhandled error" in formatEvent(event)]
    assert unhandled == []


UP = [
    "doors open",
    "lock",
    "left behind ends",
    "broker starts",
    "functions start",
    "sweeping starts",
    "queue starts",
    "worker starts",
    "poster starts",
    "doors let in",
]
#: What takes its time.
STARTING = ("left behind ends", "broker starts", "functions start", "queue starts")
DOWN = [
    "doors close",
    "worker stops taking",
    "poster stops taking",
    "worker is idle",
    "poster is idle",
    "functions are idle",
    "queue stops",
    "sweeping stops",
    "functions stop",
    "notes end",
    "broker stops",
    "unlock",
]


def said(events: list[LogEvent], *levels: LogLevel) -> list[str]:
    return [formatEvent(event) for event in events if event["log_level"] in levels]


def test_up_and_down(house: House, events: list[LogEvent]) -> None:
    """Each part after those it needs, and before them on the way down."""
    house.starts()
    assert house.diary == UP
    assert house.stops().called
    assert house.diary == DOWN
    assert house.left_in_order
    assert said(events, LogLevel.warn, LogLevel.error, LogLevel.critical) == []
    assert house.left_with == []


def test_doors_are_bound_while_there_are_privileges(house: House) -> None:
    """And nothing else is done then."""
    house.daemon.privilegedStartService()
    assert house.diary == ["doors open"]
    house.daemon.startService()
    house.stops()


@pytest.mark.parametrize("name", STARTING)
def test_each_part_waits_for_the_one_before(house: House, name: str) -> None:
    """And until the last one is there the daemon is not ready."""
    house.steps[name].waits = True
    house.starts()
    assert house.diary == UP[: UP.index(name) + 1]
    assert house.daemon.why_not_ready() is not None
    house.steps[name].ends()
    assert house.diary == UP
    assert house.daemon.why_not_ready() is None
    house.stops()


def test_readiness_says_what_is_waited_for(house: House) -> None:
    """Part by part, up to the end."""
    seen = [house.daemon.why_not_ready()]
    for name in STARTING:
        house.steps[name].waits = True
    house.starts()
    for name in STARTING:
        seen.append(house.daemon.why_not_ready())
        house.steps[name].ends()
    cast(Any, house.parts.queue).ready = False
    seen.append(house.daemon.why_not_ready())
    house.stops()
    seen.append(house.daemon.why_not_ready())
    assert seen == [
        "the daemon is starting",
        "processes that an earlier daemon left behind are ending",
        "the broker is starting",
        "the functions are starting",
        "the queue is being recovered",
        "the queue cannot be reached",
        "the daemon is stopping",
    ]


def test_a_daemon_that_refuses_calls_is_not_ready(house: House) -> None:
    """Though all is up: the first trouble is told, until there is none."""
    troubles: list[str | None] = [None, "the disk is full", "the disk failed"]
    house.daemon = house.make_daemon(troubles=[lambda at=at: troubles[at] for at in range(3)])
    assert house.daemon.why_not_ready() == "the daemon is starting"
    house.starts()
    assert house.daemon.why_not_ready() == "the disk is full"
    troubles[1] = None
    assert house.daemon.why_not_ready() == "the disk failed"
    troubles[2] = None
    assert house.daemon.why_not_ready() is None
    house.stops()


def test_without_a_broker_of_its_own(house: House) -> None:
    """Somebody else's is neither started nor stopped."""
    house.daemon._parts = Parts(**{**vars(house.parts), "broker": None})
    house.starts()
    house.stops()
    assert not [line for line in house.diary if line.startswith("broker")]


def test_notices_are_said_once(house: House, events: list[LogEvent]) -> None:
    """At the start, as warnings, braces and all."""
    house.daemon = house.make_daemon(notices=("{this} is ignored",))
    house.starts()
    assert said(events, LogLevel.warn) == ["{this} is ignored"]
    house.stops()


def test_the_daemons_log_is_twistds(house: House) -> None:
    """Where it brings an observer of its own, twistd uses it; else twistd has its choice."""
    application = MultiService()
    components: dict[object, object] = {}
    application.setComponent = components.__setitem__
    house.daemon.setServiceParent(application)
    assert components == {}

    def observe(event: LogEvent) -> None: ...

    house.make_daemon(observer=observe).setServiceParent(application)
    assert components == {ILogObserver: observe}


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("doors open", UP[1:2]),
        ("lock", UP[1:2]),
        ("left behind ends", UP[1:3]),
        ("broker starts", UP[1:4]),
        ("functions start", UP[1:5]),
        ("queue starts", UP[1:7]),
    ],
)
def test_a_part_cannot_start(
    house: House, events: list[LogEvent], name: str, reached: list[str]
) -> None:
    """The reason goes to the log and to the terminal, the process ends with 1, nothing follows."""
    house.steps[name].failure = StartError("it is in use. Stop it")
    house.starts()
    assert house.diary == ["doors open", *reached]
    assert said(events, LogLevel.critical) == ["cannot start: it is in use. Stop it"]
    assert house.stderr.getvalue() == "faasd-async cannot start: it is in use. Stop it\n"
    assert (house.left_with, house.reactor.stopped) == ([1], 1)
    assert house.daemon.why_not_ready() is not None
    assert house.stops().called
    assert house.diary == DOWN
    assert not house.left_in_order


def test_a_taken_state_directory_is_told_before_a_taken_port(
    house: House, events: list[LogEvent]
) -> None:
    """Whoever has the one has the other, and is named by the first."""
    house.steps["doors open"].failure = StartError("the port is in use")
    house.steps["lock"].failure = StartError("another daemon runs")
    house.starts()
    assert said(events, LogLevel.critical) == ["cannot start: another daemon runs"]
    house.stops()


def test_a_bug_at_the_start(house: House, events: list[LogEvent]) -> None:
    """Its traceback goes to the log, and the process ends with 1 all the same."""
    bug = RuntimeError("a bug")
    house.steps["queue starts"].failure = bug
    house.starts()
    assert [event["log_failure"].value for event in events if "log_failure" in event] == [bug]
    assert (house.left_with, house.reactor.stopped) == ([1], 1)
    assert house.stderr.getvalue() == ""
    house.stops()


@pytest.mark.parametrize("name", STARTING)
def test_stopped_while_it_starts(house: House, events: list[LogEvent], name: str) -> None:
    """What is under way is cancelled, nothing more comes up, and it is no failure to start."""
    house.steps[name].waits = True
    house.starts()
    assert house.stops().called
    house.steps[name].ends()
    assert house.diary == DOWN
    assert (house.left_with, said(events, LogLevel.critical)) == ([], [])


def test_a_part_that_is_stopped_before_it_is_up(house: House, events: list[LogEvent]) -> None:
    """It says so, as a nats-server does; the daemon was told to stop, and does."""
    reason = StartError("it was stopped before it was ready")
    cast(Any, house.parts.broker).start = lambda: house.steps["broker starts"].breaks_off(reason)
    house.starts()
    assert house.stops().called
    assert (house.left_with, said(events, LogLevel.critical)) == ([], [])


def test_the_first_signal_stops_the_reactor(house: House) -> None:
    """Which in its turn stops the daemon."""
    house.starts()
    house.sigterm()
    assert house.reactor.stopped == 1
    house.stops()


def test_a_signal_may_come_while_it_starts(house: House) -> None:
    """It is heard then, too."""
    house.steps["broker starts"].waits = True
    house.starts()
    house.sigterm()
    assert house.reactor.stopped == 1
    house.stops()


@pytest.mark.parametrize("busy", ["worker", "poster", "functions"])
def test_what_is_in_hand_is_waited_for(house: House, events: list[LogEvent], busy: str) -> None:
    """The queue stays up for it, and nothing is given back."""
    house.starts()
    if busy == "functions":
        house.deployments.idle.waits = True
    else:
        getattr(house, busy).in_hand = 2
    stopped = house.stops()
    house.reactor.advance(DRAIN_SECONDS - 1)
    assert "queue stops" not in house.diary
    house.deployments.idle.ends()
    house.worker.finishes()
    house.poster.finishes()
    assert stopped.called
    assert house.diary == DOWN
    assert said(events, LogLevel.warn) == []


def test_functions_are_left_alone_while_a_call_in_hand_may_need_them(house: House) -> None:
    """Who waits until no invocation runs takes every token, and a call in hand could get none."""
    house.starts()
    house.worker.in_hand = 1
    house.stops()
    assert "functions are idle" not in house.diary
    house.worker.finishes()
    assert house.diary == DOWN


def test_doors_are_closed_before_anything_else(house: House) -> None:
    """Nobody is let in whose call would have to be waited for."""
    house.starts()
    house.steps["doors close"].waits = True
    stopped = house.stops()
    assert house.diary == ["doors close"]
    house.steps["doors close"].ends()
    assert stopped.called


def test_the_time_to_drain_is_bounded(house: House, events: list[LogEvent]) -> None:
    """Then what is in hand is given back, and the operator is told how much."""
    house.starts()
    house.worker.in_hand, house.poster.in_hand = 2, 1
    stopped = house.stops()
    house.reactor.advance(DRAIN_SECONDS)
    assert stopped.called
    assert house.diary[5:7] == ["worker gives up", "poster gives up"]
    assert house.diary[-4:] == DOWN[-4:]
    assert said(events, LogLevel.warn) == [
        "3 calls and callbacks were aborted and given back; these will run again"
    ]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_cannot_be_written_down_is_not_waited_for(
    house: House, events: list[LogEvent], when: str
) -> None:
    """The state directory is gone: nothing comes to its end, and nothing will run again."""
    house.starts()
    house.worker.in_hand = 3
    stopped = house.stops() if when == "meanwhile" else None
    house.ground.lost = "it was deleted"
    house.ground.when_lost()
    stopped = stopped or house.stops()
    assert stopped.called
    assert said(events, LogLevel.warn) == []
    assert said(events, LogLevel.critical) == [
        "3 calls and callbacks were aborted. These, and all that waited, run again only if what was"
        " moved is put back: it was deleted"
    ]


def test_a_second_signal_ends_patience(house: House) -> None:
    """At once; the reactor is not stopped twice, and a third signal changes nothing."""
    house.starts()
    house.sigterm()
    house.worker.in_hand = 1
    stopped = house.stops()
    house.reactor.advance(1)
    assert not stopped.called
    house.sigterm()
    assert stopped.called
    house.sigterm()
    assert house.reactor.stopped == 1
    assert house.diary.count("worker gives up") == 1


def test_a_second_signal_before_the_doors_are_closed(house: House) -> None:
    """It is remembered."""
    house.starts()
    house.worker.in_hand = 1
    house.steps["doors close"].waits = True
    stopped = house.stops()
    house.sigterm()
    house.steps["doors close"].ends()
    assert stopped.called
    assert "worker gives up" in house.diary


def test_a_call_may_end_after_patience_did(house: House) -> None:
    """What was given up may still take a moment to let go; the queue waits for it."""
    house.starts()
    house.worker.in_hand = 1
    house.worker.give_up = lambda: 1  # type: ignore[method-assign]
    stopped = house.stops()
    house.reactor.advance(DRAIN_SECONDS)
    assert "queue stops" not in house.diary
    house.worker.finishes()
    assert stopped.called


@pytest.mark.parametrize("name", ["queue stops", "functions stop", "broker stops"])
def test_a_part_that_does_not_stop_as_it_should(
    house: House, events: list[LogEvent], name: str
) -> None:
    """Keeps none of the others up, and is no secret."""
    house.starts()
    bug = RuntimeError("a bug")
    house.steps[name].failure = bug
    assert house.stops().called
    assert house.diary == DOWN
    assert [event["log_failure"].value for event in events if "log_failure" in event] == [bug]


def test_a_reload(house: House, events: list[LogEvent]) -> None:
    """The functions that are in the settings now are deployed."""
    house.starts()
    fresh: Functions = {"f": FunctionSettings(name="f", max_inflight=1, max_body_bytes=1)}
    house.settings = lambda: fresh
    house.sighup()
    assert house.deployments.deployed == [NO_FUNCTIONS, fresh]
    assert said(events, LogLevel.info)[-1] == "1 functions are deployed now"
    house.stops()


def test_a_reload_of_wrong_settings(house: House, events: list[LogEvent]) -> None:
    """The functions stay as they are, and the next reload may be better."""
    house.starts()

    def wrong() -> Functions:
        raise ConfigurationError("config.toml: [functions.f]: found nothing")

    house.settings = wrong
    house.sighup()
    (line,) = said(events, LogLevel.error)
    assert "the functions stay as they are" in line
    assert "config.toml" in line
    assert house.daemon.why_not_ready() is None
    house.settings = lambda: NO_FUNCTIONS
    house.sighup()
    assert len(house.deployments.deployed) == 2
    house.stops()


def test_a_reload_with_a_function_that_does_not_start(house: House, events: list[LogEvent]) -> None:
    """As with wrong settings."""
    house.starts()
    house.deployments.deploying.failure = StartError("no such program")
    house.sighup()
    (line,) = said(events, LogLevel.error)
    assert line.endswith("no such program")
    house.stops()


def test_no_reload_while_it_goes_down(house: House) -> None:
    """Functions that came up now would be left behind."""
    house.starts()
    house.worker.in_hand = 1
    stopped = house.stops()
    house.sighup()
    assert house.deployments.deployed == [NO_FUNCTIONS]
    house.worker.finishes()
    assert stopped.called


def test_a_reload_while_it_starts(house: House) -> None:
    """It is made up for when everything is there."""
    house.deployments.deploying.waits = True
    house.starts()
    house.sighup()
    house.deployments.deploying.waits = False
    house.deployments.deploying.ends()
    assert house.diary.count("functions start") == 2
    assert house.diary[-1] == "functions start"
    house.stops()


def test_it_goes_down_while_it_reloads(house: House, events: list[LogEvent]) -> None:
    """The reload is broken off, and what it leaves is waited for before the functions stop."""
    house.starts()
    left: Deferred[None] = Deferred()

    async def deploy(functions: Functions) -> None:
        try:
            await Deferred()
        finally:
            await left

    house.daemon._reloading._deploy = deploy
    house.sighup()
    stopped = house.stops()
    assert "functions stop" not in house.diary
    left.callback(None)
    assert stopped.called
    assert house.diary == DOWN
    assert said(events, LogLevel.error, LogLevel.critical) == []


def test_it_goes_down_while_functions_start(house: House) -> None:
    """What had been started is waited for before the functions are told to stop."""
    left: Deferred[None] = Deferred()

    async def deploy(functions: Functions) -> None:
        try:
            await Deferred()
        finally:
            await left

    house.deployments.deploy = deploy  # type: ignore[method-assign]
    house.starts()
    stopped = house.stops()
    assert "functions stop" not in house.diary
    left.callback(None)
    assert stopped.called


@pytest.mark.parametrize(
    "step", ["worker stops taking", "functions are idle", "queue stops", "functions stop"]
)
def test_whatever_fails_on_the_way_down_the_rest_goes_down(
    house: House, events: list[LogEvent], step: str
) -> None:
    """A bug in one part leaves neither the broker nor the lock behind; the log tells of it."""
    house.starts()
    house.steps[step].failure = ZeroDivisionError("bug")
    stopped = house.stops()
    assert stopped.called
    assert house.diary[-2:] == ["broker stops", "unlock"]
    (told,) = said(events, LogLevel.critical)
    assert told.endswith("this is a bug")
