"""Several rounds of figures as tables of medians, in reStructuredText."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from benchmarks.figures import Figures

_PROCESSES = ("daemon", "nats-server")

_HEADINGS = (
    "benchmark",
    "calls a second",
    "of the floor",
    "p50, ms",
    "p99, ms",
    *(f"{name}, µs a call" for name in _PROCESSES),
    *(f"{name}, MiB" for name in _PROCESSES),
)


def rates_table(rounds: Iterable[Figures]) -> str:
    """What is counted in calls, and the memory that it took."""
    return _table([_HEADINGS, *(_rates_row(what, each) for what, each in _by_what(rounds))])


def times_table(rounds: Iterable[Figures]) -> str:
    """The further times."""
    rows = [
        (f"{what}: {name}", _spread([figures.times_ms[name] for figures in each], ",.0f"))
        for what, each in _by_what(rounds)
        for name in each[0].times_ms
    ]
    return _table([("time", "ms"), *rows])


def _by_what(rounds: Iterable[Figures]) -> Iterable[tuple[str, list[Figures]]]:
    found: dict[str, list[Figures]] = {}
    for figures in rounds:
        found.setdefault(figures.what, []).append(figures)
    return found.items()


def _rates_row(what: str, each: Sequence[Figures]) -> tuple[str, ...]:
    def told(get: Callable[[Figures], float | None], form: str) -> str:
        values = [value for figures in each if (value := get(figures)) is not None]
        return format(median(values), form) if values else ""

    rates = [figures.rate for figures in each if figures.rate is not None]
    return (
        what,
        _spread(rates, ",.0f") if rates else "",
        told(lambda figures: figures.of_floor, ".2f"),
        told(lambda figures: figures.p50_ms, ".1f"),
        told(lambda figures: figures.p99_ms, ".1f"),
        *(_process(each, name, lambda figures: figures.cpu_us) for name in _PROCESSES),
        *(_process(each, name, lambda figures: figures.memory_mib) for name in _PROCESSES),
    )


def _process(
    each: Sequence[Figures], name: str, get: Callable[[Figures], Mapping[str, float]]
) -> str:
    values = [get(figures)[name] for figures in each if name in get(figures)]
    return format(median(values), ",.0f") if values else ""


def _spread(values: Sequence[float], form: str) -> str:
    """The median, and the lowest and the highest if there are some to choose from."""
    middle = format(median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}} – {max(values):{form}})"  # noqa: RUF001


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A simple table whose first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    # An empty cell in the first column would be taken for a continued line: there is none.
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])
