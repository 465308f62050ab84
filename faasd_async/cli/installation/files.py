"""The files of an installation: where each goes, and what is in it.

What is shipped stands in ``etc`` of the source tree, and is copied into the package when that is
built.
"""

from __future__ import annotations

from pathlib import Path

UNITS = "/etc/systemd/system"
SERVICE = f"{UNITS}/faasd-async.service"
SOCKET = f"{UNITS}/faasd-async.socket"
DROP_INS = f"{UNITS}/faasd-async.service.d"
PASSWORD_DROP_IN = f"{DROP_INS}/10-password.conf"
SOCKET_DROP_IN = f"{DROP_INS}/10-socket.conf"

#: The gateway's endpoint where systemd holds the socket.
SOCKET_ENDPOINT = "systemd:domain=INET6:index=0"

CONFIGURATION_DIRECTORY = "/etc/faasd-async"
CONFIGURATION = f"{CONFIGURATION_DIRECTORY}/faasd-async.toml"
SECRETS = f"{CONFIGURATION_DIRECTORY}/secrets"

#: Of a service with a user of its own systemd keeps the state in the second one, and makes the
#: first a link to it.
STATE_DIRECTORIES = ("/var/lib/faasd-async", "/var/lib/private/faasd-async")

#: Where the unit as it is shipped has the daemon.
_SHIPPED_PREFIX = "/opt/faasd-async"

#: Where systemd puts what LoadCredential= names.
_CREDENTIALS = "/run/credentials/faasd-async.service"


def service(prefix: str) -> str:
    """The unit.

    :param prefix: the virtual environment that the daemon is in.
    """
    return _shipped("systemd/faasd-async.service").replace(_SHIPPED_PREFIX, prefix)


def socket() -> str:
    """Its socket."""
    return _shipped("systemd/faasd-async.socket")


def password_drop_in(*names: str) -> str:
    """What gives the service its user name and password; it may not read them where they lie."""
    lines = (f"LoadCredential={name}:{SECRETS}/{name}" for name in names)
    return "\n".join(("# By faasd-async install.", "[Service]", *lines, ""))


def socket_drop_in() -> str:
    """What has the socket opened before each start of the service, and handed over to it.

    systemd does not open one for a service that is up; with this, a restart ends the service first.
    """
    return "\n".join(("# By faasd-async install.", "[Unit]", "Requires=faasd-async.socket", ""))


def configuration(*, demo: bool, socket: bool) -> str:
    """The reference configuration, with authentication on.

    :param demo: with the functions of the demo.
    :param socket: listening at the socket that systemd holds.
    """
    text = _shipped("faasd-async.toml")
    chosen = {"basic_auth": "true", "secret_mount_path": f'"{_CREDENTIALS}"'}
    if socket:
        chosen["listen"] = f'["{SOCKET_ENDPOINT}"]'
    for key, value in chosen.items():
        before, found, after = text.partition(f"\n#{key} = ")
        assert found, f"the reference configuration does not show {key}"
        _, end, rest = after.partition("\n")
        text = f"{before}\n{key} = {value}{end}{rest}"
    return text + ("\n\n" + _demo_functions() if demo else "")


def _demo_functions() -> str:
    text = _shipped("demo.toml")
    return text[text.index("# Big letters.") :]


def _shipped(name: str) -> str:
    package = Path(__file__).parents[2]
    for directory in (package, package.parent):
        path = directory / "etc" / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"etc/{name} did not come along with the package")
