"""``new``: a function to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Asked
from faasd_async.cli.starters import STARTERS, Starter
from faasd_async.errors import ConfigurationError
from faasd_async.settings.file import read_document
from faasd_async.settings.values import FILE_NAME_ALLOWED, is_file_name

#: Where functions are configured, in the folder where one works on them.
CONFIG = "faasd-async.toml"


@click.command()
@click.argument("name")
@click.option("--lang", type=click.Choice(list(STARTERS)), default="python", show_default=True)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=CONFIG,
    show_default=True,
    help="The settings to put it into; made if they are not there.",
)
@click.pass_obj
def new(asked: Asked, name: str, lang: str, config: Path) -> None:
    """Make the function NAME: a directory with a few lines that work, and its settings."""
    starter, directory = STARTERS[lang], config.parent / name
    _check(name, directory, config)
    file = directory / starter.file
    try:
        directory.mkdir(parents=True)
        file.write_text(starter.text, "utf-8")
        with config.open("a", encoding="utf-8") as settings:
            settings.write(_section(name, starter, bool(settings.tell())))
    except OSError as reason:
        raise click.ClickException(str(reason)) from None
    _tell(Screen(as_json=asked.as_json), name, file, config, starter)


def _check(name: str, directory: Path, config: Path) -> None:
    """
    :raises click.UsageError: there is something of that name, or it is none.
    """
    # What begins with a dash would be taken for an option by the next command.
    if not is_file_name(name) or name.startswith("-"):
        raise click.UsageError(f"NAME: found {name!r}; allowed: {FILE_NAME_ALLOWED}")
    if directory.exists():
        raise click.UsageError(f"{directory} is there already")
    if not config.exists():
        return
    try:
        functions = read_document(str(config)).get("functions", {})
    except ConfigurationError as reason:
        raise click.UsageError(str(reason)) from None
    if isinstance(functions, dict) and name in functions:
        raise click.UsageError(f"{config} has a function {name} already")


def _section(name: str, starter: Starter, follows: bool) -> str:
    header = json.dumps(name) if "." in name else name
    return (
        ("\n" if follows else "")
        + f"[functions.{header}]\n"
        + f"command = {json.dumps(starter.command)}\n"
        + f"directory = {json.dumps(name)}\n"
    )


def _tell(screen: Screen, name: str, file: Path, config: Path, starter: Starter) -> None:
    steps = [f"(cd {file.parent} && {starter.build})"] if starter.build else []
    here = "" if str(config) == CONFIG else f" --config {config}"
    steps += [f"faasd-async dev{here}", f"echo Hi | faasd-async invoke {name}"]
    if screen.as_json:
        screen.data({"function": name, "files": [str(file)], "config": str(config), "next": steps})
        return
    screen.line(f"{file} is the function, and {config} has its settings. Next:")
    for step in steps:
        screen.line(f"    {step}")
