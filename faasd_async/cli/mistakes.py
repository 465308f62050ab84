"""What was typed wrongly, or cannot be done: told to people as click does, to programs as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from faasd_async.cli.exits import Exit
from faasd_async.cli.screen import Screen

_AS_JSON = f"{__name__}.as_json"


class Commands(click.Group):
    """Commands that may be asked for JSON, and then tell of mistakes so, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # What cannot be understood has no options yet: so it is looked for among the words.
        ctx.meta[_AS_JSON] = "--json" in args
        with _told(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _told(ctx):
            return super().invoke(ctx)


def tell(mistake: click.ClickException, screen: Screen) -> Exit:
    """:return: how the command ends."""
    end = Exit(mistake.exit_code)
    if isinstance(mistake, click.UsageError) and not screen.as_json:
        mistake.show()
        return end
    return screen.error(mistake.format_message(), end)


@contextmanager
def _told(ctx: click.Context) -> Iterator[None]:
    """
    :raises SystemExit: in place of a mistake.
    """
    try:
        yield
    except click.ClickException as mistake:
        raise SystemExit(tell(mistake, Screen(as_json=ctx.meta[_AS_JSON]))) from mistake
