"""Functions that are web servers of their own, as real processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_twisted
from starting import Start
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from faasd_async.call.headers import Headers
from faasd_async.errors import (
    InvocationBroken,
    InvocationTimedOut,
    NotHandedOver,
    StartError,
)
from faasd_async.runtime.collect import gather
from faasd_async.runtime.interface import Invocation, Runtime
from faasd_async.runtime.making import make_runtime
from faasd_async.runtime.passing import passer_of
from faasd_async.settings import CommandSettings, FunctionSettings

SERVES = (sys.executable, str(Path(__file__).parent.parent / "functions" / "serves.py"))
NEVER = 60.0
"""A limit that no test reaches."""


@pytest_twisted.async_yield_fixture
async def start(reactor: Any) -> AsyncIterator[Start]:
    """Starts functions; each is stopped afterwards."""
    runtimes: list[Runtime] = []

    async def start_function(
        words: tuple[str, ...] = SERVES, connect_timeout_seconds: float = NEVER, **options: Any
    ) -> Runtime:
        settings = FunctionSettings(
            name="figlet",
            command=CommandSettings(words=words, mode="http", **options),
            connect_timeout_seconds=connect_timeout_seconds,
            max_inflight=2,
            max_body_bytes=1,
        )
        runtime = make_runtime(settings, reactor)
        runtimes.append(runtime)
        await runtime.start()
        return runtime

    yield lambda *words, **options: Deferred.fromCoroutine(start_function(*words, **options))
    for runtime in runtimes:
        await runtime.stop()


class Log:
    """Waits for what is logged."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []
        self._wanted: list[tuple[str, Deferred[LogEvent]]] = []

    def when(self, word: str) -> Deferred[LogEvent]:
        """The first event, past or to come, with *word* in one of its fields."""
        wanted: Deferred[LogEvent] = Deferred()
        self._wanted.append((word, wanted))
        for event in self._events:
            self._look(event)
        return wanted

    def __call__(self, event: LogEvent) -> None:
        self._events.append(event)
        self._look(event)

    def _look(self, event: LogEvent) -> None:
        for word, wanted in self._wanted:
            if not wanted.called and any(word in str(value) for value in event.values()):
                wanted.callback(event)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    globalLogPublisher.addObserver(log)
    yield log
    globalLogPublisher.removeObserver(log)


class Taker:
    """Has an answer that is passed on to it gathered.

    :ivar whole: fires with its body.
    """

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred()
        self._body = b""

    def replied(self, status: int, headers: Headers) -> None:
        """It has begun."""

    def received(self, piece: bytes) -> None:
        self._body += piece

    def flush(self) -> None:
        """There is more to come."""

    def ended(self) -> None:
        self.whole.callback(self._body)

    def failed(self, reason: Exception) -> None:
        self.whole.errback(reason)


class Ask(Protocol):
    """Calls a function; :return: its answer's body."""

    def __call__(
        self, runtime: Runtime, target: bytes, body: bytes = b"", timeout_seconds: float = NEVER
    ) -> Awaitable[bytes]: ...


