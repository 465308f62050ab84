"""The command itself, and what is said before a command's name."""

from __future__ import annotations

from pathlib import Path

import click

from faasd_async import __version__
from faasd_async.cli.calls import call, calls, cancel, result
from faasd_async.cli.dead import dead
from faasd_async.cli.doctor import check, doctor
from faasd_async.cli.invoking import invoke
from faasd_async.cli.migrating import migrate
from faasd_async.cli.queues import functions, queue, status
from faasd_async.cli.schedules import schedules
from faasd_async.cli.session import Asked

#: Of a daemon on this machine, as it comes.
HERE = "http://127.0.0.1:8080"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faasd-async")
@click.option(
    "--url",
    "-g",
    envvar=("FAASD_ASYNC_URL", "OPENFAAS_URL"),
    default=HERE,
    show_default=True,
    help="Where the daemon is; also $FAASD_ASYNC_URL or $OPENFAAS_URL.",
)
@click.option(
    "--credentials",
    envvar="FAASD_ASYNC_CREDENTIALS",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory with basic-auth-user and basic-auth-password.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: JSON on standard output.")
@click.pass_context
def cli(context: click.Context, url: str, credentials: Path | None, as_json: bool) -> None:
    """Ask a faasd-async daemon, and give it orders.

    Exit codes: 0, it went well; 1, the call or the daemon did not do well; 2, that was typed
    wrongly; 3, no daemon answers; 4, the daemon refuses.
    """
    context.obj = Asked(url, credentials, as_json)


for each in (
    *(status, functions, invoke, calls, call, result, cancel),
    *(dead, queue, schedules, check, doctor, migrate),
):
    cli.add_command(each)


def main() -> None:
    """The script ``faasd-async``."""
    cli(prog_name="faasd-async")
