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
        lines: list[str] = []
        for title, rows in self._tables.items():
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
