"""A table of the file, read key by key."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from faasd_async.settings.mistakes import Mistakes, Refusal, shown
from faasd_async.settings.values import Reader

T = TypeVar("T")

_BARE_KEY = re.compile(r"[-A-Za-z0-9_]+")


class Table:
    """A table that notes what is wrong with it instead of stopping at the first mistake.

    Ask for every key there may be, then call :meth:`finish`: what was never asked for is unknown.

    :param source: names the file in messages.
    :param section: the header the operator wrote, without brackets; empty for the top level.
    :param prefix: leads from that header to this table, if it is an inline one: ``retry.``.
    """

    def __init__(
        self,
        source: str,
        found: Mapping[str, object],
        mistakes: Mistakes,
        section: str = "",
        prefix: str = "",
    ) -> None:
        self._source = source
        self._found = found
        self._mistakes = mistakes
        self._section = section
        self._prefix = prefix
        self._allowed: list[str] = []
        self._forbidden: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    @property
    def path(self) -> str:
        """The file and the header: where the table stands."""
        return f"{self._source}: [{self._section}]" if self._section else f"{self._source}:"

    def take(self, key: str, read: Reader[T], default: T) -> T:
        """The value of ``key``, or the default if it is absent, wrong or forbidden."""
        if key in self._forbidden:
            return default
        if key not in self._allowed:
            self._allowed.append(key)
        if key not in self._found:
            return default
        try:
            return read(self._found[key])
        except Refusal as refusal:
            self.mistake(key, f"found {refusal.found}; allowed: {refusal.allowed}")
            return default

    def section(self, key: str) -> "Table":
        """The table below ``key`` that has a header of its own; an empty one if it is absent."""
        header = f"{self._section}.{_quoted(key)}" if self._section else _quoted(key)
        return Table(self._source, self._table(key), self._mistakes, header)

    def in_file(self, path: str) -> "Table":
        """The same table where another file has it; nothing is known to stand there."""
        return Table(path, {}, self._mistakes, self._section)

    def inline(self, key: str) -> "Table":
        """The table that is the value of ``key``; an empty one if it is absent."""
        prefix = f"{self._prefix}{key}."
        return Table(self._source, self._table(key), self._mistakes, self._section, prefix)

    def holds_table(self, key: str) -> bool:
        """Whether the value of ``key`` is a table."""
        return isinstance(self._found.get(key), dict)

    def _table(self, key: str) -> Mapping[str, object]:
        self._allowed.append(key)
        found = self._found.get(key, {})
        if isinstance(found, dict):
            return found
        self.mistake(key, f"found {shown(found)}; allowed: a table")
        return {}

    def forbid(self, key: str, allowed: str) -> None:
        """Note a mistake if ``key`` is there; its value, which may be a secret, is not shown."""
        self._forbidden.append(key)
        if key in self._found:
            self.mistake(key, f"found here; allowed: {allowed}")

    def mistake(self, key: str, what: str) -> None:
        """Note that ``key`` is wrong."""
        self._mistakes.add(f"{self.path} {self._prefix}{_quoted(key)}", what)

    def mistake_here(self, what: str) -> None:
        """Note that the table as a whole is wrong."""
        self._mistakes.add(self.path, what)

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._found:
            if key not in self._allowed and key not in self._forbidden:
                near = get_close_matches(key, self._allowed, n=1)
                hint = f", perhaps {near[0]}" if near else ""
                choices = ", ".join(sorted(self._allowed))
                self.mistake(key, f"unknown key{hint}; allowed: {choices}")


def _quoted(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else shown(key)
