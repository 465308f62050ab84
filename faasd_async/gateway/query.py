"""What is asked for in a path and a query string, read with care: an order that is misspelt must
not become a wider one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import unquote

from faasd_async.gateway.refusal import Refusal

Choice = TypeVar("Choice", bound=str)

_TRUE, _FALSE = ("1", "true"), ("0", "false")


def named(segment: str) -> str:
    """What a path segment says: the router shows it as it was written, escapes and all."""
    return unquote(segment, errors="surrogateescape")


class Query:
    """Parameters, each to be taken once.

    :param given: as :mod:`twisted.web` has them.
    """

    def __init__(self, given: Mapping[bytes, Sequence[bytes]]) -> None:
        self._given = {name.decode("latin-1"): values for name, values in given.items()}
        self._known: list[str] = []

    def text(self, name: str) -> str | None:
        """
        :raises Refusal: 400, it is given twice, or without a value.
        """
        self._known.append(name)
        values = self._given.get(name, ())
        if len(values) > 1:
            raise mistake(name, "several values", "one")
        if not values:
            return None
        if not values[0]:
            raise mistake(name, "no value", "one")
        return values[0].decode("utf-8", "surrogateescape")

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """
        :raises Refusal: 400, it is none, or outside the bounds.
        """
        text = self.text(name)
        if text is None:
            return default
        # Longer than any bound: int() itself would take its time.
        if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        raise mistake(name, repr(text[:40]), f"a number from {least} to {most}")

    def choice(self, name: str, allowed: Sequence[Choice]) -> Choice | None:
        """
        :raises Refusal: 400, it is something else.
        """
        text = self.text(name)
        for each in allowed:
            if each == text:
                return each
        if text is None:
            return None
        raise mistake(name, repr(text[:40]), " or ".join(allowed))

    def flag(self, name: str) -> bool:
        """
        :raises Refusal: 400, it is neither true nor false.
        """
        return self.choice(name, (*_TRUE, *_FALSE)) in _TRUE

    def finish(self) -> None:
        """Nothing else may have been given.

        :raises Refusal: 400, naming what was.
        """
        for name in self._given:
            if name not in self._known:
                raise Refusal(400, f"{name[:40]!r} is not known here; {_listed(self._known)}")


def mistake(name: str, found: str, allowed: str) -> Refusal:
    return Refusal(400, f"{name}: found {found}; allowed: {allowed}")


def _listed(known: Sequence[str]) -> str:
    return f"known are {', '.join(known)}" if known else "nothing can be asked for"
