"""``check`` and ``doctor``: what is wrong, and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict

import click

from faasd_async.cli.daemon import Unreachable
from faasd_async.cli.examinations.disk import examine_disk
from faasd_async.cli.examinations.findings import Finding, well
from faasd_async.cli.examinations.machine import examine_machine
from faasd_async.cli.examinations.network import examine_network, home_of
from faasd_async.cli.exits import Exit
from faasd_async.cli.options import config_option, state_dir_option
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Asked, Ended, Session, talks
from faasd_async.errors import ConfigurationError
from faasd_async.settings import Settings, load
from faasd_async.settings.operator import read_authorization, read_credentials


@click.command()
@config_option
@state_dir_option
@click.pass_obj
def check(asked: Asked, config: str | None, state_dir: str | None) -> None:
    """Whether the daemon's settings can be used."""
    screen, mistakes = Screen(as_json=asked.as_json), list[str]()
    try:
        _settings(config, state_dir)
    except ConfigurationError as reason:
        mistakes = str(reason).splitlines()
    if asked.as_json:
        screen.data({"usable": not mistakes, "mistakes": mistakes})
    elif not mistakes:
        screen.line("the settings can be used")
    else:
        for mistake in mistakes:
            screen.aside(mistake)
    raise SystemExit(Exit.FAILED if mistakes else Exit.OK)


@click.command()
@config_option
@state_dir_option
@click.option(
    "--slow-flush",
    type=click.FloatRange(min=0),
    default=100.0,
    show_default=True,
    metavar="MS",
    help="A flush of the disk that takes longer is told of.",
)
@talks
async def doctor(
    session: Session, config: str | None, state_dir: str | None, slow_flush: float
) -> Ended:
    """Look at this machine as the daemon would find it: settings, disk, clock, limits, ports, NATS.

    Exit code 1 if something does not work.
    """
    session.prefer(_home(config, state_dir))
    daemon = await _daemon(session)
    findings = [daemon, *_examine(config, state_dir, slow_flush, is_up=daemon.verdict != "mind")]
    if session.screen.as_json:
        session.screen.data([asdict(each) for each in findings])
    else:
        rows = [(each.verdict, each.subject, each.said, each.remedy) for each in findings]
        session.screen.table(("", "what", "how it is", "what to do"), rows)
    return Exit.FAILED if any(each.verdict == "ill" for each in findings) else Exit.OK


async def _daemon(session: Session) -> Finding:
    """``mind``: none answers, which is right if none was started."""
    url = session.daemon.url
    try:
        answer = await session.daemon.ask("GET", "/readyz", patience_seconds=10)
    except Unreachable:
        answer = None
    if answer is None or not answer.field("X-Served-By").startswith("faasd-async/"):
        return Finding("daemon", "mind", f"none answers at {url}", "start it, if it should run")
    if answer.status == 200:
        return well("daemon", f"{url} is ready")
    return Finding("daemon", "ill", f"{url} is not ready: {answer.reason}", "see its log")


def _examine(
    config: str | None, state_dir: str | None, slow_flush: float, *, is_up: bool
) -> Iterator[Finding]:
    try:
        settings = _settings(config, state_dir)
    except ConfigurationError as reason:
        for line in str(reason).splitlines():
            yield Finding("settings", "ill", line, "correct it")
        return
    yield well("settings", config or "none: the defaults")
    yield from examine_disk(settings, slow_flush)
    yield from examine_machine(settings)
    yield from examine_network(settings, is_up=is_up)


def _home(config: str | None, state_dir: str | None) -> str:
    """Where the daemon of these settings answers; empty: they do not tell."""
    try:
        return home_of(_settings(config, state_dir))
    except ConfigurationError:
        return ""


def _settings(config: str | None, state_dir: str | None) -> Settings:
    """
    :raises ConfigurationError: a daemon would not start with them.
    """
    settings = load(config, os.environ, state_dir=state_dir, runs_in=os.getcwd())
    # What systemd puts there is there while the service runs.
    if not settings.gateway.secret_mount_path.startswith("/run/credentials/"):
        read_credentials(settings.gateway)
        read_authorization(settings.provider, settings.gateway)
    return settings
