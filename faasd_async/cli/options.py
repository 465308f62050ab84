"""What several commands that look at this machine are asked."""

from __future__ import annotations

from dataclasses import replace

import click

from faasd_async.cli.session import Asked

config_option = click.option(
    "--config", type=click.Path(dir_okay=False), help="The daemon's settings, a TOML file."
)
state_dir_option = click.option("--state-dir", help="Over the file's, as for the daemon.")


def _as_json(context: click.Context, _: click.Parameter, said: bool) -> None:
    asked = context.find_object(Asked)
    if said and asked is not None:
        context.obj = replace(asked, as_json=True)


_json_option = click.Option(
    ["--json"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_as_json,
    help="For programs: as before the command.",
)


def with_json(command: click.Command) -> click.Command:
    """Have a command, or those of a group, understand ``--json`` after its name, too."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_json(each)
    else:
        command.params.append(_json_option)
    return command
