"""What several commands that look at this machine are asked."""

from __future__ import annotations

import click

config_option = click.option(
    "--config", type=click.Path(dir_okay=False), help="The daemon's settings, a TOML file."
)
state_dir_option = click.option("--state-dir", help="Over the file's, as for the daemon.")
