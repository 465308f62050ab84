"""``logs``: what a function has written, and writes."""

from __future__ import annotations

import json

import click

from faasd_async.cli.exits import Exit
from faasd_async.cli.session import Ended, Session, talks
from faasd_async.lines import Lines

#: Longer ones come in parts; the daemon's own are shorter.
_LONGEST_BYTES = 1024 * 1024


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="And what comes from now on.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="The last N lines alone.")
@click.option("--since", metavar="TIME", help="How long ago, as 5m, or a time of RFC 3339.")
@talks
async def logs(
    session: Session, name: str, follow: bool, tail: int | None, since: str | None
) -> Ended:
    """What the function NAME has written to its log."""
    lines = Lines(_LONGEST_BYTES)

    def tell(data: bytes) -> None:
        for line in lines.feed(data):
            if line:
                _print(session, json.loads(line))

    query = {
        "name": name,
        "follow": "true" if follow else None,
        "tail": str(tail) if tail else None,
        "since": since,
    }
    await session.daemon.follow("/system/logs", tell, query=query)
    return Exit.OK


def _print(session: Session, line: dict[str, str]) -> None:
    session.screen.told(line, f"{line['timestamp']} {line['instance']} {line['text']}")