@pytest.fixture(params=["by a Deferred", "by calls"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Either way to have an answer as it comes."""

    async def ask_for_it(
        runtime: Runtime, target: bytes, body: bytes = b"", timeout_seconds: float = NEVER
    ) -> bytes:
        call = Invocation("figlet", "the-call", b"POST", target, (), body)
        if request.param == "by a Deferred":
            return await gather(await runtime.invoke(call, timeout_seconds), 2**24)
        taker = Taker()
        passer_of(runtime)(call, timeout_seconds, taker)
        return await taker.whole

    return ask_for_it


@pytest_twisted.ensureDeferred
async def test_calls_reach_one_process(ask: Ask, start: Start) -> None:
    """Calls are passed on to the port that the process was told, and it lives on between them."""
    runtime = await start()
    first = await ask(runtime, b"/pid")
    assert await ask(runtime, b"/", b"x" * 2**23) == b"x" * 2**23
    assert await ask(runtime, b"/pid") == first


@pytest_twisted.ensureDeferred
async def test_call_waits_for_readiness(ask: Ask, start: Start) -> None:
    """With a ready path, a call is handed over only after that says 200."""
    runtime = await start(ready_path="/ready", environment={"LOOKS": "3"})
    assert await ask(runtime, b"/looks") == b"4"


@pytest_twisted.ensureDeferred
async def test_call_does_not_wait_for_ever(ask: Ask, start: Start) -> None:
    """A server that is not ready within the connect timeout has surely seen nothing."""
    runtime = await start(("tail", "-f", "/dev/null"), connect_timeout_seconds=0.05)
    with pytest.raises(NotHandedOver, match="figlet is not ready"):
        await ask(runtime, b"/")


@pytest_twisted.ensureDeferred
async def test_limit_that_passes_before_readiness(ask: Ask, start: Start) -> None:
    """A call whose limit passes while it waits has not been handed over, and may be tried again."""
    runtime = await start(("tail", "-f", "/dev/null"))
    with pytest.raises(NotHandedOver, match="figlet is not ready"):
        await ask(runtime, b"/", timeout_seconds=0.05)


@pytest_twisted.ensureDeferred
async def test_crash_and_restart(ask: Ask, start: Start, log: Log) -> None:
    """A call that is under way breaks with the process; the next finds a new one."""
    runtime = await start()
    first = await ask(runtime, b"/pid")

    with pytest.raises(InvocationBroken, match="figlet broke off before it answered"):
        await ask(runtime, b"/crash")

    await log.when("exited with 3")
    assert await ask(runtime, b"/pid") not in (first, b"")


@pytest_twisted.ensureDeferred
async def test_time_out_spares_the_process(ask: Ask, start: Start) -> None:
    """A call that passes its limit is cut off; the process goes on serving others."""
    runtime = await start()
    first = await ask(runtime, b"/pid")
    with pytest.raises(InvocationTimedOut):
        await ask(runtime, b"/hang", timeout_seconds=0.05)
    assert await ask(runtime, b"/pid") == first


@pytest_twisted.ensureDeferred
async def test_output_is_logged(start: Start, log: Log) -> None:
    """Standard output is no answer here, so it is logged; ``PORT`` is ``port`` too."""
    await start()
    event = await log.when("serving on")
    assert (event["function"], event["stream"]) == ("figlet", "stdout")
    assert event["line"].removeprefix("serving on ").isdigit()


@pytest_twisted.ensureDeferred
async def test_stop_ends_the_process(ask: Ask, start: Start) -> None:
    """When stopping is done the process is gone, and calls are refused."""
    runtime = await start()
    pid = int(await ask(runtime, b"/pid"))
    await runtime.stop()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(NotHandedOver, match="figlet is not started"):
        await ask(runtime, b"/")


@pytest_twisted.ensureDeferred
async def test_last_words_are_logged(start: Start, log: Log) -> None:
    """What a server says when it is asked to end is not lost."""
    script = "trap 'echo goodbye; exit' TERM; tail -f /dev/null & echo hello; wait"
    runtime = await start(("sh", "-c", script))
    await log.when("hello")
    await runtime.stop()
    assert log.when("goodbye").called


@pytest_twisted.ensureDeferred
async def test_stop_between_two_runs(ask: Ask, start: Start, log: Log) -> None:
    """Stopping while a restart is due ends the waiting, and calls that wait as well."""
    runtime = await start(("false",))
    await log.when("exited with 1")
    asked = Deferred.fromCoroutine(ask(runtime, b"/"))
    await runtime.stop()
    with pytest.raises(NotHandedOver):
        await asked


@pytest_twisted.ensureDeferred
async def test_program_that_cannot_be_run(start: Start, tmp_path: Path) -> None:
    """A file that is executable but no program stops the start, by name."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF, but not really")
    program.chmod(0o755)
    with pytest.raises(StartError, match=r"function figlet: .*/program cannot be run: .*format"):
        await start((str(program),))
