"""``.. command-reference::`` writes down the commands, from their own help."""

from __future__ import annotations

from collections.abc import Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from written import blocks, definition, literal, prose, title

from faasd_async.cli.main import cli


class CommandReference(SphinxDirective):
    """Each command with its options; those of groups behind their groups."""

    def run(self) -> list[nodes.Node]:
        text = "\n\n".join(_written(click.Context(cli, info_name="faasd-async"), "="))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _written(context: click.Context, line: str) -> Iterator[str]:
    command = context.command
    yield title(context.command_path, line)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"::\n\n   {usage}"
    if command.help:
        yield blocks(command.help)
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            yield definition(literal(record[0]), prose(record[1]))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _written(click.Context(below, parent=context, info_name=name), "-")


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
