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
    drain,
    latency,
    many_functions,
    observe,
    slow_clients,
    start,
    sync,
    together,
)
from benchmarks.command import Benchmark, tell
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
    if options.smoke:
        seen = smoke(chosen)
    else:
        seen = measure(chosen, options.rounds)
        if options.full:
            seen += one_round([backlog.A_MILLION], options.rounds)
    text = written(seen, 1 if options.smoke else options.rounds)
    if options.smoke or options.only:
        sys.stdout.write(f"\n{text}\n")
    else:
        insert(text)


def measure(chosen: Sequence[Benchmark[Any]], rounds: int) -> list[Figures]:
    """All of them in turn, so many times."""
    return [figures for number in range(rounds) for figures in one_round(chosen, number)]


def one_round(chosen: Sequence[Benchmark[Any]], number: int) -> list[Figures]:
    seen: list[Figures] = []
    for benchmark in chosen:
        sys.stdout.write(f"-- round {number + 1}, {benchmark.name}\n")
        for figures in benchmark.round(benchmark.usual, FLOOR_SECONDS):
            tell(figures)
            seen.append(figures)
    return seen


def smoke(chosen: Sequence[Benchmark[Any]]) -> list[Figures]:
    """A second of each, the floor once."""
    seen: list[Figures] = []
    for benchmark in chosen:
        floor_seconds = None if seen else 1.0
        for figures in benchmark.round(benchmark.smoke, floor_seconds):
            tell(figures)
            seen.append(figures)
    return seen


def written(seen: Sequence[Figures], rounds: int) -> str:
    """The paragraph and the tables that stand in the document."""
    today = date.today()
    took_turns = (
        f"Medians of {rounds} rounds, in each of which every benchmark had its turn; in brackets"
        " the lowest and the highest."
        if rounds > 1
        else "One round."
    )
    return "\n\n".join(
        [
            f"{today.day} {today:%B %Y}: {describe()}. {took_turns}",
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
