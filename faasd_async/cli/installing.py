"""``install`` and ``uninstall``: the daemon as a service of systemd."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from faasd_async.cli.installation import files
from faasd_async.cli.installation.tree import Done, Tree
from faasd_async.cli.screen import Screen
from faasd_async.cli.session import Asked
from faasd_async.settings.operator import PASSWORD_FILE, USER_FILE
from faasd_async.settings.programs import hidden_at

_USER = "admin"

#: What means the same in a unit as it does elsewhere.
_PREFIX = re.compile(r"/[-+._@A-Za-z0-9/]+")

_PASSWORD_BYTES = 24

#: What is there exactly if the machine is run by systemd.
_SYSTEMD_RUNS = Path("/run/systemd/system")

_root = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/"),
    help="What stands before each path: the root of an image that is built.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.command()
@_root
@_dry_run
@click.option(
    "--prefix",
    default=sys.prefix,
    show_default="where this command is",
    help="The virtual environment that the service runs the daemon from.",
)
@click.option("--demo", is_flag=True, help="With the functions of the demo.")
@click.option(
    "--socket", is_flag=True, help="systemd holds the gateway's socket: restarts refuse nobody."
)
@click.pass_obj
def install(asked: Asked, root: Path, dry_run: bool, prefix: str, demo: bool, socket: bool) -> None:
    """Make a service of the daemon: units of systemd, a configuration, a password.

    It can be repeated: units are brought up to date, configuration and password stay as they are.
    """
    if not _PREFIX.fullmatch(prefix):
        raise click.UsageError(f"--prefix: {prefix!r} is no absolute path that a unit can hold")
    directive = hidden_at(prefix)
    if directive is not None:
        raise click.UsageError(
            f"the service would not see {prefix}, for {directive} of its unit hides it; make the"
            " virtual environment elsewhere, such as in /opt/faasd-async"
        )

    def put(tree: Tree) -> None:
        tree.put(files.SERVICE, files.service(prefix), f"runs {prefix}/bin/twistd")
        tree.put(files.SOCKET, files.socket(), "for upgrades without a refused call")
        _put_password(tree)
        tree.put_once(
            files.CONFIGURATION,
            lambda: files.configuration(demo=demo, socket=socket),
            "your functions go here; the password is on",
            "it is yours",
        )
        held = _Gateway.read(tree).at_the_socket
        if socket or held:
            tree.put(files.SOCKET_DROP_IN, files.socket_drop_in(), "has the service ask for it")
        tree.done += _minds(tree, prefix, socket=socket)

    _do(asked, Tree(root, dry_run=dry_run), put)


@click.command()
@_root
@_dry_run
@click.option("--purge", is_flag=True, help="Remove configuration, password and state, too.")
@click.pass_obj
def uninstall(asked: Asked, root: Path, dry_run: bool, purge: bool) -> None:
    """Remove the service. Configuration, password and state stay, unless they are purged."""

    def remove(tree: Tree) -> None:
        units = [path for path in (files.SERVICE, files.SOCKET) if tree.at(path).exists()]
        if units and not dry_run:
            _systemctl(tree, "disable", "--now", *(Path(path).name for path in units))
        for path in (files.SERVICE, files.SOCKET, files.PASSWORD_DROP_IN, files.SOCKET_DROP_IN):
            tree.remove(path)
        tree.remove_if_empty(files.DROP_INS)
        for path in (files.CONFIGURATION_DIRECTORY, *files.STATE_DIRECTORIES):
            if purge:
                tree.remove(path)
            elif tree.at(path).exists() and not tree.at(path).is_symlink():
                tree.done.append(Done("kept", path, "--purge removes it"))

    _do(asked, Tree(root, dry_run=dry_run), remove)


def _do(asked: Asked, tree: Tree, change: Callable[[Tree], None]) -> None:
    """Change a tree, and tell what was done."""
    screen = Screen(as_json=asked.as_json)
    try:
        change(tree)
    except OSError as reason:
        path = reason.filename or tree.root
        _tell(screen, tree)
        raise click.ClickException(f"{path}: {reason.strerror}; are you root?") from None
    if not tree.dry_run:
        _systemctl(tree, "daemon-reload")
    _tell(screen, tree)
    if tree.dry_run:
        screen.aside("nothing was changed: this was a dry run")


def _tell(screen: Screen, tree: Tree) -> None:
    if screen.as_json:
        screen.data([asdict(each) for each in tree.done])
    else:
        screen.table(("", "", ""), [(each.what, each.path, each.about) for each in tree.done])


def _put_password(tree: Tree) -> None:
    """For whoever gives orders. It is in nobody's terminal."""
    for name, content, about in (
        (USER_FILE, lambda: f"{_USER}\n", "who may give orders"),
        (PASSWORD_FILE, _password, "drawn at random; only root may read it"),
    ):
        path = f"{files.SECRETS}/{name}"
        tree.put_once(path, content, about, "as it was", mode=0o600)
    tree.put(
        files.PASSWORD_DROP_IN,
        files.password_drop_in(USER_FILE, PASSWORD_FILE),
        "gives the service both",
    )


def _password() -> str:
    return secrets.token_urlsafe(_PASSWORD_BYTES) + "\n"


def _minds(tree: Tree, prefix: str, *, socket: bool) -> list[Done]:
    """What somebody has to see to.

    :param socket: systemd is to hold the gateway's socket.
    """
    minds = []
    if not tree.at(f"{prefix}/bin/twistd").exists():
        about = "it is not there yet: pip install faasd-async into this virtual environment"
        minds.append(Done("mind", f"{prefix}/bin/twistd", about))
    gateway = _Gateway.read(tree)
    if gateway.is_there and not gateway.asks_for_password:
        minds.append(Done("mind", files.CONFIGURATION, "basic_auth is not on in [gateway]"))
    if socket and gateway.is_there and not gateway.at_the_socket:
        about = f'say listen = ["{files.SOCKET_ENDPOINT}"] in [gateway]'
        minds.append(Done("mind", files.CONFIGURATION, about))
    minds.append(Done("mind", "systemctl enable --now faasd-async", "starts it"))
    return minds


@dataclass(frozen=True, slots=True)
class _Gateway:
    """What the configuration that is in place says of it, as far as it matters here."""

    is_there: bool = False
    asks_for_password: bool = False
    at_the_socket: bool = False

    @classmethod
    def read(cls, tree: Tree) -> _Gateway:
        try:
            text = tree.at(files.CONFIGURATION).read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        try:
            gateway = tomllib.loads(text).get("gateway")
        except ValueError:
            return cls(is_there=True)
        if not isinstance(gateway, dict):
            return cls(is_there=True)
        return cls(
            True, gateway.get("basic_auth") is True, "systemd:" in str(gateway.get("listen"))
        )


def _systemctl(tree: Tree, *words: str) -> None:
    """Tell the machine's systemd, if it is this machine and has one."""
    if tree.root != Path("/") or not _SYSTEMD_RUNS.is_dir():
        return
    told = subprocess.run(  # noqa: S603 - nothing of it comes from anybody else
        ["systemctl", *words],  # noqa: S607 - wherever the machine has it
        capture_output=True,
        text=True,
        check=False,
    )
    about = "" if told.returncode == 0 else told.stderr.strip()
    tree.done.append(Done("mind" if about else "told", f"systemctl {' '.join(words)}", about))
