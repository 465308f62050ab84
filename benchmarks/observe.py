"""What it costs to tell of a call: its log lines at the default level, written to a file, and its
figures. In this process and without a daemon, for it is too little to be seen in one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

from twisted.logger import globalLogBeginner, globalLogPublisher

from benchmarks.command import Benchmark, run
from benchmarks.daemon import state_directory
from benchmarks.figures import Figures
from benchmarks.harness import BODY, BenchmarkFailed
from faasd_async.call.ending import Ending
from faasd_async.call.history import Attempt, History
from faasd_async.call.ids import CallKey
from faasd_async.call.request import Outcome, QueueRequest
from faasd_async.observe.calls import CallWatch
from faasd_async.observe.figures import Figures as DaemonFigures
from faasd_async.observe.logs import Level, make_observer

_KEY = CallKey("6b0a3c1e-0b0e-4b7e-9d5c-0a3c1e0b0e4b", "0")
_REQUEST = QueueRequest("noop", "default", _KEY, 1_700_000_000_000_000_000, b"/", (), BODY)
_OUTCOME = Outcome(200, (), b"ok", 0.001)
_ENDING = Ending("succeeded", _OUTCOME, History((Attempt(0, 200, 0.001),)), 1_700_000_001_000_000)

#: So many calls share a flush of the disk, and a turn of the reactor.
_OF_A_FLUSH = 16


@dataclass(frozen=True)
class Amounts:
    calls: int = field(default=20_000, metadata={"help": "of each kind"})


def measure(amounts: Amounts) -> Iterator[Figures]:
    level = Level("info")
    figures, number = DaemonFigures(), count()
    watch = CallWatch(figures, write_debug=False, level=level)
    due: list[Callable[[], None]] = []

    def end_turn() -> None:
        while due:
            due.pop()()

    def queued() -> None:
        watch.accepted(_REQUEST, 0.002)
        if next(number) % _OF_A_FLUSH == 0:
            figures.flushed(_OF_A_FLUSH, 0.002)
            end_turn()
        watch.attempted(_REQUEST, _OUTCOME, 1)
        watch.ended(_REQUEST, _ENDING, False)

    def straight() -> None:
        if next(number) % _OF_A_FLUSH == 0:
            end_turn()
        watch.invoked("noop", _KEY.call_id, 200, 0.001)

    with state_directory() as directory:
        log = directory / "log"
        observer = make_observer(str(log), False, level)
        observer.gather(due.append)
        begin_logging()
        globalLogPublisher.addObserver(observer)
        yield cost("log and figures, queued", queued, amounts.calls)
        yield cost("log and figures, sync", straight, amounts.calls)
        globalLogPublisher.removeObserver(observer)
        observer.gather_no_more()
        expect_lines(log, 2 * amounts.calls)


@cache
def begin_logging() -> None:
    """As twistd does, once: until then events are kept, which costs more."""
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)


def cost(what: str, tell: Callable[[], None], calls: int) -> Figures:
    began = time.process_time()
    for _ in range(calls):
        tell()
    return Figures(what, cpu_us={"daemon": (time.process_time() - began) * 1e6 / calls})


def expect_lines(log: Path, least: int) -> None:
    """
    :raises BenchmarkFailed: not every call has left a line.
    """
    lines = 0
    for path in log.parent.glob(f"{log.name}*"):
        lines += path.read_bytes().count(_KEY.call_id.encode())
    if lines < least:
        raise BenchmarkFailed(f"{least} lines were due, {lines} were written")


BENCHMARK = Benchmark(
    "observe", measure, usual=Amounts(), smoke=Amounts(calls=1000), against_floor=False
)

if __name__ == "__main__":
    run(BENCHMARK, __doc__)
