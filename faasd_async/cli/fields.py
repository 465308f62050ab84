"""Header fields and query parameters as people type them."""

from __future__ import annotations

import re

import click

#: A name, what follows it, and the value: ``X-A: b`` as curl has it, ``X-A=b`` as faas-cli does.
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=]\s*(.*)", re.DOTALL)


class Field(click.ParamType[tuple[str, str]]):
    """``Name: value``, or ``Name=value``."""

    name = "field"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        found = _FIELD.fullmatch(str(value))
        if found is None or not found[2].isprintable():
            self.fail(f"{value!r} is not of the form 'Name: value'", param, ctx)
        return found[1], found[2].strip()


class Pair(click.ParamType[tuple[str, str]]):
    """``name=value``."""

    name = "pair"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        return name, text


FIELD, PAIR = Field(), Pair()
