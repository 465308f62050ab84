"""What the trials counted, as it is printed at the end and can be quoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Tables:
    """Tables in the order in which they were begun; a row is a mapping of column to figure.

    :ivar seed: what all moments were drawn from.
    :ivar full: whether these are the full numbers.
    """

    seed: int
    full: bool
    _tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def row(self, title: str, figures: Mapping[str, object]) -> None:
        """Add to the table of that title."""
        row = {column: _text(figure) for column, figure in figures.items()}
        self._tables.setdefault(title, []).append(row)

    def lines(self) -> list[str]:
        """All tables, and last of all a summary: a line for each row that counts what was lost."""
        size = "the full numbers" if self.full else "a few of each"
        summary, rows = f"Summary ({size}, --crash-seed {self.seed})", self._summary()
        return _lines({**self._tables, **({summary: rows} if rows else {})})

    def _summary(self) -> list[dict[str, str]]:
        counts = ("accepted", "lost", "ran again", "unexcused")
        rows = []
        for title, trials in self._tables.items():
            for row in trials:
                if "accepted" in row and "lost" in row:
                    name = next(iter(row.values())) if len(trials) > 1 else ""
                    trial = f"{title}: {name}" if name else title
                    rows.append({"trial": trial, **{each: row.get(each, "") for each in counts}})
        return rows


def _lines(tables: Mapping[str, list[dict[str, str]]]) -> list[str]:
    lines: list[str] = []
    for title, rows in tables.items():
        if not rows:
            continue
        columns = list(dict.fromkeys(column for row in rows for column in row))
        widths = [
            max(len(column), *(len(row.get(column, "")) for row in rows)) for column in columns
        ]
        lines += ["", title, ""]
        for row in ({column: column for column in columns}, *rows):
            cells = [row.get(column, "") for column in columns]
            first, *others = zip(cells, widths, strict=True)
            line = "  ".join(
                [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
            )
            lines.append(f"  {line.rstrip()}")
    return lines


def _text(figure: object) -> str:
    return f"{figure:,}" if isinstance(figure, int) else str(figure)
