"""Every benchmark, round after round, so that whatever else the machine does is shared out fairly;
the medians go into ``docs/performance.rst``, between two marks. The prose around them stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import (
    accept,
    backlog,
    bodies,
    callers_who_ask,
    drain,
    latency,
    many_functions,
    observe,
    slow_clients,
    start,
    sync,
    together,
    waiters,
)
from benchmarks.command import A, Benchmark, tell
from benchmarks.figures import Figures
from benchmarks.harness import BenchmarkFailed
from benchmarks.machine import describe
from benchmarks.tables import rates_table, times_table

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.rst"
BEGIN = ".. figures begin; benchmarks.report writes what stands between here and their end"
END = ".. figures end"

BENCHMARKS: tuple[Benchmark[Any], ...] = (
    accept.BENCHMARK,
    drain.BENCHMARK,
    drain.WITH_CALLBACKS,
    drain.WITH_RESULTS,
    together.BENCHMARK,
    sync.BENCHMARK,
    latency.BENCHMARK,
    waiters.BENCHMARK,
    callers_who_ask.BENCHMARK,
    bodies.BENCHMARK,
    many_functions.BENCHMARK,
    slow_clients.BENCHMARK,
    start.BENCHMARK,
    observe.BENCHMARK,
    backlog.BENCHMARK,
)

FLOOR_SECONDS = 3.0


def main() -> None:
    names = sorted({benchmark.name for benchmark in BENCHMARKS})
    parser = argparse.ArgumentParser(prog="benchmarks.report", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="a backlog of a million calls, once")
    parser.add_argument("--only", choices=names, action="append", help="these; nothing is written")
    parser.add_argument("--smoke", action="store_true", help="a second of each; nothing is written")
    options = parser.parse_args()
    chosen = [each for each in BENCHMARKS if options.only is None or each.name in options.only]
    rounds = 1 if options.smoke else options.rounds
    measured = Measured()
    for number in range(rounds):
        sys.stdout.write(f"-- round {number + 1} of {rounds}\n")
        for benchmark in chosen:
            if options.smoke:
                measured.add(benchmark, benchmark.smoke, None if measured.seen else 1.0)
            else:
                measured.add(benchmark, benchmark.usual, FLOOR_SECONDS)
    if options.full:
        measured.add(backlog.A_MILLION, backlog.A_MILLION.usual, FLOOR_SECONDS)
    text = written(measured.seen, rounds)
    if measured.void or options.smoke or options.only:
        sys.stdout.write(f"\n{text}\n")
    else:
        insert(text)
    if measured.void:
        raise SystemExit(f"{measured.void} measurements were void")


class Measured:
    """What has been seen so far.

    :ivar void: how many measurements were not what was meant.
    """

    def __init__(self) -> None:
        self.seen: list[Figures] = []
        self.void = 0

    def add(self, benchmark: Benchmark[A], amounts: A, floor_seconds: float | None) -> None:
        """Measure; the others are to have their turn even if this one is void."""
        try:
            for figures in benchmark.round(amounts, floor_seconds):
                tell(figures)
                self.seen.append(figures)
        except BenchmarkFailed as reason:
            self.void += 1
            notes = "".join(f"\n  {note}" for note in getattr(reason, "__notes__", ()))
            sys.stdout.write(f"{benchmark.name} is void: {reason}{notes}\n")


def written(seen: Sequence[Figures], rounds: int) -> str:
    """The paragraph and the tables that stand in the document."""
    today = date.today()
    took_turns = (
        f"Medians of {rounds} rounds, in each of which every benchmark had its turn"
        if rounds > 1
        else "One round"
    )
    brackets = "in brackets the lowest and the highest of what was measured more than once"
    return "\n\n".join(
        [
            f"{today.day} {today:%B %Y}: {describe()}. {took_turns}; {brackets}.",
            rates_table(seen),
            times_table(seen),
        ]
    )


def insert(text: str) -> None:
    """
    :raises BenchmarkFailed: the document has no place for it.
    """
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchmarkFailed(f"{DOCUMENT} has not the two marks that the figures go between")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
