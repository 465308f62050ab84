"""What a benchmark is, and how it is run as a command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from benchmarks.figures import Figures
from benchmarks.floor import measure_floor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


#: How much is measured: a frozen dataclass, each field an option of the command, with a ``help``
#: in its metadata.
A = TypeVar("A", bound="DataclassInstance")


@dataclass(frozen=True)
class Benchmark(Generic[A]):
    """
    :ivar name: of its module.
    :ivar measure: one round.
    :ivar usual: how much is measured if nothing else is said.
    :ivar smoke: so little that it takes about a second.
    :ivar against_floor: whether its rates are told as shares of the floor's, too.
    """

    name: str
    measure: Callable[[A], Iterator[Figures]]
    usual: A
    smoke: A
    against_floor: bool = True

    def round(self, amounts: A, floor_seconds: float | None) -> Iterator[Figures]:
        """Measure once.

        :param floor_seconds: for how long the floor is measured before; ``None``: not at all.
        """
        floor = None
        if self.against_floor and floor_seconds is not None:
            floor = measure_floor(floor_seconds)
            yield floor
        for figures in self.measure(amounts):
            yield figures.against(floor)


def run(benchmark: Benchmark[A], about: str | None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=f"benchmarks.{benchmark.name}", description=about)
    parser.add_argument("--rounds", type=int, default=1, help="how often (default: once)")
    parser.add_argument("--smoke", action="store_true", help="only see that it works")
    for each in fields(benchmark.usual):
        usual = getattr(benchmark.usual, each.name)
        option, told = "--" + each.name.replace("_", "-"), each.metadata.get("help")
        if isinstance(usual, bool):
            parser.add_argument(option, action="store_true", default=None, help=told)
        else:
            told = f"{told} (default: {usual})"
            parser.add_argument(option, type=type(usual), help=told)
    given = vars(parser.parse_args())
    smoke, rounds = given.pop("smoke"), given.pop("rounds")
    amounts = replace(
        benchmark.smoke if smoke else benchmark.usual,
        **{name: value for name, value in given.items() if value is not None},
    )
    for _ in range(rounds):
        for figures in benchmark.round(amounts, 1.0 if smoke else 3.0):
            tell(figures)


def tell(figures: Figures) -> None:
    sys.stdout.write(f"{figures}\n")
    sys.stdout.flush()
