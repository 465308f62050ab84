"""``logs``: what functions have written, and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import click
from twisted.internet.defer import Deferred, FirstError, gatherResults

from faasd_async.cli.daemon import Query
from faasd_async.cli.exits import Exit
from faasd_async.cli.session import Ended, Session, talks
from faasd_async.lines import Lines

#: Longer ones come in parts; the daemon's own are shorter.
_LONGEST_BYTES = 1024 * 1024

Line = dict[str, str]


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="And what comes from now on.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="The last N lines alone.")
@click.option("--since", metavar="TIME", help="How long ago, as 5m, or a time of RFC 3339.")
@talks
async def logs(
    session: Session, name: str | None, follow: bool, tail: int | None, since: str | None
) -> Ended:
    """What the function NAME has written to its log; without NAME all that are there now, with
    the function before each line."""
    query = {
        "follow": "true" if follow else None,
        "tail": str(tail) if tail else None,
        "since": since,
    }
    if name is not None:
        await _read(session, name, query, partial(_print, session))
    elif follow:
        await _read_all(session, query, partial(_print_named, session))
    else:
        lines = list[Line]()
        await _read_all(session, query, lines.append)
        lines.sort(key=lambda line: line["timestamp"])
        for line in lines[-tail:] if tail else lines:
            _print_named(session, line)
    return Exit.OK


async def _read_all(session: Session, query: Query, tell: Callable[[Line], None]) -> None:
    """Of every function at once."""
    functions = await session.daemon.order("GET", "/system/functions")
    reading = [
        Deferred.fromCoroutine(_read(session, each["name"], query, tell)) for each in functions
    ]
    try:
        await gatherResults(reading, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()


async def _read(session: Session, name: str, query: Query, tell: Callable[[Line], None]) -> None:
    lines = Lines(_LONGEST_BYTES)

    def tell_each(data: bytes) -> None:
        for line in lines.feed(data):
            if line:
                tell(json.loads(line))

    await session.daemon.follow("/system/logs", tell_each, query={"name": name, **query})


def _print(session: Session, line: Line) -> None:
    session.screen.told(line, f"{line['timestamp']} {line['instance']} {line['text']}")


def _print_named(session: Session, line: Line) -> None:
    name, text = line["name"], line["text"]
    session.screen.told(line, f"{line['timestamp']} {name} {line['instance']} {text}")
