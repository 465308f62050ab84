"""Settings that are read again: one reading at a time, and the last one holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from faasd_async.daemon.reloading import Reading, Reloading
from faasd_async.errors import ConfigurationError, FaasdAsyncError, StartError
from faasd_async.settings import FunctionSettings

Functions = Mapping[str, FunctionSettings]


def functions(*names: str) -> Functions:
    return {name: FunctionSettings(name=name, max_inflight=1, max_body_bytes=1) for name in names}


class Scene:
    """A reloading that waits for the test.

    :ivar read: what the file says now.
    :ivar deployed: the names that are deployed, deployment by deployment.
    :ivar under_way: deployments that the test has to end.
    """

    def __init__(self, events: list[LogEvent]) -> None:
        self.read: Callable[[], Reading] = lambda: Reading(functions("f"))
        self.waits = False
        self.under_way: list[Deferred[None]] = []
        self.deployed: list[list[str]] = []
        self.cancelled = 0
        self.events = events
        self.reloading = Reloading(lambda: self.read(), self._deploy, ("old news",))

    async def _deploy(self, found: Functions) -> None:
        if self.waits:
            self.under_way.append(Deferred())
            try:
                await self.under_way[-1]
            except CancelledError:
                self.cancelled += 1
                raise
        self.deployed.append(sorted(found))

    def said(self, *levels: LogLevel) -> list[str]:
        return [formatEvent(event) for event in self.events if event["log_level"] in levels]

    def failed(self) -> list[BaseException]:
        return [event["log_failure"].value for event in self.events if "log_failure" in event]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with capturedLogs() as events:
        yield Scene(events)


def test_it_waits_until_it_may_begin(scene: Scene) -> None:
    """Whoever asked before has not asked in vain, nor twice."""
    scene.reloading.ask()
    scene.reloading.ask()
    assert scene.deployed == []
    scene.reloading.start()
    assert scene.deployed == [["f"]]
    scene.reloading.ask()
    assert scene.deployed == [["f"], ["f"]]


def test_readings_do_not_interleave(scene: Scene) -> None:
    """The file is read once more after the one that is under way, however often that was asked
    for, and what it says last holds."""
    scene.reloading.start()
    scene.waits = True
    scene.reloading.ask()
    scene.read = lambda: Reading(functions("g"))
    scene.reloading.ask()
    scene.read = lambda: Reading(functions("h"))
    scene.reloading.ask()
    assert len(scene.under_way) == 1
    scene.under_way[0].callback(None)
    assert len(scene.under_way) == 2
    scene.under_way[1].callback(None)
    assert scene.deployed == [["f"], ["h"]]


@pytest.mark.parametrize(
    "reason",
    [ConfigurationError("no file"), StartError("no program"), FaasdAsyncError("something else")],
)
def test_settings_that_cannot_be_used(scene: Scene, reason: Exception) -> None:
    """Are told, and the next ones are read."""
    scene.reloading.start()
    scene.waits = True
    scene.reloading.ask()
    scene.under_way[0].errback(reason)
    (line,) = scene.said(LogLevel.error)
    assert line == f"the functions stay as they are: the settings cannot be used: {reason}"
    scene.waits = False
    scene.reloading.ask()
    assert scene.deployed == [["f"]]


def test_a_bug_is_no_secret(scene: Scene) -> None:
    """Its traceback is logged, and the next reading is made."""
    bug = RuntimeError("a bug")

    def read() -> Reading:
        raise bug

    scene.read = read
    scene.reloading.start()
    scene.reloading.ask()
    assert scene.failed() == [bug]
    scene.read = lambda: Reading(functions("g"))
    scene.reloading.ask()
    assert scene.deployed == [["g"]]


def test_stopping_breaks_off(scene: Scene) -> None:
    """It ends when what is under way has ended, nothing is said of it, and nothing follows."""
    scene.reloading.start()
    scene.waits = True
    scene.reloading.ask()
    scene.reloading.ask()
    stopped = Deferred.fromCoroutine(scene.reloading.stop())
    assert stopped.called
    scene.reloading.ask()
    assert (scene.cancelled, len(scene.under_way), scene.deployed) == (1, 1, [])
    assert scene.said(LogLevel.error, LogLevel.critical, LogLevel.info) == []


def test_fresh_notices_are_told(scene: Scene) -> None:
    """Each when it is new; one that went away and came back is new again."""
    scene.reloading.start()
    for notices in (("old news", "{this}"), ("{this}",), ("old news", "{this}")):
        scene.read = lambda notices=notices: Reading(functions(), notices)  # type: ignore[misc]
        scene.reloading.ask()
    assert scene.said(LogLevel.warn) == ["{this}", "old news"]


def test_what_needs_a_restart_is_named(scene: Scene) -> None:
    """In one line, each time, for as long as it is so."""
    scene.reloading.start()
    keys = ("[worker] max_inflight", "[callback] policy")
    scene.read = lambda: Reading(functions("f"), (), keys)
    scene.reloading.ask()
    scene.reloading.ask()
    assert scene.said(LogLevel.warn) == 2 * [
        "changed, and without effect until the daemon is started anew: [worker] max_inflight,"
        " [callback] policy"
    ]
    assert scene.said(LogLevel.info) == 2 * ["1 functions are deployed now"]
