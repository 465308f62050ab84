"""What a command prints: for people as a table, for programs as JSON.

What comes from a daemon was often made by a stranger: a function's answer, a path, a header. So
nothing of it gets to the terminal as it is, except a result's body, which is what was asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from faasd_async.cli.exits import Exit

#: Where lines are not cut for anybody's eyes.
_PIPED_COLUMNS = 240


class Screen:
    """Standard output for what was asked for, standard error for what is said about it.

    :ivar as_json: whether programs read it; then each line of either is JSON.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() else _PIPED_COLUMNS
        self._console = Console(width=width, markup=False, highlight=False, emoji=False)

    def data(self, sheet: Any) -> None:
        """One JSON document, on one line where programs read it."""
        indent = None if self.as_json else 2
        print(json.dumps(sheet, ensure_ascii=True, indent=indent), flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """:param columns: their names; with none that says anything there is no line of them."""
        named = any(columns)
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=named)
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(value)) for value in row))
        self._console.print(table)

    def line(self, text: str) -> None:
        print(plain(text), flush=True)

    def told(self, sheet: Any, text: str) -> None:
        """One and the same thing, to programs and to people."""
        if self.as_json:
            self.data(sheet)
        else:
            self.line(text)

    def raw(self, body: bytes) -> None:
        """A body as it is."""
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()

    def aside(self, text: str) -> None:
        """Something about it, which changes nothing."""
        self._say({"note": text}, text)

    def error(self, text: str, end: Exit, **more: object) -> Exit:
        """Why there is no answer.

        :param more: what else programs may want to know of it.
        :return: *end*, with which the command is to end.
        """
        sheet = {"error": text, "kind": end.name.lower(), "exit_code": int(end), **more}
        self._say(sheet, text)
        return end

    def _say(self, sheet: dict[str, object], text: str) -> None:
        said = json.dumps(sheet) if self.as_json else plain(text)
        print(said, file=sys.stderr, flush=True)


def plain(value: object) -> str:
    """A value in a cell or a line, with nothing in it that a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
