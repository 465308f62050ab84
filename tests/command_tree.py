"""The commands of ``faasd-async``, as click has them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from faasd_async.cli.main import cli


def _commands(group: click.Group, *above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, *above, name)
        else:
            yield " ".join((*above, name))


#: Every command that does something, by all of its words.
COMMANDS = tuple(_commands(cli))


def command_of(name: str) -> click.Command:
    """The command that has these words."""
    command: click.Command = cli
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


def options_of(name: str) -> Iterator[frozenset[str]]:
    """Each of its options that a user may see, by all of its spellings."""
    for each in command_of(name).params:
        if isinstance(each, click.Option) and not each.hidden:
            yield frozenset(each.opts)
