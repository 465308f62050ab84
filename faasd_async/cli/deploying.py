"""``deploy``, ``remove``: the functions of a stack.yml at a daemon."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from faasd_async.cli.daemon import Refused
from faasd_async.cli.exits import Exit
from faasd_async.cli.fields import PAIR
from faasd_async.cli.session import Ended, Session, talks
from faasd_async.errors import ConfigurationError
from faasd_async.settings.mistakes import Mistakes
from faasd_async.settings.openfaas.deployment import FunctionDeployment
from faasd_async.settings.openfaas.stack import Stack, read_stack

_PATH = "/system/functions"

#: An image may have to be fetched.
_PATIENCE_SECONDS = 900.0

_filter = click.option("--filter", "pattern", help="Those whose names match: 'mail-*'.")
_regex = click.option("--regex", help="Those whose names match a regular expression.")


def _file(required: bool) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option("-f", "--yaml", "path", required=required, help="A stack.yml.")


@click.command()
@_file(required=True)
@_filter
@_regex
@click.option("-e", "--env", "variables", type=PAIR, multiple=True, help="K=v, over the file's.")
@talks
async def deploy(
    session: Session,
    path: str,
    pattern: str | None,
    regex: str | None,
    variables: Sequence[tuple[str, str]],
) -> Ended:
    """Deploy the functions of a stack.yml.

    ${VAR} and ${VAR:-default} in it are taken from the environment. The daemon is the file's
    provider.gateway, if --url and $OPENFAAS_URL say nothing.
    """
    stack = _read(path)
    picked = _picked(stack, pattern, regex)
    for notice in stack.notices:
        session.screen.aside(notice)
    session.prefer(stack.gateway)

    async def put(deployment: FunctionDeployment) -> None:
        env_vars = {**(deployment.env_vars or {}), **dict(variables)}
        body = msgspec.json.encode(replace(deployment, env_vars=env_vars or None))
        await _order(session, ("PUT", "POST"), body)

    return await _each(session, picked, put, "deployed")


@click.command()
@click.argument("names", nargs=-1)
@_file(required=False)
@_filter
@_regex
@talks
async def remove(
    session: Session,
    names: Sequence[str],
    path: str | None,
    pattern: str | None,
    regex: str | None,
) -> Ended:
    """Remove the functions NAMES, or those of a stack.yml; calls that wait for them go on waiting.

    What stands in the daemon's own settings file is removed there.
    """
    if bool(names) == bool(path) or (names and (pattern or regex)):
        raise click.UsageError("name functions, or a stack.yml by -f, perhaps with a filter")
    picked = [FunctionDeployment(name) for name in names]
    if path:
        stack = _read(path)
        picked = _picked(stack, pattern, regex)
        session.prefer(stack.gateway)

    async def away(deployment: FunctionDeployment) -> None:
        order = {"functionName": deployment.service, "namespace": deployment.namespace}
        await _order(session, ("DELETE",), json.dumps(order).encode())

    return await _each(session, picked, away, "removed")


async def _each(
    session: Session,
    picked: Sequence[FunctionDeployment],
    order: Callable[[FunctionDeployment], Coroutine[Any, Any, None]],
    done: str,
) -> Exit:
    """Order it of one after the other; one that is refused keeps none of the others from it."""
    ends: dict[str, str | None] = {}
    for deployment in picked:
        name = deployment.service
        try:
            await order(deployment)
        except Refused as refusal:
            ends[name] = str(refusal)
            session.screen.aside(f"{name} is not {done}: {refusal}")
        else:
            ends[name] = None
            if not session.screen.as_json:
                session.screen.line(f"{name} is {done}")
    if session.screen.as_json:
        session.screen.data(
            {
                done: [name for name, why in ends.items() if why is None],
                "refused": {name: why for name, why in ends.items() if why is not None},
            }
        )
    return Exit.REFUSED if any(ends.values()) else Exit.OK


async def _order(session: Session, methods: Sequence[str], body: bytes) -> None:
    """Give an order; in each further way as long as what it concerns is not there.

    :raises Refused: it is not carried out.
    """
    for method in methods:
        answer = await session.daemon.ask(
            method, _PATH, body=body, patience_seconds=_PATIENCE_SECONDS
        )
        if answer.status != 404:
            break
    if answer.status >= 300:
        raise Refused(answer.status, answer.reason)


def _read(path: str) -> Stack:
    """
    :raises click.UsageError: it cannot be used.
    """
    mistakes = Mistakes()
    try:
        stack = read_stack(path, os.environ, mistakes)
        mistakes.raise_if_any()
    except ConfigurationError as reason:
        raise click.UsageError(str(reason)) from None
    return stack


def _picked(stack: Stack, pattern: str | None, regex: str | None) -> list[FunctionDeployment]:
    """
    :raises click.UsageError: that is nobody.
    """
    if pattern and regex:
        raise click.UsageError("--filter or --regex, not both")
    try:
        expression = re.compile(regex or "")
    except re.error as error:
        raise click.UsageError(f"--regex: {error}") from None
    found = [
        each
        for each in stack.deployments
        if fnmatchcase(each.service, pattern or "*") and expression.search(each.service)
    ]
    if not found:
        raise click.UsageError("no function of the file has such a name")
    return found
