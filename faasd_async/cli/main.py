"""The command itself, and what is said before a command's name."""

from __future__ import annotations

from pathlib import Path

import click

from faasd_async import __version__
from faasd_async.cli.address import daemon_url
from faasd_async.cli.backing_up import backup, restore
from faasd_async.cli.beginning import new
from faasd_async.cli.calls import call, calls, cancel, result
from faasd_async.cli.dead import dead
from faasd_async.cli.deploying import deploy, remove
from faasd_async.cli.dev import dev
from faasd_async.cli.doctor import check, doctor
from faasd_async.cli.installing import install, uninstall
from faasd_async.cli.invoking import invoke
from faasd_async.cli.logs import logs
from faasd_async.cli.migrating import migrate
from faasd_async.cli.mistakes import Commands
from faasd_async.cli.options import with_json
from faasd_async.cli.queues import functions, queue, status
from faasd_async.cli.schedules import schedules
from faasd_async.cli.session import HERE, Asked


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faasd-async")
@click.option(
    "--url",
    "-g",
    envvar=("FAASD_ASYNC_URL", "OPENFAAS_URL"),
    help=f"Where the daemon is; also $FAASD_ASYNC_URL or $OPENFAAS_URL. Else it is {HERE}.",
)
@click.option(
    "--credentials",
    envvar="FAASD_ASYNC_CREDENTIALS",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory with basic-auth-user and basic-auth-password.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: JSON, mistakes too.")
@click.pass_context
def cli(context: click.Context, url: str | None, credentials: Path | None, as_json: bool) -> None:
    """Ask a faasd-async daemon, and give it orders.

    Exit codes: 0, it went well; 1, the call or the daemon did not do well; 2, that was typed
    wrongly; 3, no daemon answers; 4, the daemon refuses;
    130, Ctrl-C.
    """
    context.obj = Asked(daemon_url(url) if url else None, credentials, as_json)


for each in (
    *(new, dev, deploy, remove),
    *(status, functions, logs, invoke, calls, call, result, cancel),
    *(dead, queue, schedules, check, doctor, migrate, backup, restore),
    *(install, uninstall),
):
    cli.add_command(with_json(each))


def main() -> None:
    """The script ``faasd-async``."""
    cli(prog_name="faasd-async")
